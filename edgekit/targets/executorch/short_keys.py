"""Names XNNPACK's constants in a file by the first 64 bits of their sha256.

The converter stores each constant under its sha256 in hex, once in the program and once in the delegate's payload: 128
bytes of name for each, 17 kB for a network of 130 constants. 64 bits keep equal constants together, and two different
ones among a thousand meet with a chance of 3 in 10^14; the run after every export would show it.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any

from attrs import frozen

_HEX_DIGITS = 16


@frozen
class _Digest:
    data: bytes

    def hexdigest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()[:_HEX_DIGITS]


class _Hashlib:
    """Stands in for ``hashlib`` in the one module that names constants."""

    sha256 = _Digest


@contextlib.contextmanager
def short_keys() -> Iterator[None]:
    """Shorten the keys inside the block. Not for two threads at once."""
    from executorch.backends.xnnpack.operators import node_visitor

    visitor: Any = node_visitor
    original = visitor.hashlib
    visitor.hashlib = _Hashlib
    try:
        yield
    finally:
        visitor.hashlib = original
