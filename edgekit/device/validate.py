"""A report against its plan: what does not belong to it or does not add up is refused, with the same word in every language.

Nothing that a report concludes is believed: every summary is computed again from the raw samples. Times are held to the phone's own monotonic
clock: what is said to have taken time has to fit between the first and the last reading of it.
"""

import itertools
from collections.abc import Iterable

from edgekit.device.plan import THERMAL, Plan, Variant
from edgekit.device.report import Reading, Report, Result
from edgekit.device.summary import summary
from edgekit.errors import ReportError

_MOST_NS = 10**12
"""A quarter of an hour: no call takes that long, and sums stay within 64 bits."""

CUT = "cut"
"""Why sampling ended in a report that was written on the way: more samples were to come."""

_MOST_BYTES = 2**50
_EXPONENT = 0x7F800000


def check_report(report: Report, plan: Plan, *, partial: bool = False) -> None:
    """Refuse a report that is not one of this plan, or that contradicts itself.

    :param partial: it may have been written on the way; the results that are there count.
    :raises ReportError: ``run_id``, ``process``, ``incomplete``, ``env``, ``clock``, ``variant``, ``missing``, then of each result in turn
        ``sha256``, ``requested``, ``status``, ``warmup``, ``samples``, ``times``, ``exits``, ``summary``, ``memory``, ``operators``, ``finite``,
        ``thermal``, and at the end ``clock``; of several the first in this order.
    """
    _require("run_id", report.run_id == plan.run_id, f"it is of run {report.run_id[:40]}, not {plan.run_id}")
    _require("process", 0 <= report.process < plan.processes, f"process {report.process} of {plan.processes}")
    _require("incomplete", report.complete or partial, "it was written on the way")
    _check_env(report.env, complete=report.complete)
    variants = {variant.id: variant for variant in plan.variants}
    named = [result.variant for result in report.results]
    _require("variant", len(set(named)) == len(named) and set(named) <= variants.keys(), ", ".join(named)[:200])
    _require("missing", partial or len(named) == len(variants), f"{len(named)} of {len(variants)} variants")
    hottest = worst_thermal(report.env)
    for result in report.results:
        _require("status", not (report.complete and result.stop_reason == CUT), f"{result.variant}: cut short in a report that is whole")
        _check_result(result, variants[result.variant], plan, hottest)
    if report.complete:
        spent, passed = sum(map(_spent_ns, report.results)), report.env[-1].t_ns - report.env[0].t_ns
        _require("clock", spent <= passed, f"{spent} ns are said to have been spent in {passed} ns")


def worst_thermal(env: Iterable[Reading]) -> str | None:
    """Return the hottest state that was read; ``None``: none was."""
    return max((reading.thermal for reading in env if reading.thermal is not None), key=THERMAL.index, default=None)


def _check_env(env: tuple[Reading, ...], *, complete: bool) -> None:
    _require("env", len(env) >= (2 if complete else 1), f"{len(env)} readings of the phone's state")
    for reading in env:
        _require("env", reading.thermal is None or reading.thermal in THERMAL, reading.thermal)
        _require("env", reading.battery_pct is None or 0 <= reading.battery_pct <= 100, reading.battery_pct)
    times = [reading.t_ns for reading in env]
    _require("clock", times[0] >= 0 and all(later >= earlier for earlier, later in itertools.pairwise(times)), "its clock went backwards")


