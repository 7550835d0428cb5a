"""The pictures on which artifacts are compared with eager: photographs first, then what photographs do not reach."""

from importlib import resources
from typing import Any

import numpy as np
from attrs import frozen

from edgekit.interface import Preprocessing
from edgekit.preprocess import load_image, normalise, to_pixels

Array = np.ndarray

PHOTOGRAPHS = ("china.jpg", "flower.jpg")
_NOISE_SEEDS = (0, 1)
FEWEST = 9
"""Of pictures to compare on; any number more."""
_SMALLEST_PART = 0.3
"""Of a photograph's shorter side."""


@frozen(kw_only=True)
class Sample:
    """One input: 8-bit RGB pixels ``(R, R, 3)`` as a phone would hold them, and the normalised ``(1, 3, R, R)`` tensor."""

    name: str
    tensor: Array
    pixels: Array


def verification_samples(preprocessing: Preprocessing, count: int = FEWEST) -> tuple[Sample, ...]:
    """Return nine inputs: two photographs, both mirrored, one upside down, black, a ramp, and two of noise; then parts of photographs.

    :param count: of all; beyond nine squares cut out of the photographs are added, of any size and place, every other one mirrored.
    """
    images = [load_image(resources.files("edgekit") / "photographs" / name) for name in PHOTOGRAPHS]
    photographs = [to_pixels(image, preprocessing) for image in images]
    size = preprocessing.resolution
    ramp = np.linspace(0, 255, size, dtype=np.float64).astype(np.uint8)
    pictures = {
        "photograph china": photographs[0],
        "photograph flower": photographs[1],
        "photograph china, mirrored": photographs[0][:, ::-1],
        "photograph flower, mirrored": photographs[1][:, ::-1],
        "photograph china, upside down": photographs[0][::-1],
        "black": np.zeros((size, size, 3), np.uint8),
        "ramp": np.stack(
            [np.broadcast_to(ramp, (size, size)), np.broadcast_to(ramp[:, None], (size, size)), np.full((size, size), 128, np.uint8)], axis=-1
        ),
    } | {f"noise {seed}": np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8) for seed in _NOISE_SEEDS}
    for number in range(1, count - FEWEST + 1):
        which = number % len(images)
        part = _part(images[which], np.random.default_rng(number), preprocessing)
        mirrored = number % 4 >= 2
        name = f"photograph {PHOTOGRAPHS[which].removesuffix('.jpg')}, part {number}{', mirrored' if mirrored else ''}"
        pictures[name] = part[:, ::-1] if mirrored else part
    return tuple(Sample(name=name, tensor=normalise(pixels, preprocessing), pixels=np.ascontiguousarray(pixels)) for name, pixels in pictures.items())


def _part(image: Any, rng: np.random.Generator, preprocessing: Preprocessing) -> Array:
    """Cut a square out of a photograph, its size and place drawn."""
    side = round(min(image.size) * rng.uniform(_SMALLEST_PART, 1))
    left, top = (int(rng.integers(0, length - side + 1)) for length in image.size)
    return to_pixels(image.crop((left, top, left + side, top + side)), preprocessing)
