"""Inputs that every language makes alike, so that no tensor has to be sent to a phone and outputs can be compared.

state = fnv1a32(name) xor seed, then for every element  state = (state * 1664525 + 1013904223) mod 2^32:

float32        (state >> 8) / 2^24, exact
uint8, image   state >> 24
int32, int64   (state >> 8) mod 100

Source of the constants: Numerical Recipes' linear congruential generator.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_MULTIPLIER, _INCREMENT, _MASK = 1_664_525, 1_013_904_223, 0xFFFFFFFF


def states(name: str, seed: int, count: int) -> Iterator[int]:
    """Yield the generator's states for a tensor of so many elements."""
    state = 0x811C9DC5
    for byte in name.encode():
        state = ((state ^ byte) * 0x01000193) & _MASK
    state ^= seed & _MASK
    for _ in range(count):
        state = (state * _MULTIPLIER + _INCREMENT) & _MASK
        yield state


def integers(name: str, seed: int, count: int, dtype: str) -> list[int]:
    """Return the elements as integers; of float32 those before the division by 2^24."""
    shift = 24 if dtype in ("uint8", "image") else 8
    if dtype in ("int32", "int64"):
        return [(state >> shift) % 100 for state in states(name, seed, count)]
    return [state >> shift for state in states(name, seed, count)]


def tensor(name: str, seed: int, shape: tuple[int, ...], dtype: str) -> "np.ndarray":
    """Return the tensor of that name, seed, shape and dtype."""
    import numpy as np

    row = np.array(integers(name, seed, math.prod(shape), dtype), np.int64).reshape(shape)
    if dtype == "float32":
        return (row / 2**24).astype(np.float32)
    return row.astype("uint8" if dtype == "image" else dtype)
