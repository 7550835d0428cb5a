"""Reports as rows: those of ``edgekit bench``, with what only a phone has beside them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from edgekit.device.plan import Plan, Variant
from edgekit.device.report import Report, Result
from edgekit.device.summary import mean, percentile
from edgekit.device.validate import worst_thermal

_MS = 1e6
EXITS = "exits"
"""Stands in a row for the methods of a network with exits, run until the policy lets a sample go."""


def document(plan: Plan, reports: Sequence[Report], artifacts: Mapping[str, Path]) -> dict[str, Any]:
    """Return the results of a run as plain JSON values, a row for each variant and process.

    :param reports: checked ones. :param artifacts: where a model's file lies here, by its name; unknown ones keep their name.
    """
    variants = {variant.id: variant for variant in plan.variants}
    return {
        "schema_version": 1,
        "command": "device run",
        "run_id": plan.run_id,
        "context": _context(reports),
        "results": [
            _row(result, variants[result.variant], report, artifacts) | {"process": report.process, "complete": report.complete}
            for report in reports
            for result in report.results
        ],
    }


def _context(reports: Sequence[Report]) -> dict[str, Any] | None:
    if not reports:
        return None
    first = reports[0]
    env = [reading for report in reports for reading in report.env]
    return {
        "device": attrs.asdict(first.device),
        "harness": attrs.asdict(first.harness),
        "thermal": {"start": env[0].thermal, "worst": worst_thermal(env), "end": env[-1].thermal},
        "battery_pct": {"start": env[0].battery_pct, "end": env[-1].battery_pct},
        "charging": env[0].charging,
        "low_power": any(reading.low_power for reading in env) if any(reading.low_power is not None for reading in env) else None,
    }


def _row(result: Result, variant: Variant, report: Report, artifacts: Mapping[str, Path]) -> dict[str, Any]:
    del report
    samples, load = result.samples_ns, result.load_ns
    return {
        "artifact": str(artifacts.get(variant.model, variant.model)),
        "variant": variant.id,
        "engine": attrs.asdict(result.engine),
        "sha256": result.model_sha256,
        "method": variant.stages[0].entry if variant.exit_policy is None else EXITS,
        "threads": variant.threads,
        "status": result.status,
        "error": result.error,
        "compute": {"requested": result.requested, "actual": result.actual, "basis": result.actual_basis, "operators": result.operators},
        "load_ms": None if load is None else (load.open + load.entry) / _MS,
        "first_ms": None if load is None else load.first_call / _MS,
        "warmup_ms": [time / _MS for time in result.warmup_ns],
        "samples_ms": [time / _MS for time in samples],
        "p50_ms": percentile(samples, 50) / _MS if samples else None,
        "p90_ms": percentile(samples, 90) / _MS if samples else None,
        "min_ms": min(samples) / _MS if samples else None,
        "preprocess_p50_ms": percentile(result.preprocess_ns, 50) / _MS if result.preprocess_ns else None,
        "peak_memory_bytes": None if result.memory is None else result.memory.peak_bytes - result.memory.before_bytes,
        "exits": _exits(result, variant),
        "output_digest": result.output_digest,
    }


def _exits(result: Result, variant: Variant) -> dict[str, Any] | None:
    """Return how many samples left at each exit and how long they took; the mean over all is the latency in expectation on these inputs."""
    if result.exits is None or variant.exit_policy is None or not result.samples_ns:
        return None
    counts = Counter(result.exits)
    rows = []
    for number in range(1, variant.exit_policy.exits + 1):
        left = [time for time, exit_ in zip(result.samples_ns, result.exits, strict=True) if exit_ == number]
        share = counts[number] / len(result.exits)
        rows.append({"exit": number, "count": counts[number], "share": share, "p50_ms": percentile(left, 50) / _MS if left else None})
    return {"by_exit": rows, "expected_ms": mean(result.samples_ns) / _MS}
