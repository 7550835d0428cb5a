"""Where the time of a run goes, by module and operator, and what share of the machine's peak that is."""

from collections.abc import Iterator

from edgekit.report import chart
from edgekit.report.entry import Entry
from edgekit.report.page import Block, Cell, Details, Figure, Section, Text, missing, number, percent, table
from edgekit.report.results import Results

_MOST = 60
_MOST_BARS = 14


def section(results: Results) -> Section | None:
    """Return what ``bench --profile`` found; a runtime that tells nothing is named with its reason."""
    blocks: list[Block] = []
    for source in results.evidence.of("bench"):
        for profile in source.entry.entries("profiles"):
            blocks += _profile(profile, source.name)
        roofline = source.entry.entry("roofline")
        if roofline is not None:
            blocks.append(_roofline(roofline, source.name))
    return Section(key="profile", title="Where time goes", blocks=tuple(blocks)) if blocks else None


def _profile(profile: Entry, name: str) -> Iterator[Block]:
    artifact = (profile.text("artifact") or "artifact not stored").replace("\\", "/").rpartition("/")[2]
    title = f"{artifact}, {profile.text('method') or '?'} ({name})"
    note = profile.text("note")
    rows = profile.entries("rows")
    if not rows:
        yield Text(f"No profile of {title}: {note or 'nothing is stored'}.", "open")
        return
    total = sum(row.number("ms") or 0.0 for row in rows)
    by_kind: dict[str, float] = {}
    for row in rows:
        kind = row.text("name") or "?"
        by_kind[kind] = by_kind.get(kind, 0.0) + (row.number("ms") or 0.0)
    largest = sorted(by_kind.items(), key=lambda pair: -pair[1])
    said = f"{largest[0][0]} takes {largest[0][1] / total:.0%} of {total:.2f} ms." if total else "No time was recorded."
    whole = profile.number("whole_ms")
    about = f"{note + '. ' if note else ''}Mean of {profile.integer('runs') or '?'} runs; operators together {total:.2f} ms"
    about += "." if whole is None else f", a whole run {whole:.2f} ms."
    picture = chart.bars([(kind, [ms]) for kind, ms in largest[:_MOST_BARS]], lambda value: f"{value:.2f} ms")
    yield Figure(title=f"Time by operator: {title}", description=said, picture=picture)
    cells: list[tuple[Cell | str, ...]] = [
        (
            row.text("name") or missing(),
            row.text("module") or missing(),
            row.text("line") or missing(),
            "" if row.integer("calls") is None else f"{row.integer('calls')}",
            number(row.number("ms"), ",.3f"),
            percent((row.number("ms") or 0.0) / total if total else None),
        )
        for row in sorted(rows, key=lambda row: -(row.number("ms") or 0.0))[:_MOST]
    ]
    inner = table(f"Operators by time: {title}", ("operator", "module", "line", "calls", "ms", "share"), cells, note=about)
    yield Details(summary=f"The {len(cells)} slowest of {len(rows)} rows: {title}", blocks=(inner,))


def _roofline(roofline: Entry, name: str) -> Block:
    cells: list[tuple[Cell | str, ...]] = []
    for row in roofline.entries("rows"):
        macs, moved = row.integer("macs"), row.integer("bytes_moved")
        cells.append(
            (
                (row.text("artifact") or "?").replace("\\", "/").rpartition("/")[2],
                row.text("method") or missing(),
                missing() if macs is None else Cell(f"{macs / 1e6:,.1f} M"),
                missing() if moved is None else Cell(f"{moved / 1e6:,.2f} MB"),
                number(row.number("min_ms")),
                number(row.number("gmacs"), ",.1f"),
                percent(row.number("share")),
            )
        )
    peak = roofline.number("peak_gmacs")
    told = (
        "The peak was not measured" if peak is None else f"Peak: {peak:,.1f} GMACs a second, measured with a float32 matrix product in the same run"
    )
    header = ("artifact", "method", "multiply-adds", "bytes moved", "min ms", "GMACs/s", "of the peak")
    return table(f"Share of the machine's peak ({name})", header, cells, note=f"{told}, {roofline.integer('threads') or '?'} thread(s).")
