"""What artifacts weigh, by section of the file."""

from edgekit.report import chart
from edgekit.report.page import Block, Cell, Figure, Section, megabytes, missing, percent, table
from edgekit.report.results import Results
from edgekit.report.sections.support import trained_cell

_SECTIONS = ("weights", "graph", "delegates", "metadata", "other")
_BYTES = {"fp32": 4, "fp16": 2}
_MOST_BARS = 24


def section(results: Results) -> Section | None:
    """Return a table of all artifacts, and their sizes as bars."""
    rows = [row for row in results.artifacts if row.size_bytes is not None]
    if not rows:
        return None
    cells: list[tuple[Cell | str, ...]] = []
    for row in rows:
        bytes_each = _BYTES.get(row.precision or "")
        floor = None if bytes_each is None or row.parameters is None else bytes_each * row.parameters
        parameters = missing() if row.parameters is None else Cell(f"{row.parameters / 1e6:,.2f} M")
        macs = missing() if row.macs is None else Cell(f"{row.macs / 1e6:,.0f} M")
        over = percent(None if not floor or row.size_bytes is None else row.size_bytes / floor - 1)
        parts = (megabytes(row.sections.get(name)) for name in _SECTIONS)
        cells.append((row.name, megabytes(row.size_bytes), *parts, parameters, over, macs, trained_cell(row)))
    head = ("artifact", "size", *_SECTIONS, "parameters", "beyond them", "multiply-adds", "weights are")
    note = "MB are 1e6 bytes. Beyond them: what the file takes more than its parameters at their precision. Multiply-adds: of one run of all methods."
    blocks: list[Block] = [table("Bytes by section", head, cells, note=note)]
    largest = sorted(rows, key=lambda row: -(row.size_bytes or 0))[:_MOST_BARS]
    bars = [(row.name, [(row.size_bytes or 0) / 1e6]) for row in sorted(largest, key=lambda row: row.name)]
    said = f"Sizes of {len(bars)} artifacts, from {min(v[0] for _, v in bars):,.2f} to {max(v[0] for _, v in bars):,.2f} MB; the table has each."
    blocks.append(Figure(title="Size of each artifact, MB", description=said, picture=chart.bars(bars, lambda value: f"{value:,.2f}")))
    return Section(key="size", title="Size", blocks=tuple(blocks))