def _check_result(result: Result, variant: Variant, plan: Plan, hottest: str | None) -> None:
    _require("sha256", result.model_sha256 == variant.model_sha256, f"{variant.id}: another model was run, {result.model_sha256[:16]}...")
    _require("requested", result.requested == variant.compute, f"{variant.id}: {result.requested}, not {variant.compute}")
    measured = result.status in ("ok", "invalid")
    _require("status", (result.error is None) == (result.status == "ok"), f"{variant.id}: {result.status} with the error {result.error!r:.80}")
    there = (result.load_ns is not None, result.stop_reason is not None, result.summary is not None, bool(result.samples_ns))
    _require("status", all(there) if measured else not any(there[1:]), f"{variant.id}: {result.status}")
    _require("status", result.stop_reason != CUT or result.status == "invalid", f"{variant.id}: cut short, and {result.status}")
    if measured:
        _check_samples(result, variant, plan)
    _require("memory", result.memory is None or 0 <= result.memory.before_bytes <= result.memory.peak_bytes <= _MOST_BYTES, result.memory)
    _require("operators", all(0 <= count <= 10**6 for count in (result.operators or {}).values()), result.operators)
    bits = result.output_bits
    _require("finite", all(0 <= word < 2**32 and word & _EXPONENT != _EXPONENT for word in bits), f"{variant.id}: an output is not a finite number")
    too_hot = hottest is not None and THERMAL.index(hottest) > THERMAL.index(plan.thermal.max_start)
    _require("thermal", result.status != "ok" or not too_hot, f"{variant.id}: ok although the phone was {hottest}")


def _check_samples(result: Result, variant: Variant, plan: Plan) -> None:
    samples, name = result.samples_ns, variant.id
    _require("warmup", plan.warmup.min <= len(result.warmup_ns) <= plan.warmup.max, f"{name}: {len(result.warmup_ns)} warm-up calls")
    fewest = 1 if result.stop_reason == CUT else plan.measure.min
    _require("samples", fewest <= len(samples) <= plan.measure.max, f"{name}: {len(samples)} samples")
    pictures = 0 if variant.picture is None else len(samples)
    _require("samples", len(result.preprocess_ns) == pictures, f"{name}: {len(result.preprocess_ns)} times of preprocessing")
    load = result.load_ns
    every = (*result.warmup_ns, *samples, *result.preprocess_ns, *(() if load is None else (load.open, load.entry, load.first_call)))
    _require("times", all(0 <= time <= _MOST_NS for time in every) and min(samples) >= 1, f"{name}: a time is not 1 ns to 1000 s")
    last = 0 if variant.exit_policy is None else variant.exit_policy.exits
    exits = () if result.exits is None else result.exits
    _require("exits", (result.exits is None) == (last == 0), f"{name}: exits of a network without, or none of one with exits")
    _require("exits", last == 0 or (len(exits) == len(samples) and all(1 <= exit_ <= last for exit_ in exits)), f"{name}: exits of the samples")
    _require("summary", result.summary == summary(samples), f"{name}: the summary is not that of the samples")


def _spent_ns(result: Result) -> int:
    load = result.load_ns
    return sum((*result.warmup_ns, *result.samples_ns, *result.preprocess_ns)) + (0 if load is None else load.open + load.entry + load.first_call)


def _require(code: str, holds: bool, what: object) -> None:  # noqa: FBT001  a condition
    if not holds:
        raise ReportError(code, "the report cannot be believed", what=f"{what}"[:300], why=_WHY[code])


_WHY = {
    "run_id": "it is of another run",
    "process": "the plan has no such process",
    "incomplete": "the app ended before it was finished",
    "env": "the phone's state was not recorded as the plan asks",
    "clock": "the phone's monotonic clock contradicts it",
    "variant": "it has results that the plan does not ask for",
    "missing": "it lacks results that the plan asks for",
    "sha256": "the artifact that was run is not the one that was sent",
    "requested": "it is of another compute unit",
    "status": "its status does not fit what it holds",
    "warmup": "the plan asks for another number of warm-up calls",
    "samples": "the plan asks for another number of samples",
    "times": "times are integers of nanoseconds",
    "exits": "each sample leaves at one of the network's exits",
    "summary": "summaries are computed again from the raw samples",
    "memory": "no phone has that much memory, or the peak is below the beginning",
    "operators": "counts of operators are not below zero",
    "finite": "the network gave NaN or infinity",
    "thermal": "a run in which the phone gets hotter than the plan allows is not ok",
}
