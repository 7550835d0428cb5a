"""What graphs are made of: before and after, by operator, what delegates take, and which rewrites made it so."""

from collections.abc import Iterator, Mapping

from edgekit.report import chart
from edgekit.report.entry import Entry
from edgekit.report.evidence import BENCHMARK
from edgekit.report.manifests import ArtifactRow
from edgekit.report.page import Block, Cell, Details, Figure, Section, Text, missing, percent, table
from edgekit.report.results import Results

_MOVES = ("transpose", "permute", "reshape", "expand", "slice", "split", "concat", "pad")
_MOST_BARS = 14


def section(results: Results) -> Section | None:
    """Return pairs of graphs first, then each artifact's own."""
    blocks: list[Block] = []
    for title, before, after in _pairs(results):
        blocks += _compared(title, before, after)
    rows = [row for row in results.artifacts if row.operators]
    if rows:
        blocks.append(_totals(rows))
        blocks += [_each(row) for row in rows]
    return Section(key="operators", title="Graphs and operators", blocks=tuple(blocks)) if blocks else None


def _pairs(results: Results) -> Iterator[tuple[str, Mapping[str, int], Mapping[str, int]]]:
    """Yield graphs of one model that are stored in pairs: the vendor's plain export and edgekit's."""
    for source in results.evidence.of(BENCHMARK):
        rows = {row.text("variant"): row for row in source.entry.entries("rows")}
        ours, theirs = rows.get("as shipped"), rows.get("Core ML Tools' own export")
        if ours is not None and theirs is not None:
            yield f"{source.entry.text('model')} in Core ML ({source.name})", theirs.counts("operators"), ours.counts("operators")
    for source in results.evidence.of("bench"):
        graphs = source.entry.entries("graphs")
        for ours in graphs:
            naive = _of_form(graphs, "naive", ours.text("target"), ours.text("model"))
            if ours.text("form") == "edgekit" and naive is not None:
                title = f"{ours.text('model')} on {ours.text('target')} ({source.name})"
                yield title, naive.counts("operators"), ours.counts("operators")


def _of_form(graphs: tuple[Entry, ...], form: str, target: str | None, model: str | None) -> Entry | None:
    return next((graph for graph in graphs if (graph.text("form"), graph.text("target"), graph.text("model")) == (form, target, model)), None)


def _compared(title: str, before: Mapping[str, int], after: Mapping[str, int]) -> list[Block]:
    names = sorted(before.keys() | after.keys(), key=lambda name: (-max(before.get(name, 0), after.get(name, 0)), name))
    pairs = [(name, before.get(name, 0), after.get(name, 0)) for name in names]
    total = ("all operators", sum(before.values()), sum(after.values()))
    rows: list[tuple[Cell | str, ...]] = [(name, f"{old:,}", f"{new:,}", _change(new - old)) for name, old, new in [total, *pairs]]
    said = f"The vendor's plain export has {total[1]:,} operators, edgekit's file {total[2]:,}."
    picture = chart.key(["vendor's plain export", "edgekit"]) + chart.bars(
        [(name, (old, new)) for name, old, new in pairs[:_MOST_BARS]], lambda value: f"{value:,.0f}"
    )
    return [
        Figure(title=f"Before and after: {title}", description=said, picture=picture),
        table(f"Operators before and after: {title}", ("operator", "vendor's plain export", "edgekit", "change"), rows),
    ]


def _change(change: int) -> Cell:
    return Cell("0") if change == 0 else Cell(f"{change:+,}", "good" if change < 0 else "open")


def _totals(rows: list[ArtifactRow]) -> Block:
    cells: list[tuple[Cell | str, ...]] = []
    for row in rows:
        moves = sum(count for name, count in row.operators.items() if any(word in name.lower() for word in _MOVES))
        delegates = row.delegated_share is not None
        subgraphs = Cell("") if not delegates else missing() if row.subgraphs is None else Cell(f"{row.subgraphs:,}")
        share = Cell("no delegates") if row.delegated_share is None else percent(row.delegated_share)
        outside = ", ".join(f"{count} {name}" for name, count in row.not_delegated.items())
        cells.append((row.name, f"{sum(row.operators.values()):,}", f"{moves:,}", share, subgraphs, outside))
    header = ("artifact", "operators", "that move data", "delegated", "subgraphs", "outside")
    return table("Operators and delegation", header, cells, note="That move data: " + ", ".join(_MOVES) + " and their like, by name.")


def _each(row: ArtifactRow) -> Block:
    by_count = sorted(row.operators.items(), key=lambda pair: (-pair[1], pair[0]))
    counted: list[tuple[Cell | str, ...]] = [(name, f"{count:,}") for name, count in by_count]
    blocks: list[Block] = [table(f"Operators of {row.name}", ("operator", "count"), counted)]
    rewritten: list[tuple[Cell | str, ...]] = [
        (rewrite.name, str(rewrite.sites), "; ".join(f"{count} left alone: {reason}" for reason, count in rewrite.skips.items()))
        for rewrite in row.rewrites
        if rewrite.sites or rewrite.skips
    ]
    if rewritten:
        blocks.append(table(f"Rewrites of {row.name}", ("rewrite", "places", "skips"), rewritten))
    blocks += [Text(note) for note in row.notes]
    return Details(summary=f"{row.name}: {sum(row.operators.values()):,} operators, {len(rewritten)} rewrites", blocks=tuple(blocks))
