"""What was run where: one row a model and precision, one column a target, from manifests alone."""

from collections.abc import Iterable

from edgekit.capabilities import TARGETS
from edgekit.report.manifests import ArtifactRow, Status
from edgekit.report.page import Block, Cell, Section, Text, Tone, missing, table
from edgekit.report.results import Results

TONES: dict[Status, Tone] = {"executed": "good", "interpreted": "good", "failed": "bad", "not executed": "open", "not stored": "open"}
_MARKS: dict[Status, str] = {"executed": "✓ executed", "interpreted": "✓ interpreted", "failed": "✗ failed"}

_LEGEND = (
    "Executed: the file was run by its own runtime and equals the eager model within its limits. Interpreted: edgekit computed the file itself, "
    "operator by operator; Apple's runtime was not involved. Not executed: nothing is proved. A dash: no such artifact is stored here."
)


def section(results: Results) -> Section | None:
    """Return the matrix, and below it each artifact with its digest and day."""
    rows = results.artifacts
    if not rows:
        return None
    targets = _targets(rows)
    matrix: list[tuple[Cell | str, ...]] = []
    for variant in dict.fromkeys(row.variant for row in rows):
        of_variant = [row for row in rows if row.variant == variant]
        weights = {row.trained for row in of_variant}
        label = f"{variant} (untrained)" if weights == {False} else variant
        matrix.append((label, *(_matrix_cell([row for row in of_variant if row.target == target]) for target in targets)))
    each: list[tuple[Cell | str, ...]] = [
        (
            row.name,
            status_cell(row.parity.status),
            row.parity.executed_by or missing(),
            trained_cell(row),
            missing() if row.parity.samples is None else str(row.parity.samples),
            row.date.isoformat(),
            row.sha256[:16] or missing(),
            ", ".join(f"{name} {version}" for name, version in row.tools.items()) or missing(),
            row.parity.reason or "",
        )
        for row in rows
    ]
    blocks: tuple[Block, ...] = (
        Text(_LEGEND),
        table("Support by stored evidence", ("model", *targets), matrix),
        table(
            "Each artifact",
            ("artifact", "status", "run by", "weights", "samples", "file of", "sha256", "made with", "reason"),
            each,
            note="Days are those of the manifests' files: a manifest holds no time, so that equal exports are equal bytes.",
        ),
    )
    return Section(key="support", title="What is proved", blocks=blocks)


def _targets(rows: Iterable[ArtifactRow]) -> tuple[str, ...]:
    known = [facts.name for facts in TARGETS]
    return (*known, *sorted({row.target for row in rows} - set(known)))


def _matrix_cell(rows: list[ArtifactRow]) -> Cell:
    """Return every precision with its status, coloured as the worst: what is stored twice must hold twice."""
    if not rows:
        return Cell("–")
    precisions = sorted({row.precision for row in rows}, key=str)
    worst = {precision: min(_rank(row) for row in rows if row.precision == precision) for precision in precisions}
    told = [f"{status_cell(_WORST_FIRST[rank]).text} {precision or ''}".strip() for precision, rank in worst.items()]
    return Cell(", ".join(told), TONES[_WORST_FIRST[min(worst.values())]])


def _rank(row: ArtifactRow) -> int:
    return _WORST_FIRST.index(row.parity.status)


_WORST_FIRST: tuple[Status, ...] = ("failed", "not stored", "not executed", "interpreted", "executed")


def status_cell(status: Status) -> Cell:
    """Return a status in words."""
    return Cell(_MARKS.get(status, status), TONES[status])


def trained_cell(row: ArtifactRow) -> Cell:
    """Return whether an artifact's weights were trained, in words."""
    return Cell("not known", "open") if row.trained is None else Cell("trained") if row.trained else Cell("untrained", "open")
