"""What gates said: committed budgets, reached values, and how much room is left."""

from edgekit.report.entry import Entry
from edgekit.report.page import Block, Cell, Section, Text, Tone, missing, table
from edgekit.report.results import Results

_TONES: dict[str, Tone] = {"kept": "good", "exceeded": "bad"}


def section(results: Results) -> Section | None:
    """Return one table a gate; what could not be decided is open, not kept."""
    blocks: list[Block] = []
    for source in results.evidence.of("gate"):
        entry = source.entry
        verdict = entry.text("verdict") or "verdict not stored"
        about = f"{source.name}: {verdict}; file of {source.date.isoformat()}"
        blocks.append(Text(about, _TONES.get(verdict, "open")))
        blocks += [Text(failure, "bad") for failure in entry.texts("failures")]
        rows = [_cells(artifact, check) for artifact in entry.entries("artifacts") for check in artifact.entries("budgets")]
        if rows:
            header = ("artifact", "metric", "status", "limit", "reached", "room", "owner", "reason", "set on")
            blocks.append(table(f"Budgets ({source.name})", header, rows))
    return Section(key="budgets", title="Budgets", blocks=tuple(blocks)) if blocks else None


def _cells(artifact: Entry, check: Entry) -> tuple[Cell | str, ...]:
    status = check.text("status") or "status not stored"
    return (
        artifact.text("name") or missing(),
        check.text("metric") or missing(),
        Cell(status.replace("_", " "), _TONES.get(status, "open")),
        _value(check.number("limit"), check.text("bound")),
        _value(check.number("reached")),
        _value(check.number("slack")),
        check.text("owner") or missing(),
        check.text("reason") or missing(),
        check.text("date") or missing(),
    )


def _value(value: float | None, bound: str | None = None) -> Cell:
    if value is None:
        return missing()
    text = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"
    return Cell({"max": "at most ", "min": "at least "}.get(bound or "", "") + text)
