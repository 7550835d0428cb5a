"""Weights as integers and scales, symmetric around zero: ``weight = scale * integer``.

    weights (O, I, ...) float32  ->  integers int8 of that shape, scales (O, B, 1, ...) float32: I/B weights in a row share a scale

Scales are numbers of half precision, so that a format which stores them in two bytes loses nothing, and are rounded up: nothing is cut off.
Of four bits a scale is smaller than the largest weight asks for where cutting that one off costs less than a coarse grid for all others.
"""

import numpy as np
from attrs import frozen

Array = np.ndarray

_SMALLEST = float(np.finfo(np.float16).smallest_subnormal)
_SHRUNK = np.linspace(1.0, 0.6, 21)  # what is tried where the grid is coarse
_COARSE = 4  # bits


@frozen(kw_only=True)
class Integers:
    """What stands for weights: ``integers`` int8 of their shape, ``scales`` float32 ``(O, B, 1, ...)``, numbers that half precision holds."""

    integers: Array
    scales: Array

    @property
    def values(self) -> Array:
        """The weights that are left, float32."""
        blocks = self.scales.shape[1]
        shape = self.integers.shape
        split = self.integers.reshape(shape[0], blocks, shape[1] // blocks, *shape[2:]).astype(np.float32)
        return np.asarray((split * self.scales[:, :, None]).reshape(shape))


def to_integers(weights: Array, bits: int, *, blocks: int = 1) -> Integers:
    """Choose a scale for each row, or for each of several blocks of a row, and return integers and scales.

    :param weights: ``(O, I, ...)``. :param bits: 2 to 8; the integers are -(2**(bits-1) - 1) to 2**(bits-1) - 1.
    :param blocks: of a row; divides ``I``.
    :raises ValueError: it does not.
    """
    rows, width, *rest = weights.shape
    if width % blocks:
        raise ValueError(f"{blocks} blocks in {width} weights")
    split = weights.reshape(rows, blocks, -1).astype(np.float64)
    largest = (1 << (bits - 1)) - 1
    fitting = np.abs(split).max(axis=2) / largest
    scales = best = _as_half(fitting)
    integers = _rounded(split, scales, largest)
    if bits <= _COARSE:
        error = _error(split, integers, scales)
        for factor in _SHRUNK[1:]:
            scales = _as_half(fitting * factor)
            tried = _rounded(split, scales, largest)
            better = (found := _error(split, tried, scales)) < error
            best, error = np.where(better, scales, best), np.where(better, found, error)
            integers = np.where(better[:, :, None], tried, integers)
    return Integers(integers=integers.astype(np.int8).reshape(weights.shape), scales=best.astype(np.float32).reshape(rows, blocks, *[1] * len(rest)))


def _rounded(split: Array, scales: Array, largest: int) -> Array:
    return np.clip(np.rint(split / scales[:, :, None]), -largest, largest)


def _error(split: Array, integers: Array, scales: Array) -> Array:
    return np.asarray(((integers * scales[:, :, None] - split) ** 2).sum(axis=2))


def _as_half(scales: Array) -> Array:
    """Return the next numbers of half precision that are not smaller, and not zero."""
    halves = scales.astype(np.float16)
    halves = np.where(halves.astype(np.float64) < scales, np.nextafter(halves, np.float16(np.inf)), halves)
    return np.maximum(halves.astype(np.float64), _SMALLEST)
