"""A gate's report as rows of text, for a terminal and for Markdown."""

from collections.abc import Iterable, Iterator

from edgekit.gates.pareto import ParetoChange, pareto_changes
from edgekit.gates.report import ArtifactGate, Check, GateReport, spelled
from edgekit.gates.why import Explanation, Row

HEADER = ("metric", "reached", "limit", "room", "base", "budget")
_MOST_ROWS = 30
_MOST_NAMES = 4
_COUNTED = {"constants": "bytes of constants", "operators": "operators", "nodes": "nodes of the program that was lowered"}


def rows_of(artifact: ArtifactGate, report: GateReport) -> list[tuple[str, ...]]:
    """Return one row a budget, under :data:`HEADER`."""
    earlier = None if report.base is None else report.base.artifacts.get(artifact.name)
    return [_row(check, None if earlier is None else earlier.metrics.get(check.budget.metric)) for check in artifact.checks]


def _row(check: Check, before: float | None) -> tuple[str, ...]:
    budget, reached = check.budget, check.reached
    unit = budget.kind.unit
    limit = f"{'<=' if budget.kind.bound == 'max' else '>='} {spelled(budget.limit, '')}"
    status = check.status.replace("_", " ") + (f": {check.note}" if check.note else "")
    if reached is None:
        return (budget.metric, "-", limit, "-", "-", status)
    change = "-" if before is None else "same" if before == reached.value else f"{reached.value - before:+,.6g}"
    return (budget.metric, spelled(reached.value, unit), limit, spelled(budget.slack(reached.value), ""), change, status)


def markdown(report: GateReport, explanations: Iterable[Explanation] | None = None) -> str:
    """Return the report for a comment on a change."""
    lines = ["# Budgets", "", *(f"- **{_escaped(failure)}**" for failure in report.failures)]
    if not report.failures:
        lines.append("All are kept.")
    for artifact in report.artifacts:
        lines += ["", f"## {artifact.name}", ""]
        if artifact.reason is not None:
            lines += [_escaped(artifact.reason), ""]
        if artifact.checks:
            lines += [_line(HEADER), _line(("---",) * len(HEADER)), *(_line(row) for row in rows_of(artifact, report))]
    if changes := pareto_changes(report):
        lines += ["", "## Worth having", "", *(f"- {_escaped(pareto_line(change))}" for change in changes)]
    for explanation in explanations or ():
        lines += ["", f"## Why: {explanation.name}", "", "```", *why_lines(explanation), "```"]
    return "\n".join(lines) + "\n"


def pareto_line(change: ParetoChange) -> str:
    """Return a model's front in words."""
    found = f"{change.model}: {', '.join(change.front)} (by {', '.join(change.measures)})"
    if change.joined is None or change.left is None:
        return found
    moves = [f"{word}: {', '.join(names)}" for word, names in (("new", change.joined), ("no longer", change.left)) if names]
    return f"{found}; {'; '.join(moves) or 'as before'}"


def why_lines(explanation: Explanation) -> Iterator[str]:
    """Yield an explanation for people, line by line."""
    total, floor = explanation.total_bytes, explanation.floor_bytes
    if floor is not None:
        yield f"{total:,} bytes; its parameters alone {floor:,}; {total - floor:+,} bytes ({total / floor - 1:+.2%}) around them"
    yield from _duplicate_lines(explanation)
    for counted, rows in (explanation.grown or {}).items():
        yield f"{_COUNTED[counted]}: {'what changed' if rows else 'nothing changed'}"
        yield from (_tree_line(row) for row in rows[:_MOST_ROWS])
        if len(rows) > _MOST_ROWS:
            yield f"  ... {len(rows) - _MOST_ROWS} more, all of them in --json"
    if explanation.note is not None:
        yield explanation.note


def _duplicate_lines(explanation: Explanation) -> Iterator[str]:
    if explanation.duplicates is None:
        yield "stored twice: unknown, this format's constants have no names"
        return
    wasted = sum(row.wasted for row in explanation.duplicates)
    yield f"stored twice: {wasted:,} bytes" if wasted else "stored twice: nothing"
    for row in explanation.duplicates[:_MOST_ROWS]:
        more = f", ... ({len(row.names)})" if len(row.names) > _MOST_NAMES else ""
        yield f"  {row.wasted:>12,}  {', '.join(row.names[:_MOST_NAMES])}{more}"


def _tree_line(row: Row) -> str:
    return f"  {row.now - row.before:>+12,}  {'  ' * row.depth}{row.part}  ({row.before:,} to {row.now:,})"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")
