"""What was timed on this kind of host, one table a run, because only rows of one run can be compared."""

from edgekit.report.page import Block, Cell, Details, Section, Text, missing, number, table
from edgekit.report.results import Results
from edgekit.report.timings import Measurement, TimingRow

_INTRO = (
    "Milliseconds on the host named under each table; nothing here was measured on a phone. Load and first inference happen once, the rest is steady "
    "state. Ratios are between rows of one run."
)
_FIRST = "against_naive"


def section(results: Results) -> Section | None:
    """Return the tables of all runs; searches over forms are folded away."""
    if not results.measurements:
        return None
    shown: list[Block] = [Text(_INTRO)]
    folded: list[Block] = []
    for run in sorted(results.measurements, key=lambda run: (run.title != "bench", not run.title.startswith(_FIRST), run.source.name)):
        (folded if run.title.startswith("forms") else shown).extend(_blocks(run, results))
    if folded:
        shown.append(Details(summary="Forms of rewrites that were tried", blocks=tuple(folded)))
    return Section(key="latency", title="Latency on a host", blocks=tuple(shown))


def _blocks(run: Measurement, results: Results) -> list[Block]:
    once = any(row.load_ms is not None or row.first_ms is not None or row.peak_memory_bytes is not None for row in run.rows)
    errors = any(row.max_rel_error is not None for row in run.rows)
    header = ["variant", "target", "method"] if any(row.method for row in run.rows) else ["variant", "target"]
    header += ["min ms", "p50 ms", *(["p90 ms", "load ms", "first ms", "memory"] if once else []), "samples"]
    header += [*(["error"] if errors else []), "ratio", "to"]
    rows = [_row(row, results, once=once, errors=errors, methods="method" in header) for row in run.rows]
    said = "Error: largest difference from eager of what was timed, relative to its largest value. " if errors else ""
    blocks: list[Block] = [table(f"{run.title} ({run.source.name})", tuple(header), rows, note=f"{said}{run.note}{run.machine.sentence()}.")]
    if run.refusal is not None:
        blocks.append(Text(f"Not compared: {run.refusal}.", "bad"))
    blocks += [Text(f"{what}: {why}", "open") for what, why in run.failures]
    return blocks


def _row(row: TimingRow, results: Results, *, once: bool, errors: bool, methods: bool) -> tuple[Cell | str, ...]:
    known = results.artifact(row.sha256)
    label = row.label if known is None or known.trained else f"{row.label} ({'untrained' if known.trained is False else 'training not stored'})"
    cells: list[Cell | str] = [label, row.target or missing()]
    if methods:
        cells.append(row.method or missing())
    cells += [number(row.min_ms), number(row.p50_ms)]
    if once:
        memory = missing() if row.peak_memory_bytes is None else Cell(f"{row.peak_memory_bytes / 1e6:,.0f} MB")
        cells += [number(row.p90_ms), number(row.load_ms), number(row.first_ms), memory]
    cells.append(missing() if row.samples is None else str(row.samples))
    if errors:
        cells.append(number(row.max_rel_error, ".1e"))
    cells += [_ratio(row), row.base or ""]
    return tuple(cells)


def _ratio(row: TimingRow) -> Cell:
    if row.ratio is None:
        return Cell("")
    if row.low is None or row.high is None:
        return Cell(f"{row.ratio:.2f}")
    differs = not row.low <= 1 <= row.high
    return Cell(f"{row.ratio:.2f} ({row.low:.2f} to {row.high:.2f})" + ("" if differs else ", no difference"))
