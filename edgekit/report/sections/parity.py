"""How far artifacts are from eager, and how that is spread over samples."""

from edgekit.report import chart
from edgekit.report.manifests import ArtifactRow, ParityRow, parity_row
from edgekit.report.page import Block, Cell, Details, Figure, Section, Text, missing, number, percent, table
from edgekit.report.results import Results
from edgekit.report.sections.support import status_cell

_INTRO = (
    "SQNR is 10 log10(signal / error) of the outputs in dB, the lowest over samples and outputs: larger is nearer; 200 stands for no difference. "
    "These compare an artifact with the eager model on the same inputs. They are not accuracy on labelled data."
)
_FEWEST = 5
_HEADER = ("artifact", "status", "SQNR dB", "limit dB", "run by", "against", "samples", "largest error", "relative", "same class")


def section(results: Results) -> Section | None:
    """Return a table of all comparisons, and histograms where samples are stored one by one."""
    named = [(row.name, row.parity) for row in results.artifacts]
    for source in results.evidence.of("verify"):
        parity = source.entry.entry("parity")
        if parity is not None:
            artifact = (source.entry.text("artifact") or "artifact not stored").replace("\\", "/").rpartition("/")[2]
            named.append((f"{artifact} (verified again, {source.name})", parity_row(parity)))
    if not named:
        return None
    blocks: list[Block] = [Text(_INTRO), table("Distance from eager", _HEADER, [_cells(name, parity) for name, parity in named])]
    for row in results.artifacts:
        if row.details:
            inner = table(f"Parts of {row.name}", _HEADER, [_cells(name, parity) for name, parity in row.details.items()])
            blocks.append(Details(summary=f"{row.name} by method and numerics", blocks=(inner,)))
    named += [(f"{row.name}, {name}", parity) for row in results.artifacts if not row.parity.by_sample for name, parity in row.details.items()]
    spread = [(name, parity) for name, parity in named if len(parity.by_sample) >= _FEWEST]
    blocks += [_histogram(name, parity) for name, parity in spread]
    without = [row for row in results.artifacts if _lacks_samples(row)]
    if without:
        blocks.append(Text(f"No histogram of {', '.join(row.name for row in without)}: their manifests hold no samples one by one.", "open"))
    return Section(key="parity", title="Errors against eager", blocks=tuple(blocks))


def _lacks_samples(row: ArtifactRow) -> bool:
    return len(row.parity.by_sample) < _FEWEST


def _cells(name: str, parity: ParityRow) -> tuple[Cell | str, ...]:
    return (
        name,
        status_cell(parity.status),
        number(parity.sqnr_db, ".1f"),
        number(parity.min_sqnr_db, ".1f"),
        parity.executed_by or missing(),
        parity.against or missing(),
        missing() if parity.samples is None else str(parity.samples),
        number(parity.max_abs_error, ".1e"),
        number(parity.max_rel_error, ".1e"),
        percent(parity.top1_agreement),
    )


def _histogram(name: str, parity: ParityRow) -> Figure:
    values = sorted(parity.by_sample)
    middle = values[len(values) // 2]
    limit = "" if parity.min_sqnr_db is None else f" The limit is {parity.min_sqnr_db:g}."
    said = f"{len(values)} samples from {values[0]:.1f} to {values[-1]:.1f} dB, half of them at {middle:.1f} or more.{limit}"
    return Figure(title=f"SQNR by sample: {name}", description=said, picture=chart.histogram(values, "SQNR, dB", limit=parity.min_sqnr_db))
