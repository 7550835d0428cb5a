"""Fashion-MNIST as Debian packages it: four files of IDX, the format of MNIST, compressed with gzip.

    offset 0   00 00 08 DD   unsigned bytes, DD dimensions
    offset 4   DD sizes      big-endian, 4 bytes each
    then       the values    the last dimension fastest

Source: Xiao, Rasul, Vollgraf, "Fashion-MNIST", 2017, arXiv:1708.07747; the classes in its order.
"""

import gzip
import zlib
from pathlib import Path
from typing import Literal

import numpy as np

from edgekit.data.pictures import Array, PixelPictures
from edgekit.errors import BadInputError

Split = Literal["train", "test"]

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")

_SIDE = 28
_COUNTS = {"train": 60_000, "test": 10_000}
_PREFIXES = {"train": "train", "test": "t10k"}


def read_fashion_mnist(folder: Path, split: Split) -> PixelPictures:
    """Read one split, ``train`` (60,000) or ``test`` (10,000), its grey values as red, green and blue.

    :param folder: the unpacked package, as ``edgekit data pull fashion-mnist`` leaves it.
    :return: ``pixels`` uint8 ``(N, 28, 28, 3)``, ``labels`` int64 ``(N,)``, 0 to 9.
    :raises BadInputError: a file is missing or is not what the package holds.
    """
    count, prefix = _COUNTS[split], _PREFIXES[split]
    grey = _idx(folder / f"{prefix}-images-idx3-ubyte.gz", (count, _SIDE, _SIDE))
    labels = _idx(folder / f"{prefix}-labels-idx1-ubyte.gz", (count,)).astype(np.int64)
    return PixelPictures(origin=f"fashion-mnist {split}", prefix=split, pixels=np.repeat(grey[..., None], 3, axis=-1), labels=labels, classes=CLASSES)


def _idx(path: Path, shape: tuple[int, ...]) -> Array:
    """Read a file of exactly this shape: nothing is made that the file merely announces."""
    header = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
    size_bytes = len(header) + int(np.prod(shape))
    try:
        with gzip.open(path) as stream:
            content = stream.read(size_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInputError(f"cannot read {path.name}", why=str(error), hint="fetch it again: edgekit data pull fashion-mnist") from error
    if not content.startswith(header) or len(content) != size_bytes:
        raise BadInputError(f"{path.name} is not of Fashion-MNIST", what=f"expected: IDX of bytes, shape {shape}")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)
