"""A gate's report as the JSON document that ``--json`` prints, and that a later gate compares with."""

from collections.abc import Iterable
from typing import Any

import attrs

from edgekit.gates.contents import to_json as contents_json
from edgekit.gates.kinds import kind_of
from edgekit.gates.measure import Measured
from edgekit.gates.pareto import pareto_changes
from edgekit.gates.ratchet import Tightened
from edgekit.gates.report import ArtifactGate, Check, GateReport
from edgekit.gates.why import Explanation


def to_json(report: GateReport, explanations: Iterable[Explanation] | None = None, tightened: Iterable[Tightened] = ()) -> dict[str, Any]:
    """Return plain JSON values; ``edgekit/schemas/gate.schema.json`` describes them.

    :param explanations: of ``--why``; ``None``: not asked for. :param tightened: what ``--ratchet`` changed.
    """
    return {
        "schema_version": 1,
        "command": "gate",
        "budgets": str(report.budgets),
        "verdict": "exceeded" if report.failures else "kept",
        "failures": list(report.failures),
        "base": None if report.base is None else str(report.base.path),
        "artifacts": [_artifact(artifact) for artifact in report.artifacts],
        "pareto": [attrs.asdict(change) for change in pareto_changes(report)],
        "why": None if explanations is None else [attrs.asdict(explanation) for explanation in explanations],
        "tightened": [attrs.asdict(row) for row in tightened],
    }


def _artifact(artifact: ArtifactGate) -> dict[str, Any]:
    measured = artifact.measured
    return {
        "name": artifact.name,
        "state": artifact.state,
        "reason": artifact.reason,
        "path": None if measured is None else str(measured.path),
        "target": None if measured is None else measured.target,
        "sha256": None if measured is None else measured.sha256,
        "tools": {} if measured is None else dict(measured.tools),
        "floor_bytes": None if measured is None else measured.floor_bytes,
        "metrics": {} if measured is None else _metrics(measured),
        "contents": None if measured is None else contents_json(measured.contents),
        "budgets": [_check(check) for check in artifact.checks],
    }


def _metrics(measured: Measured) -> dict[str, Any]:
    return {name: {"unit": kind_of(name).unit, **attrs.asdict(metric)} for name, metric in measured.metrics.items()}


def _check(check: Check) -> dict[str, Any]:
    budget, reached = check.budget, check.reached
    return {
        "metric": budget.metric,
        "bound": budget.kind.bound,
        "limit": budget.limit,
        "reached": None if reached is None else reached.value,
        "slack": None if reached is None else budget.slack(reached.value),
        "status": check.status,
        "note": check.note,
        "owner": budget.owner,
        "reason": budget.reason,
        "date": budget.date.isoformat(),
    }
