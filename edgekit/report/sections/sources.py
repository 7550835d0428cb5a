"""Where every number on the page comes from."""

from edgekit.report.page import Block, Cell, Section, Text, table
from edgekit.report.results import Results


def section(results: Results) -> Section | None:
    """Return the files with their digests, and what was there and is not shown."""
    rows: list[tuple[Cell | str, ...]] = [
        (source.name, source.kind, source.date.isoformat(), source.sha256[:16]) for source in results.evidence.sources
    ]
    blocks: list[Block] = [table("Files", ("file", "what", "file of", "sha256"), rows)]
    if results.evidence.others:
        names = ", ".join(name for name, _ in results.evidence.others)
        blocks.append(Text(f"Also there, and no result of edgekit: {names}.", "open"))
    return Section(key="sources", title="Sources", blocks=tuple(blocks))
