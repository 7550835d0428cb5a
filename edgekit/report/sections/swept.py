"""What sweeps found: a row an artifact, and accuracy against size."""

from edgekit.report import chart
from edgekit.report.entry import Entry
from edgekit.report.evidence import SWEEP, Source
from edgekit.report.page import Block, Cell, Figure, Section, Text, megabytes, missing, number, percent, table
from edgekit.report.results import Results
from edgekit.sweep_store.table import best

_INTRO = (
    "Every artifact answered on labelled pictures beside its eager model. Not beaten: no artifact of any model that answered on as many pictures "
    "is as small and as accurate (and as fast, where both were timed), and better in one of these."
)
_HEADER = ("artifact", "status", "size", "pictures", "accuracy", "eager", "agreement", "won", "lost", "p50 ms", "not beaten")
_MOST_LABELS = 26


def section(results: Results) -> Section | None:
    """Return the tables of all sweeps; what failed is said with its reason."""
    sources = results.evidence.of(SWEEP)
    if not sources:
        return None
    blocks: list[Block] = [Text(_INTRO)]
    for source in sources:
        blocks += _blocks(source)
    return Section(key="sweeps", title="Sweeps", blocks=tuple(blocks))


def _blocks(source: Source) -> list[Block]:
    rows = source.entry.entries("results")
    unbeaten = best([row.values for row in rows])
    name = source.entry.text("name") or source.name
    told = table(f"Sweep {name}", _HEADER, [_cells(row, kept) for row, kept in zip(rows, unbeaten, strict=True)], note=_note(source))
    failed = [
        Text(f"{_named(row)} failed: {(row.text('error') or 'no reason stored').splitlines()[0]}", "bad") for row in rows if _status(row) == "failed"
    ]
    shown = [(row, kept) for row, kept in zip(rows, unbeaten, strict=True) if row.number("accuracy") is not None and row.integer("size_bytes")]
    return [*([_figure(name, shown)] if len(shown) > 1 else []), told, *failed]


def _figure(name: str, shown: list[tuple[Entry, bool]]) -> Figure:
    targets = sorted({row.text("target") or "?" for row, _ in shown})
    points = [
        chart.Point(
            x=(row.integer("size_bytes") or 0) / 1e6,
            y=100 * (row.number("accuracy") or 0.0),
            label=f"{row.text('model')} {row.text('precision')}" if kept and len(shown) <= _MOST_LABELS else "",
            series=targets.index(row.text("target") or "?"),
        )
        for row, kept in shown
    ]
    x, y = chart.logarithmic("MB", [point.x for point in points]), chart.linear("top-1, %", [point.y for point in points])
    front = [f"{_named(row)} ({row.number('accuracy'):.1%})" for row, kept in shown if kept]
    picture = chart.points(points, x, y) + chart.key(targets)
    return Figure(title=f"Accuracy against size: sweep {name}", description=f"Not beaten: {'; '.join(front)}.", picture=picture)


def _cells(row: Entry, unbeaten: bool) -> tuple[Cell | str, ...]:  # noqa: FBT001
    tone = {"done": "plain", "failed": "bad"}.get(_status(row), "open")
    return (
        _named(row),
        Cell(_status(row), tone),  # type: ignore[arg-type]
        megabytes(row.integer("size_bytes")),
        *(missing() if row.integer(key) is None else Cell(f"{row.integer(key)}") for key in ("pictures",)),
        *(percent(row.number(key), 2) for key in ("accuracy", "eager_accuracy", "agreement")),
        *(missing() if row.integer(key) is None else Cell(f"{row.integer(key)}") for key in ("wins", "losses")),
        number(row.number("p50_ms")),
        "yes" if unbeaten else "",
    )


def _status(row: Entry) -> str:
    return row.text("status") or "not done"


def _named(row: Entry) -> str:
    resolution, form = row.integer("resolution"), row.text("form")
    parts = [row.text("model"), row.text("target"), row.text("precision"), None if resolution is None else str(resolution)]
    return " ".join(part for part in (*parts, None if form == "methods" else form) if part)


def _note(source: Source) -> str:
    data = source.entry.text("data") or "nothing"
    return f"Accuracy on {data}, the first pictures in the order of seed 0; time on one core of the machine that swept."
