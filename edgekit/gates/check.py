"""``check_budget``: artifacts against a file of budgets."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
from attrs import frozen

from edgekit.errors import BudgetFileError, UsageError
from edgekit.gates.accuracy import Accuracy, measure_accuracy, swept_accuracies
from edgekit.gates.base import read_base
from edgekit.gates.budgets import Budget, Group, read_budgets
from edgekit.gates.kinds import ACCURACY, LATENCY
from edgekit.gates.latency import Timed, time_artifact
from edgekit.gates.locate import locate
from edgekit.gates.measure import Measured, Metric, measure
from edgekit.gates.report import ArtifactGate, Check, GateReport, Status


@frozen(kw_only=True)
class Latency:
    """That time is to be measured, too, and what it is compared with: a folder of the same artifacts as they were, or ``None``."""

    base: Path | None = None
    threads: int = 1
    samples: int = 40


def check_budget(
    budgets: str | Path,
    *,
    artifacts: Sequence[str | Path] = (".",),
    compare: str | Path | None = None,
    latency: Latency | None = None,
    accuracy: Accuracy | None = None,
    swept: str | Path | None = None,
) -> GateReport:
    """Measure artifacts and hold them to their budgets; :func:`edgekit.gates.report.require_budgets` raises where one is not kept.

    :param budgets: a TOML file, see :mod:`edgekit.gates.budgets`.
    :param artifacts: files, or folders in which every artifact with budgets has to be: a missing one is a failure.
    :param compare: the JSON document of an earlier gate.
    :param latency: ``None``: nothing is timed, and budgets for time are left out. :param accuracy: likewise, of labelled pictures.
    :param swept: the store of a sweep, whose accuracies are taken instead of measured, by the artifacts' sha256.
    :raises BudgetFileError: the budgets or the earlier report cannot be read. :raises UsageError: an artifact without budgets is named.
    :raises ArtifactError: an artifact is truncated, foreign, without a manifest, or not what its manifest says.
    :raises BadInputError: the labelled pictures cannot be had, or are not for these artifacts. :raises EvidenceError: the store is none.
    """
    if accuracy is not None and swept is not None:
        raise UsageError("accuracy is to be measured and to be taken from a sweep", hint="--accuracy or --sweep")
    path = Path(budgets)
    groups = read_budgets(path)
    base = None if compare is None else read_base(Path(compare))
    places = [Path(place) for place in artifacts]
    if not places:
        raise UsageError("no artifact to check")
    found = locate([group.name for group in groups], places)
    by_name = {name: [group for group in groups if group.name == name] for name in found}
    known = {} if swept is None else swept_accuracies(Path(swept))
    rows = tuple(_gate(found[name], own, latency, accuracy, known) for name, own in by_name.items())
    return GateReport(budgets=path, artifacts=rows, base=base)


def _gate(
    path: Path | None, groups: Sequence[Group], latency: Latency | None, accuracy: Accuracy | None, swept: Mapping[str, Mapping[str, Metric]]
) -> ArtifactGate:
    name = groups[0].name
    if path is None:
        return ArtifactGate(name=name, state="missing", group=groups[0], measured=None, checks=(), reason="the artifact is missing, it has budgets")
    measured = measure(path)
    differing = {group.position: group.differing_tools(measured.tools) for group in groups}
    nearest = min(groups, key=lambda group: len(differing[group.position]))
    if sum(not found for found in differing.values()) > 1:
        raise BudgetFileError(f"two tables for {name} fit the tools it was made with", what=str(dict(measured.tools)), hint="name more tools in one")
    if differing[nearest.position]:
        reason = (
            f"its budgets are for other tools, so they say nothing: {'; '.join(differing[nearest.position])}. "
            "Agree on budgets for these: a table of the same name with the new versions"
        )
        return ArtifactGate(name=name, state="other_tools", group=nearest, measured=measured, checks=_checks(nearest, measured, None), reason=reason)
    timed = None if latency is None else time_artifact(path, base=latency.base, threads=latency.threads, samples=latency.samples)
    if timed is not None:
        measured = attrs.evolve(measured, metrics={**measured.metrics, **timed.metrics})
    if accuracy is not None and any(budget.metric.startswith(ACCURACY) for budget in nearest.budgets):
        measured = attrs.evolve(measured, metrics={**measured.metrics, **measure_accuracy(path, accuracy)})
    measured = attrs.evolve(measured, metrics={**measured.metrics, **swept.get(measured.sha256, {})})
    return ArtifactGate(name=name, state="checked", group=nearest, measured=measured, checks=_checks(nearest, measured, timed))


def _checks(group: Group, measured: Measured, timed: Timed | None) -> tuple[Check, ...]:
    return tuple(_check(budget, measured.metrics.get(budget.metric), timed) for budget in group.budgets)


def _check(budget: Budget, reached: Metric | None, timed: Timed | None) -> Check:
    if budget.metric.startswith(ACCURACY) and reached is None:
        return Check(budget=budget, reached=None, status="not_measured", note="--accuracy measures it, --sweep takes it from a sweep")
    if not budget.metric.startswith(LATENCY):
        return Check(budget=budget, reached=reached, status="absent" if reached is None else _status(budget, reached))
    if timed is None:
        return Check(budget=budget, reached=None, status="not_measured", note="--latency measures it")
    if timed.refusal is not None:
        return Check(budget=budget, reached=reached, status="undecided" if timed.tried else "not_measured", note=timed.refusal)
    if reached is None and timed.leaves_out(budget.metric):
        return Check(budget=budget, reached=None, status="not_measured", note="there is no base artifact to compare with")
    return Check(budget=budget, reached=reached, status="absent" if reached is None else _status(budget, reached))


def _status(budget: Budget, reached: Metric) -> Status:
    """Return whether a budget is kept: exceeded only where all of the interval is; it is a point for what is counted."""
    ends = [budget.slack(value) for value in (reached.low, reached.high)]
    if min(ends) >= 0:
        return "kept"
    return "exceeded" if max(ends) < 0 else "undecided"
