"""Confidences in NumPy, and how they become integers.

The definitions, ranges and ties are those of :mod:`edgekit.ops.confidence`. Computed here in float64 and rounded to float32
once, so that every machine gets the same number; torch's float32 softmax is within a few units in the last place of it.

**Micro-units.** Thresholds and decisions are integers: ``micro = floor(confidence * 1_000_000)``. A float32 has 24 significant bits
and 1,000,000 has 14 behind its power of two, so the product is exact in float64 and the floor is the same in every
language. It makes three statements the same, t being the threshold in micro-units:

    micro >= t        confidence >= t / 1_000_000 (exact)        confidence >= the smallest float32 that is not below t / 1_000_000

A confidence that is not a number has no micro-units (-1 in arrays, null in files) and reaches no threshold, 0 included.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import BadInputError

Floats = NDArray[np.floating[Any]]
MICRO = 1_000_000
NOT_A_NUMBER = -1

_LOG_OF_NOTHING = -104.0  # as in edgekit.ops.confidence: below it float32 has no probability
_CHUNK = 1 << 17  # values worked on at once: a megabyte of float64 stays in a core's cache


def confidence(kind: str, logits: Floats, temperature: float | None = None) -> NDArray[np.float32]:
    """Return how sure each row is, larger is surer: ``(N, C)`` to ``(N,)`` float32.

    :param kind: ``max_softmax``, ``entropy`` or ``margin``.
    :param temperature: what the logits are divided by first, in float32.
    :raises BadInputError: not ``(N, C)`` with at least two classes.
    """
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise BadInputError(f"logits of shape {logits.shape} have no confidence", why="they have to be (samples, classes), with two classes or more")
    rows = max(1, _CHUNK // logits.shape[1])
    found = np.empty(len(logits), dtype=np.float32)
    with np.errstate(all="ignore"):  # infinities meet here by design, and give NaN
        for start in range(0, len(logits), rows):
            part = logits[start : start + rows].astype(np.float32)
            if temperature is not None:
                part /= np.float32(temperature)
            shifted = part.astype(np.float64)
            shifted -= shifted.max(axis=1, keepdims=True)
            found[start : start + rows] = _CONFIDENCES[kind](shifted)
    return found


def named(logits: Floats) -> NDArray[np.int32]:
    """Return the class each row names, the first of equal ones: ``(N, C)`` to ``(N,)``; -1 where a logit is NaN."""
    rows = max(1, _CHUNK // logits.shape[1])
    found = np.empty(len(logits), dtype=np.int32)
    for start in range(0, len(logits), rows):
        part = logits[start : start + rows].astype(np.float32)
        best = part.argmax(axis=1)  # NumPy lets NaN win
        value = part[np.arange(len(part)), best]
        found[start : start + rows] = np.where(np.isnan(value), NOT_A_NUMBER, best)
    return found


def to_micro(confidences: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return micro-units, 0 to 1,000,000, -1 for NaN; entropy's rounding may leave that range by a hair and is put back."""
    exact = np.floor(confidences.astype(np.float64) * MICRO)
    return np.where(np.isnan(exact), NOT_A_NUMBER, np.clip(np.nan_to_num(exact), 0, MICRO)).astype(np.int32)


def as_float32(micro: int) -> float:
    """Return the smallest float32 not below so many micro-units, as the shortest decimal that is that float32."""
    value = np.float32(micro / MICRO)
    if Fraction(float(value)) < Fraction(micro, MICRO):
        value = np.nextafter(value, np.float32(2))
    return float(np.format_float_positional(value, unique=True))


def _max_softmax(shifted: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = 1 / np.exp(shifted, out=shifted).sum(axis=1)
    return result


def _entropy(shifted: NDArray[np.float64]) -> NDArray[np.float64]:
    classes = shifted.shape[1]
    powers = np.exp(shifted)
    total = powers.sum(axis=1)
    np.maximum(shifted, _LOG_OF_NOTHING, out=shifted)
    # -H = sum p log p, with log p = shifted - log total
    negative = np.einsum("nc,nc->n", powers, shifted) / total - np.log(total)
    result: NDArray[np.float64] = 1 + negative / np.log(classes)
    return result


def _margin(shifted: NDArray[np.float64]) -> NDArray[np.float64]:
    second = np.partition(shifted, -2, axis=1)[:, -2]
    result: NDArray[np.float64] = (1 - np.exp(second)) / np.exp(shifted, out=shifted).sum(axis=1)
    return result


_CONFIDENCES: Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = MappingProxyType(
    {"max_softmax": _max_softmax, "entropy": _entropy, "margin": _margin}
)
CONFIDENCE_KINDS = tuple(_CONFIDENCES)
