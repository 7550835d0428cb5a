"""Builds registered models: eager, in inference mode, in their natural data-dependent form."""

from pathlib import Path

from torch import nn

from edgekit.models.checkpoints import load_checkpoint
from edgekit.models.emov2 import CONFIGS, EMOv2, window_for
from edgekit.models.registry import model_entry
from edgekit.models.untrained import fill_untrained


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
    model = EMOv2(CONFIGS[name.removeprefix("emov2-")], num_classes=1000 if num_classes is None else num_classes, window=window_for(resolution))
    if weights is None:
        fill_untrained(model)
    else:
        load_checkpoint(model, Path(weights))
    return model.eval()
