"""Steady state: variants in turn, A B B A, after a warm-up that lasts until nothing gets faster any more."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from edgekit.bench.machine import FixedWork
from edgekit.bench.statistics import has_settled

_MOST_WARM_UPS = 60
_LONGEST_WARM_UP_S = 5.0


@frozen(kw_only=True)
class Samples:
    """Milliseconds by variant, one a round, and of the fixed work in the same rounds."""

    variants: Mapping[str, tuple[float, ...]]
    work: tuple[float, ...]


def interleaved(variants: Mapping[str, Callable[[], Any]], rounds: int, *, tick: Callable[[int], Any] = lambda _: None) -> Samples:
    """Time every variant once a round, every other round backwards, and the fixed work in between.

    :param tick: called after each round with its number, from 1.
    """
    for run in variants.values():
        warm_up(run)
    work = FixedWork()
    warm_up(work.run_ms)
    times: dict[str, list[float]] = {name: [] for name in variants}
    quiet: list[float] = []
    for number in range(1, rounds + 1):
        for name in list(variants) if number % 2 else list(variants)[::-1]:
            times[name].append(timed_ms(variants[name]))
        quiet.append(work.run_ms())
        tick(number)
    return Samples(variants={name: tuple(values) for name, values in times.items()}, work=tuple(quiet))


def warm_up(run: Callable[[], Any]) -> int:
    """Run until the times have settled, at most 60 times or 5 seconds; return how often it ran."""
    times: list[float] = []
    while len(times) < _MOST_WARM_UPS and sum(times) < _LONGEST_WARM_UP_S * 1e3 and not has_settled(times):
        times.append(timed_ms(run))
    return len(times)


def timed_ms(run: Callable[[], Any]) -> float:
    """Run once, in milliseconds."""
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1e3
