"""Memory of a long export: cycles are looked for rarely, and what was freed goes back to the system."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

RARELY = (100_000, 50, 100)
"""Allocations before the young are looked at, and how often before the older are.

Lowering chase-cifar10 for LiteRT, seven methods, one thread: 28.5 s of processor time with Python's own 700, 10 and 10, 24.3 s with these, and
23.6 s without any collection, which would keep whole programs alive: they hold themselves in cycles.
"""


def give_back() -> None:
    """Give memory that was freed back to the system, where the C library has a call for it.

    Values of a few hundred kilobytes are freed between others that stay, and their pages are kept: after the rewrites of emov2-5m, 140 of 577 MB.
    """
    with suppress(OSError, AttributeError):  # not Linux, or not glibc
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Collect cycles rarely while this is open."""
    before = gc.get_threshold()
    gc.set_threshold(*RARELY)
    try:
        yield
    finally:
        gc.set_threshold(*before)
