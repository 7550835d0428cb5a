"""How many inputs one call of an artifact may take: ``batch=1..8``."""

import re

from edgekit.errors import UsageError

ALONE = 1
_RANGE = re.compile(r"batch=1\.\.([1-9]\d{0,3})")
_SIZES = re.compile(r"(\w+)=.*")


def largest_batch(dynamic: str | None) -> int:
    """Return the end of a range; 1 where none is asked for.

    :raises UsageError: it is no range, or one of something else than the batch.
    """
    if dynamic is None:
        return ALONE
    found = _RANGE.fullmatch(dynamic)
    if found is not None and int(found[1]) > ALONE:
        return int(found[1])
    other = _SIZES.fullmatch(dynamic)
    if other is not None and other[1] != "batch":
        raise UsageError(
            f"--dynamic {dynamic}: only the batch can be left open",
            why="windows, positions and counts are constants of one size of the picture, and phones plan their memory by it",
            hint="an artifact for each size: --resolution 192 -o build/192, then --resolution 256 -o build/256",
        )
    raise UsageError(f"--dynamic {dynamic} is no range", what="from 1 to at most 9999", hint="--dynamic batch=1..8")


def tried(largest: int) -> tuple[int, ...]:
    """Return the batches at which an artifact is compared: the ends and one between, besides one at a time."""
    return tuple(dict.fromkeys(size for size in (2, (largest + 1) // 2, largest) if size > ALONE))
