"""What is computed in floating point, by rules that leave no choice. Kinds and their ``input``:

| kind | input | expect |
| --- | --- | --- |
| ``confidence`` | ``kind``, ``bits``: float32 logits as their 32 bits, ``temperature_micro`` or null | ``micro``, ``class``; null: not a number |
| ``preprocess`` | ``width``, ``height``, ``seed``, and the members of a plan's ``picture`` | below |

The picture of ``preprocess`` is noise called ``picture`` of ``width * height * 3`` bytes, rows of RGB pixels. Expected are ``pixels_sha256`` over
the bytes of the cropped pixels, ``normalised_sha256`` over the little-endian float32 values in the order channels, rows, columns, and the ``first``
pixels.

No confidence is so close to where float32 rounds the other way that the last bits of a machine's exponential could decide: the generator sees to it.
"""

import hashlib
import math
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from cases_numbers import guarded
from PIL import Image

from edgekit.device.noise import integers
from edgekit.interface import Preprocessing
from edgekit.policy.confidences import confidence, named, to_micro
from edgekit.preprocess import normalise, to_pixels

Case = dict[str, Any]
Inputs = Iterator[tuple[str, Case]]
_NAN, _INFINITY = float("nan"), float("inf")


def run_confidence(given: Case) -> Case:
    """Return the micro-units and the class of one row of logits."""
    logits = np.array([struct.unpack("<f", struct.pack("<I", bits))[0] for bits in given["bits"]], np.float32)[None]
    temperature = None if given["temperature_micro"] is None else given["temperature_micro"] / 1_000_000
    (sure,) = confidence(given["kind"], logits, temperature)
    micro = int(to_micro(np.array([sure]))[0])
    exact = _again(given["kind"], [float(value) / (1 if temperature is None else float(np.float32(temperature))) for value in logits[0]])
    if not np.isnan(sure) and {float(np.float32(exact * (1 + nudge))) for nudge in (-1e-12, 0, 1e-12)} != {float(sure)}:
        raise ValueError(f"{sure} hangs on the last bits of an exponential")
    (best,) = named(logits)
    return {"micro": None if micro < 0 else micro, "class": None if best < 0 else int(best)}


def _again(kind: str, logits: list[float]) -> float:
    """Return a confidence in float64, written down once more."""
    powers = sorted(math.exp(value - max(logits)) for value in logits)
    shares = [power / math.fsum(powers) for power in powers]
    if kind == "entropy":
        return 1 + math.fsum(share * math.log(share) for share in shares if share > 0) / math.log(len(shares))
    return shares[-1] - (shares[-2] if kind == "margin" else 0)


def _confidence() -> Inputs:
    rows: list[tuple[str, list[float]]] = [
        ("three classes", [1.0, 2.0, 0.5]),
        ("two classes", [0.25, -0.75]),
        ("large logits", [1000.0, 998.5, 3.0]),
        ("far below zero", [-500.0, -501.25, -502.0]),
        ("a lead that rounds to one", [30.0, 0.0, 0.0]),
        ("all alike", [2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]),
        ("the two largest alike: the first is named", [1.0, 3.0, 3.0]),
        ("a class ruled out", [1.5, -_INFINITY, 0.5]),
        ("NaN", [1.0, _NAN, 0.0]),
        ("+infinity", [1.0, _INFINITY, 0.0]),
        ("ten classes", [0.1, 0.7, -1.2, 3.4, 0.0, 2.2, -0.3, 1.1, 0.9, -2.0]),
    ]
    for kind in ("max_softmax", "entropy", "margin"):
        for name, logits in rows:
            if (kind, name) in (("entropy", "all alike"), ("entropy", "a lead that rounds to one")):
                continue  # zero and one but for rounding: a step
            yield f"{kind}: {name}", {"kind": kind, "bits": [_bits(value) for value in logits], "temperature_micro": None}
    warm = [_bits(value) for value in (1.0, 2.0, 0.5)]
    for temperature in (500_000, 1_500_000, 3_141_593):
        yield f"divided by {temperature} micro-units first", {"kind": "max_softmax", "bits": warm, "temperature_micro": temperature}


def run_preprocess(given: Case) -> Case:
    """Return the digests of a picture's pixels and of the input they become."""
    width, height = given["width"], given["height"]
    picture = np.array(integers("picture", given["seed"], width * height * 3, "uint8"), np.uint8).reshape(height, width, 3)
    how = Preprocessing(
        resolution=given["resolution"],
        crop_ratio=given["crop_micro"] / 1_000_000,
        interpolation=given["interpolation"],
        mean=tuple(value / 1_000_000 for value in given["mean_micro"]),
        std=tuple(value / 1_000_000 for value in given["std_micro"]),
    )
    pixels = to_pixels(Image.fromarray(picture), how)
    normal = normalise(pixels, how).astype("<f4")
    digests = {"pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(), "normalised_sha256": hashlib.sha256(normal.tobytes()).hexdigest()}
    return digests | {"first": pixels.reshape(-1)[:6].tolist()}


def _preprocess() -> Inputs:
    imagenet = {"mean_micro": [485_000, 456_000, 406_000], "std_micro": [229_000, 224_000, 225_000]}
    plain = {"mean_micro": [0, 0, 0], "std_micro": [1_000_000, 1_000_000, 1_000_000]}
    rows: list[tuple[str, int, int, int, int, str, Case]] = [
        ("smaller, bicubic", 80, 60, 32, 875_000, "bicubic", imagenet),
        ("smaller, bilinear", 80, 60, 32, 875_000, "bilinear", imagenet),
        ("larger, bicubic", 20, 17, 48, 900_000, "bicubic", imagenet),
        ("larger, bilinear", 20, 17, 48, 900_000, "bilinear", imagenet),
        ("upright", 33, 71, 24, 875_000, "bicubic", plain),
        ("the size it has: only cropped", 64, 64, 56, 875_000, "bicubic", imagenet),
        ("one side as it is", 96, 64, 56, 875_000, "bilinear", imagenet),
        ("nothing is cropped off", 50, 50, 25, 1_000_000, "bicubic", plain),
        ("a half is rounded to even", 45, 30, 13, 1_000_000, "bicubic", plain),
        ("much smaller", 300, 200, 8, 500_000, "bicubic", imagenet),
        ("one pixel high", 7, 1, 8, 800_000, "bilinear", plain),
        ("one pixel", 1, 1, 4, 1_000_000, "bicubic", plain),
        ("a ratio that is no fraction of two", 61, 47, 37, 952_000, "bicubic", imagenet),
    ]
    for seed, (name, width, height, resolution, crop, interpolation, values) in enumerate(rows):
        size = {"width": width, "height": height, "seed": seed, "resolution": resolution}
        yield name, {**size, "crop_micro": crop, "interpolation": interpolation, **values}


def _bits(value: float) -> int:
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


RUNNERS = {"confidence": guarded(run_confidence), "preprocess": guarded(run_preprocess)}
INPUTS = {"confidence": _confidence, "preprocess": _preprocess}
ABOUT = {
    "confidence": "How sure a row of logits is, in micro-units: float64, rounded to float32 once, floor(1e6 * it).",
    "preprocess": "Resize, crop and normalise as Pillow does: pixels are equal, not close.",
}
