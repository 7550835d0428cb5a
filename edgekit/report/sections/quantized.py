"""How quantized artifacts answer beside the eager model, on pictures that they were not calibrated on."""

from collections.abc import Callable, Sequence

from edgekit.report.manifests import ArtifactRow, JudgementRow
from edgekit.report.page import Block, Cell, Section, Text, missing, percent, table
from edgekit.report.results import Results
from edgekit.report.sections.support import status_cell, trained_cell

_INTRO = (
    "Agreement is the share of pictures with the same class as eager, the lowest of all exits. Accuracy, where pictures have labels, is the last "
    "answer's; won and lost are pictures that only the artifact or only eager has right. Several draws are several choices of calibration "
    "pictures: the first draw's artifact is the one that was kept, the range tells how much the choice matters."
)


def section(results: Results) -> Section | None:
    """Return a row a quantized artifact, also one that nothing could judge."""
    rows = [row for row in results.artifacts if row.quantization is not None]
    if not rows:
        return None
    header = ("artifact", "status", "weights", "pictures", "agreement", "over draws", "SQNR dB", "accuracy", "eager", "won", "lost")
    blocks: tuple[Block, ...] = (Text(_INTRO), table("Quantized artifacts beside eager", header, [_cells(row) for row in rows]))
    return Section(key="quantized", title="Quantization", blocks=blocks)


def _cells(row: ArtifactRow) -> tuple[Cell | str, ...]:
    if not row.judgements:
        return (row.name, status_cell(row.parity.status), trained_cell(row), *[missing()] * 8)
    kept = row.judgements[0]
    return (
        row.name,
        status_cell(row.parity.status),
        trained_cell(row),
        _count(kept.samples),
        percent(kept.agreement),
        _range(row.judgements, lambda one: one.agreement),
        missing() if kept.sqnr_db is None else Cell(f"{kept.sqnr_db:.1f}"),
        percent(kept.accuracy),
        percent(kept.eager_accuracy),
        _count(kept.wins),
        _count(kept.losses),
    )


def _count(value: int | None) -> Cell:
    return missing() if value is None else Cell(f"{value}")


def _range(judgements: Sequence[JudgementRow], of: Callable[[JudgementRow], float | None]) -> Cell:
    values = [value for one in judgements if (value := of(one)) is not None]
    return missing() if len(values) < 2 else Cell(f"{min(values):.1%} to {max(values):.1%} ({len(values)})")
