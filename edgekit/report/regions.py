"""Which regions of a photograph an IMC-Net takes in each pass, computed by the eager model for a page.

This is the one thing on a page that is not read from a stored result: masks of a photograph are nowhere stored. The model is the eager one, with
the weights that are named; without any they are untrained, and the page says so.
"""

import base64
import io
from importlib import resources
from pathlib import Path
from typing import Any

from attrs import frozen

from edgekit.errors import UsageError


@frozen(kw_only=True)
class RegionMaps:
    """One photograph in one model.

    :param side: regions a side; each pass in ``passes`` is ``side * side`` flags, row by row: taken or not.
    :param jpeg: what the model sees, base64.
    """

    model: str
    photograph: str
    trained: bool
    weights: str | None
    side: int
    passes: tuple[tuple[bool, ...], ...]
    jpeg: str


def region_maps(model: str, photograph: Path | None = None, weights: Path | None = None) -> RegionMaps:
    """Run a model on a photograph and keep the regions of every pass.

    :param photograph: ``None``: one that edgekit brings.
    :raises UsageError: the model selects no regions. :raises BadInputError: the photograph or the weights cannot be read.
    """
    import torch

    from edgekit.models.imcnet import IMCNet
    from edgekit.models.source import load_source
    from edgekit.preprocess import load_image, normalise, to_pixels

    source = load_source(model, weights=weights)
    network = source.module
    if not isinstance(network, IMCNet):
        raise UsageError(f"{model} selects no regions", hint="an IMC-Net: imcnet-b16, imcnet-s16, imcnet-ti16, imcnet-cifar10")
    place = photograph or resources.files("edgekit") / "photographs" / "china.jpg"
    pixels = to_pixels(load_image(place), source.preprocessing)
    with torch.no_grad():
        _, masks = network.forward_with_regions(torch.from_numpy(normalise(pixels, source.preprocessing)))
    passes = tuple(tuple(bool(flag) for flag in mask[0].tolist()) for mask in masks)
    return RegionMaps(
        model=source.name,
        photograph=place.name,
        trained=bool(source.trained),
        weights=None if weights is None else weights.name,
        side=round(len(passes[0]) ** 0.5),
        passes=passes,
        jpeg=_jpeg(pixels),
    )


def _jpeg(pixels: Any) -> str:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="JPEG", quality=82)
    return base64.b64encode(content.getvalue()).decode("ascii")
