"""From a photograph to a model's input; the one definition that the phone harnesses follow too."""

from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import BadInputError
from edgekit.interface import Preprocessing

Array = np.ndarray
_MAX_PIXELS = 100_000_000  # a decompression bomb is refused before it is decoded


def load_image(path: Path | Traversable) -> Any:
    """Decode a photograph to an RGB PIL image, upright as its orientation tag says.

    :raises BadInputError: not a readable image, or an unreasonably large one.
    """
    from PIL import Image, ImageOps

    try:
        with path.open("rb") as stream, Image.open(stream) as image:
            _check(image, path.name)
            return ImageOps.exif_transpose(image).convert("RGB")
    except BadInputError:
        raise
    except Exception as error:  # bytes that somebody else wrote fail in any way there is
        raise BadInputError(f"cannot read the image {path.name}", why=str(error) or type(error).__name__) from error


def _check(image: Any, name: str) -> None:
    if image.width * image.height > _MAX_PIXELS:
        raise BadInputError(f"{name} has {image.width} x {image.height} pixels", hint="scale it down first")
    if image.mode.startswith(("I", "F")):  # Pillow would cut these values off at 255
        raise BadInputError(f"{name} has more than 8 bits a channel", what=f"mode {image.mode}", hint="convert it to 8 bits first")


def to_pixels(image: Any, preprocessing: Preprocessing) -> Array:
    """Resize the shorter side to ``int(resolution / crop_ratio)`` and cut out the centre: uint8 ``(R, R, 3)``."""
    from PIL import Image

    size = preprocessing.resolution
    shorter = int(size / preprocessing.crop_ratio)
    factor = shorter / min(image.size)
    scaled = tuple(max(shorter, round(side * factor)) for side in image.size)
    resampling = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}[preprocessing.interpolation]
    image = image.resize(scaled, resampling)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)), dtype=np.uint8)


def normalise(pixels: Array, preprocessing: Preprocessing) -> Array:
    """Return the float32 input ``(1, 3, R, R)`` of uint8 RGB pixels ``(R, R, 3)``."""
    scaled = pixels.astype(np.float32) / np.float32(255)
    normal = (scaled - np.asarray(preprocessing.mean, np.float32)) / np.asarray(preprocessing.std, np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])
