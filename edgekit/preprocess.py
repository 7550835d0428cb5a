"""From a photograph to a model's input; the one definition that the phone harnesses follow too."""

import io
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import BadInputError
from edgekit.interface import Preprocessing

Array = np.ndarray
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # of Pillow's fifty some run other programs, and few are tested well
_MAX_FILE_BYTES = 400_000_000  # what the largest picture takes uncompressed, and some
_MAX_PIXELS = 100_000_000  # a decompression bomb is refused before it is decoded


def load_image(path: Path | Traversable) -> Any:
    """Decode a photograph to an RGB PIL image, upright as its orientation tag says.

    :raises BadInputError: not a readable image, or an unreasonably large one.
    """
    return decode_image(read_image_file(path), path.name)


def read_image_file(path: Path | Traversable) -> bytes:
    """Return what is in a picture file, not yet decoded.

    :raises BadInputError: it cannot be read, or is unreasonably large.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(path.name, error) from error
    if len(content) > _MAX_FILE_BYTES:
        raise BadInputError(f"{path.name} has more than {_MAX_FILE_BYTES // 1_000_000} MB", hint="scale it down first")
    return content


def decode_image(content: bytes, name: str) -> Any:
    """Decode the bytes of a picture file to an RGB PIL image, upright as its orientation tag says; transparency is dropped.

    :param name: of the file, for the error.
    :raises BadInputError: not a readable image, of a format that is not among ``IMAGE_FORMATS``, or an unreasonably large one.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(content), formats=IMAGE_FORMATS) as image:
            _check(image, name)
            return ImageOps.exif_transpose(image).convert("RGB")
    except BadInputError:
        raise
    except Exception as error:  # bytes that somebody else wrote fail in any way there is
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> BadInputError:
    why = "it is none of " + ", ".join(IMAGE_FORMATS) if type(error).__name__ == "UnidentifiedImageError" else str(error)
    return BadInputError(f"cannot read the image {name}", why=why or type(error).__name__)


def _check(image: Any, name: str) -> None:
    if image.width * image.height > _MAX_PIXELS:
        raise BadInputError(f"{name} has {image.width} x {image.height} pixels", hint="scale it down first")
    if image.mode.startswith(("I", "F")):  # Pillow would cut these values off at 255
        raise BadInputError(f"{name} has more than 8 bits a channel", what=f"mode {image.mode}", hint="convert it to 8 bits first")


def to_pixels(image: Any, preprocessing: Preprocessing) -> Array:
    """Resize the shorter side to ``int(resolution / crop_ratio)`` and cut out the centre: uint8 ``(R, R, 3)``.

    :raises BadInputError: the picture is so long and thin that it would have more pixels than one that is read may have.
    """
    from PIL import Image

    size = preprocessing.resolution
    shorter = int(size / preprocessing.crop_ratio)
    factor = shorter / min(image.size)
    scaled = tuple(max(shorter, round(side * factor)) for side in image.size)
    if scaled[0] * scaled[1] > _MAX_PIXELS:
        raise BadInputError(f"a picture of {image.width} x {image.height} pixels would be resized to {scaled[0]} x {scaled[1]}", hint="crop it first")
    resampling = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}[preprocessing.interpolation]
    # Each pass rounds to 8 bits, so their order shows. Pillow 13 goes by the shape, earlier ones and the phones begin with the rows: said here.
    image = image.resize((scaled[0], image.height), resampling).resize(scaled, resampling)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)), dtype=np.uint8)


def normalise(pixels: Array, preprocessing: Preprocessing) -> Array:
    """Return the float32 input ``(1, 3, R, R)`` of uint8 RGB pixels ``(R, R, 3)``."""
    scaled = pixels.astype(np.float32) / np.float32(255)
    normal = (scaled - np.asarray(preprocessing.mean, np.float32)) / np.asarray(preprocessing.std, np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])
