"""What a gate found: every budget with what was reached, and a sentence for each that is not kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from attrs import frozen

from edgekit.errors import BudgetError
from edgekit.gates.base import Base
from edgekit.gates.budgets import Budget, Group
from edgekit.gates.measure import Measured, Metric

Status = Literal["kept", "exceeded", "absent", "undecided", "not_measured"]
"""``absent``: the artifact has no such metric; ``undecided``: timed, and the limit lies within what is uncertain. ``exceeded`` and ``absent``
fail a gate."""

State = Literal["checked", "missing", "other_tools"]
FAILING = ("exceeded", "absent")


@frozen(kw_only=True)
class Check:
    """One budget and what was reached; ``reached`` is ``None`` where nothing was measured, ``note`` then says why."""

    budget: Budget
    reached: Metric | None
    status: Status
    note: str | None = None

    @property
    def sentence(self) -> str:
        """What is not kept, by how much, whose budget it is and why there is one."""
        budget = self.budget
        agreed = f"budget of {budget.owner}, {budget.date}: {budget.reason}"
        if self.reached is None:
            return f"{budget.metric} is not there, {bound_words(budget)} ({agreed})"
        excess = -budget.slack(self.reached.value)
        share = f", {excess / abs(budget.limit):.2%}" if budget.limit else ""
        over = "over" if budget.kind.bound == "max" else "under"
        reached, apart = spelled(self.reached.value, budget.kind.unit), spelled(excess, budget.kind.unit)
        return f"{budget.metric} is {reached}, {bound_words(budget)}: {apart}{share} {over} ({agreed})"


@frozen(kw_only=True)
class ArtifactGate:
    """One artifact: its budgets, and what it reached. ``state`` is not ``checked`` where the budgets could not be applied; ``reason`` says why."""

    name: str
    state: State
    group: Group
    measured: Measured | None
    checks: tuple[Check, ...]
    reason: str | None = None

    @property
    def failures(self) -> tuple[str, ...]:
        """A sentence for each thing that is not kept."""
        if self.reason is not None:
            return (f"{self.name}: {self.reason}",)
        return tuple(f"{self.name}: {check.sentence}" for check in self.checks if check.status in FAILING)


@frozen(kw_only=True)
class GateReport:
    """All artifacts, in the order of the file of budgets. ``base``: the earlier report they are compared with."""

    budgets: Path
    artifacts: tuple[ArtifactGate, ...]
    base: Base | None = None

    @property
    def failures(self) -> tuple[str, ...]:
        """A sentence for each thing that is not kept, of all artifacts."""
        return tuple(failure for artifact in self.artifacts for failure in artifact.failures)

    def counts(self) -> dict[str, int]:
        """Return how many budgets have which status."""
        statuses = [check.status for artifact in self.artifacts if artifact.state == "checked" for check in artifact.checks]
        return {status: statuses.count(status) for status in ("kept", "exceeded", "absent", "undecided", "not_measured")}


def require_budgets(report: GateReport) -> None:
    """Stop unless every budget is kept.

    :raises BudgetError: one is not, or could not be applied; the error names each.
    """
    failures = report.failures
    if not failures:
        return
    hint = "--why tells what grew; a limit may be raised in the file, by its owner, with a reason"
    if len(failures) == 1:
        raise BudgetError(failures[0], hint=hint)
    raise BudgetError(f"{len(failures)} budgets are not kept", what="; ".join(_listed(failures)), hint=hint)


def _listed(failures: tuple[str, ...]) -> Iterator[str]:
    for number, failure in enumerate(failures, 1):
        yield f"({number}) {failure}"


def bound_words(budget: Budget) -> str:
    """Return a budget's limit in words."""
    return f"{'at most' if budget.kind.bound == 'max' else 'at least'} {spelled(budget.limit, budget.kind.unit)} allowed"


def spelled(value: float, unit: str) -> str:
    """Return a value as people read it: ``5,886,424 bytes``, ``122.2 dB``, ``0.9876``."""
    number = f"{int(value):,}" if float(value).is_integer() and abs(value) >= 1 else f"{value:.4g}"
    return f"{number} {unit}" if unit not in ("", "share") else number
