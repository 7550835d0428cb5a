"""The pictures on which artifacts are compared with eager: photographs first, then what photographs do not reach."""

from importlib import resources

import numpy as np
from attrs import frozen

from edgekit.interface import Preprocessing
from edgekit.preprocess import load_image, normalise, to_pixels

Array = np.ndarray

PHOTOGRAPHS = ("china.jpg", "flower.jpg")
_NOISE_SEEDS = (0, 1)


@frozen(kw_only=True)
class Sample:
    """One input: 8-bit RGB pixels ``(R, R, 3)`` as a phone would hold them, and the normalised ``(1, 3, R, R)`` tensor."""

    name: str
    tensor: Array
    pixels: Array


def verification_samples(preprocessing: Preprocessing) -> tuple[Sample, ...]:
    """Return nine inputs: two photographs, both mirrored, one upside down, black, a ramp, and two of noise."""
    photographs = [to_pixels(load_image(resources.files("edgekit") / "data" / name), preprocessing) for name in PHOTOGRAPHS]
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
    return tuple(Sample(name=name, tensor=normalise(pixels, preprocessing), pixels=np.ascontiguousarray(pixels)) for name, pixels in pictures.items())
