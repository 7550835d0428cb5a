"""What is said of samples, in integers, so that every language says the same.

percentile   nearest rank: sorted[ceil(p * n / 100) - 1]
mean         half up: floor((2 * sum + n) / (2 * n))
trimmed      the mean without floor(n * permille / 2000) samples at each end; permille counts both ends together
p99          only of 100 samples and more
settled      the median of the last window is not further than so many per mille of the one before from it
"""

from collections.abc import Sequence
from typing import Any

from edgekit.errors import ReportError

TRIM_PERMILLE = 200
LEAST_FOR_P99 = 100


def percentile(samples: Sequence[int], share: int) -> int:
    """Return the nearest-rank percentile, ``share`` from 1 to 100.

    :raises ReportError: ``empty``, ``share``.
    """
    if not samples:
        raise ReportError("empty", "no samples have no percentile")
    if not 1 <= share <= 100:
        raise ReportError("share", f"{share} is no percentile")
    return sorted(samples)[-(-share * len(samples) // 100) - 1]


def mean(samples: Sequence[int]) -> int:
    """Return the mean, half up.

    :raises ReportError: ``empty``.
    """
    if not samples:
        raise ReportError("empty", "no samples have no mean")
    return (2 * sum(samples) + len(samples)) // (2 * len(samples))


def trimmed_mean(samples: Sequence[int], permille: int) -> int:
    """Return the mean without the shortest and the longest.

    :raises ReportError: ``empty``; ``share``: ``permille`` is not 0 to 999.
    """
    if not 0 <= permille < 1000:
        raise ReportError("share", f"{permille} per mille cannot be left out")
    cut = len(samples) * permille // 2000
    return mean(sorted(samples)[cut : len(samples) - cut])


def summary(samples: Sequence[int]) -> dict[str, Any]:
    """Return what a report says of its samples.

    :raises ReportError: ``empty``.
    """
    if not samples:
        raise ReportError("empty", "no samples have no summary")
    return {
        "n": len(samples),
        "min": min(samples),
        "p50": percentile(samples, 50),
        "p90": percentile(samples, 90),
        "p99": percentile(samples, 99) if len(samples) >= LEAST_FOR_P99 else None,
        "max": max(samples),
        "mean": mean(samples),
        "trimmed_mean": trimmed_mean(samples, TRIM_PERMILLE),
    }


def settled(samples: Sequence[int], window: int, permille: int) -> bool:
    """Whether the last ``window`` samples take as long as those before: ``|last - before| * 1000 <= permille * before``, of medians."""
    if window < 1 or len(samples) < 2 * window:
        return False
    before, last = percentile(samples[-2 * window : -window], 50), percentile(samples[-window:], 50)
    return abs(last - before) * 1000 <= permille * before


def warm_ups(times: Sequence[int], *, least: int, most: int, window: int, permille: int) -> int:
    """Return after how many of these calls warm-up ends: settled after at least ``least``, or ``most`` of them.

    :raises ReportError: ``short``: it would have gone on.
    """
    for count in range(most + 1):
        if count == most or (count >= least and settled(times[:count], window, permille)):
            return count
        if count == len(times):
            break
    raise ReportError("short", f"{len(times)} calls, and warm-up is not over")


def stop_reason(
    samples: Sequence[int], elapsed_ns: int, *, least: int, most: int, min_ms: int, max_ms: int, stop: str, window: int, permille: int
) -> str | None:
    """Return why sampling ends after these samples, ``count``, ``time`` or ``settled``; ``None``: it goes on.

    :param elapsed_ns: since the first sample began.
    :param stop: ``fixed``: goes on to ``most`` or ``max_ms``; ``settled``: also ends when nothing changes.
    """
    if len(samples) >= most:
        return "count"
    if len(samples) < least:
        return None
    if elapsed_ns >= max_ms * 1_000_000:
        return "time"
    if stop == "settled" and elapsed_ns >= min_ms * 1_000_000 and settled(samples, window, permille):
        return "settled"
    return None
