"""What is computed in integers. Kinds and their ``input``:

| kind | input | expect |
| --- | --- | --- |
| ``summary`` | ``samples`` | what a report says of them |
| ``percentile``, ``trimmed_mean`` | ``samples``, ``share`` | ``value`` |
| ``warmup`` | ``times``, ``min``, ``max``, ``window``, ``rel_permille`` | ``calls`` |
| ``stop`` | ``samples``, ``elapsed_ns``, and the members of a plan's ``measure`` and ``warmup`` that count | ``reason``; null: goes on |
| ``turns`` | ``variants``, ``rounds``, ``process`` | ``turns`` |
| ``gate`` | ``thermal``, ``limit``, ``waited_ms``, ``wait_ms`` | ``decision`` |
| ``noise`` | ``name``, ``seed``, ``count``, ``dtype`` | ``values``; of float32 before the division by 2^24 |
"""

from collections.abc import Callable, Iterator
from typing import Any

from edgekit.device.gate import gate
from edgekit.device.noise import integers
from edgekit.device.ordering import turns
from edgekit.device.summary import percentile, stop_reason, summary, trimmed_mean, warm_ups
from edgekit.errors import PlanError, ReportError

Case = dict[str, Any]
Inputs = Iterator[tuple[str, Case]]


def guarded(run: Callable[[Case], Case]) -> Callable[[Case], Case]:
    """Return a runner that turns an error into its code."""

    def runner(given: Case) -> Case:
        try:
            return {"expect": run(given)}
        except (PlanError, ReportError) as error:
            return {"error": error.code}

    return runner


def _summary() -> Inputs:
    yield "one sample", {"samples": [7]}
    yield "two samples", {"samples": [2, 1]}
    yield "a mean is rounded half up", {"samples": [1, 2, 2, 1]}
    yield "ties", {"samples": [5, 5, 5, 5, 5]}
    yield "nine samples trim nothing", {"samples": [9, 8, 7, 6, 5, 4, 3, 2, 1]}
    yield "ten samples trim one at each end", {"samples": [1, 2, 3, 4, 5, 6, 7, 8, 9, 1000]}
    yield "ninety-nine have no p99", {"samples": list(range(99, 0, -1))}
    yield "a hundred have one", {"samples": list(range(100, 0, -1))}
    yield "a hundred and one", {"samples": [value * 37 % 101 + 1 for value in range(101)]}
    yield "longer than 32 bits", {"samples": [900_000_000_000, 900_000_000_001, 900_000_000_003]}
    yield "error: no samples", {"samples": []}


def _percentile() -> Inputs:
    for name, samples, share in (
        ("p50 of four is the second", [4, 3, 2, 1], 50),
        ("p51 of four is the third", [4, 3, 2, 1], 51),
        ("p90 of ten is the ninth", list(range(1, 11)), 90),
        ("p91 of ten is the tenth", list(range(1, 11)), 91),
        ("p1 is the least", [3, 2, 9], 1),
        ("p100 is the most", [3, 2, 9], 100),
        ("error: p0", [1], 0),
        ("error: p101", [1], 101),
        ("error: of nothing", [], 50),
    ):
        yield name, {"samples": samples, "share": share}


def _trimmed() -> Inputs:
    for name, samples, share in (
        ("nothing is left out", [1, 2, 10], 0),
        ("half of three: none at each end", [1, 2, 10], 500),
        ("of four, 500 per mille: one at each end", [1, 2, 4, 100], 500),
        ("all but the middle", [1, 2, 3, 4, 1000], 999),
        ("a fifth of twenty", [*range(1, 20), 10_000], 200),
        ("error: 1000 per mille", [1, 2], 1000),
        ("error: of nothing", [], 200),
    ):
        yield name, {"samples": samples, "share": share}


def _warmup() -> Inputs:
    falling = [14_900, 13_000, 11_000, 9_000, 8_000, 7_000, 6_500, 6_400, 6_400, 6_400, 6_400, 6_400]
    rows: list[tuple[str, list[int], tuple[int, int, int, int]]] = [
        ("settled at once goes on to the floor", [100] * 20, (5, 20, 2, 20)),
        ("times that fall are waited for", falling, (2, 30, 2, 20)),
        ("never settled stops at the cap", [1000, 500, 1000, 500, 1000, 500], (0, 6, 1, 20)),
        ("a window of one", [1000, 1000], (0, 9, 1, 0)),
        ("2% and no more", [1000, 980], (0, 9, 1, 20)),
        ("more than 2%", [1000, 979, 979], (0, 9, 1, 20)),
        ("slower counts as not settled, too", [1000, 1100, 1100], (0, 9, 1, 20)),
        ("no warm-up", [], (0, 0, 5, 20)),
        ("a cap of one", [5], (0, 1, 5, 20)),
        ("the floor is the cap", [5, 4, 3], (3, 3, 1, 20)),
        ("error: it would go on", [1000, 500], (5, 9, 1, 20)),
    ]
    for name, times, (least, most, window, permille) in rows:
        yield name, {"times": times, "min": least, "max": most, "window": window, "rel_permille": permille}


