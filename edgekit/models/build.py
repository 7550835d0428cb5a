"""Builds registered models: eager, in inference mode, in their natural data-dependent form."""

from collections.abc import Callable
from pathlib import Path

from torch import nn

from edgekit.models import chase, emov2, imcnet
from edgekit.models.checkpoints import load_checkpoint
from edgekit.models.registry import model_entry
from edgekit.models.untrained import fill_untrained

Constructor = Callable[[str, int, int], nn.Module]
"""Takes a size (``5m``), the resolution and the number of classes."""


def build_model(name: str, *, resolution: int | None = None, num_classes: int | None = None, weights: str | Path | None = None) -> nn.Module:
    """Return a registered model, eager, in eval mode.

    Without ``weights`` the parameters are filled deterministically (the same in every process), such that each
    of them matters to the output: an untrained network, fit for checking a conversion and for nothing else.

    :param name: a registered name (``emov2-5m``).
    :param resolution: height and width in pixels of the square image it will be given.
    :param num_classes: width of the logits.
    :param weights: a checkpoint to load.
    :raises UnknownNameError: no such model.
    :raises UsageError: the network cannot run at this resolution.
    :raises CheckpointError: the file cannot be read or belongs to another model.
    """
    entry = model_entry(name)
    resolution = entry.resolution if resolution is None else resolution
    entry.check_resolution(resolution)
    family, _, size = name.partition("-")
    model = _FAMILIES[family](size, resolution, entry.num_classes if num_classes is None else num_classes)
    if weights is None:
        fill_untrained(model)
    else:
        load_checkpoint(model, Path(weights))
    return model.eval()


def _emov2(size: str, resolution: int, num_classes: int) -> nn.Module:
    return emov2.EMOv2(emov2.CONFIGS[size], num_classes=num_classes, window=emov2.window_for(resolution))


def _imcnet(size: str, resolution: int, num_classes: int) -> nn.Module:
    return imcnet.IMCNet(imcnet.CONFIGS[size], resolution=resolution, num_classes=num_classes)


def _chase(size: str, resolution: int, num_classes: int) -> nn.Module:
    del resolution  # it takes every size it can halve often enough
    return chase.CHASE(chase.CONFIGS[size], num_classes=num_classes)


_FAMILIES: dict[str, Constructor] = {"emov2": _emov2, "imcnet": _imcnet, "chase": _chase}