def _stop() -> Inputs:
    rows: list[tuple[str, list[int], int, tuple[int, int, int, int, str]]] = [
        ("too few go on", [100] * 2, 10**12, (3, 9, 0, 1, "fixed")),
        ("the count is reached", [100] * 9, 0, (3, 9, 0, 1000, "fixed")),
        ("fixed goes on between", [100] * 6, 0, (3, 9, 0, 1000, "fixed")),
        ("the time is over", [100] * 3, 1_000_000_000, (3, 9, 0, 1000, "fixed")),
        ("a nanosecond before it is not", [100] * 3, 999_999_999, (3, 9, 0, 1000, "fixed")),
        ("settled ends", [100] * 4, 0, (3, 9, 0, 1000, "settled")),
        ("settled waits for its time", [100] * 4, 4_999_999, (3, 9, 5, 1000, "settled")),
        ("settled after its time", [100] * 4, 5_000_000, (3, 9, 5, 1000, "settled")),
        ("not settled goes on", [100, 100, 200, 200], 0, (3, 9, 0, 1000, "settled")),
        ("too few to have settled", [100] * 3, 0, (3, 9, 0, 1000, "settled")),
        ("count comes before time", [100] * 9, 10**12, (3, 9, 0, 1, "fixed")),
    ]
    for name, samples, elapsed, (least, most, min_ms, max_ms, stop) in rows:
        bounds = {"min": least, "max": most, "min_ms": min_ms, "max_ms": max_ms, "stop": stop, "window": 2, "rel_permille": 20}
        yield name, {"samples": samples, "elapsed_ns": elapsed, **bounds}


def _turns() -> Inputs:
    for name, variants, rounds, process in (
        ("A B B A", 2, 2, 0),
        ("an odd process begins backwards", 2, 2, 1),
        ("three variants, three rounds", 3, 3, 0),
        ("one variant", 1, 3, 1),
        ("error: no variant", 0, 1, 0),
        ("error: too many variants", 65, 1, 0),
        ("error: no round", 1, 0, 0),
        ("error: a process below zero", 1, 1, -1),
        ("error: a seventeenth process", 1, 1, 16),
    ):
        yield name, {"variants": variants, "rounds": rounds, "process": process}


def _gate() -> Inputs:
    for name, thermal, limit, waited, wait in (
        ("cool enough", "nominal", "nominal", 0, 1000),
        ("as warm as allowed", "fair", "fair", 0, 1000),
        ("cooler than allowed", "nominal", "critical", 0, 1000),
        ("too warm, with time to wait", "fair", "nominal", 999, 1000),
        ("too warm, and waited enough", "fair", "nominal", 1000, 1000),
        ("too warm, and no waiting", "critical", "serious", 0, 0),
        ("not told", None, "nominal", 0, 0),
    ):
        yield name, {"thermal": thermal, "limit": limit, "waited_ms": waited, "wait_ms": wait}


def _noise() -> Inputs:
    for name, tensor, seed, count, dtype in (
        ("float32", "image", 0, 8, "float32"),
        ("another seed", "image", 1, 8, "float32"),
        ("another name", "features_0", 0, 8, "float32"),
        ("bytes", "image", 0, 8, "uint8"),
        ("a picture is bytes", "image", 0, 8, "image"),
        ("integers below 100", "tokens", 7, 8, "int64"),
        ("int32 is int64", "tokens", 7, 8, "int32"),
        ("the largest seed", "x", 2**31 - 1, 4, "float32"),
        ("a name beyond ASCII is its UTF-8", "é", 0, 4, "float32"),
        ("no elements", "image", 0, 0, "float32"),
    ):
        yield name, {"name": tensor, "seed": seed, "count": count, "dtype": dtype}


def _run_stop(given: Case) -> Case:
    names = {"least": "min", "most": "max", "min_ms": "min_ms", "max_ms": "max_ms", "stop": "stop", "window": "window", "permille": "rel_permille"}
    return {"reason": stop_reason(given["samples"], given["elapsed_ns"], **{ours: given[theirs] for ours, theirs in names.items()})}


def _run_warmup(given: Case) -> Case:
    bounds = {"least": given["min"], "most": given["max"], "window": given["window"], "permille": given["rel_permille"]}
    return {"calls": warm_ups(given["times"], **bounds)}


RUNNERS = {
    "summary": guarded(lambda given: summary(given["samples"])),
    "percentile": guarded(lambda given: {"value": percentile(given["samples"], given["share"])}),
    "trimmed_mean": guarded(lambda given: {"value": trimmed_mean(given["samples"], given["share"])}),
    "warmup": guarded(_run_warmup),
    "stop": guarded(_run_stop),
    "turns": guarded(lambda given: {"turns": turns(**given)}),
    "gate": guarded(lambda given: {"decision": gate(given["thermal"], given["limit"], given["waited_ms"], given["wait_ms"])}),
    "noise": guarded(lambda given: {"values": integers(given["name"], given["seed"], given["count"], given["dtype"])}),
}
INPUTS = {
    "summary": _summary,
    "percentile": _percentile,
    "trimmed_mean": _trimmed,
    "warmup": _warmup,
    "stop": _stop,
    "turns": _turns,
    "gate": _gate,
    "noise": _noise,
}
ABOUT = {
    "summary": "What a report says of its samples, in nanoseconds.",
    "percentile": "Nearest rank.",
    "trimmed_mean": "The mean without floor(n * share / 2000) samples at each end, half up.",
    "warmup": "After how many calls warm-up ends.",
    "stop": "Why sampling ends after these samples; null: it goes on.",
    "turns": "In which order variants run.",
    "gate": "Whether a phone is cool enough to begin.",
    "noise": "Seeded inputs that no file has to carry.",
}
