"""A page as Markdown: its texts and tables. A figure is its description, because its numbers stand in a table beside it."""

import re
from collections.abc import Iterable

from edgekit.report.html import is_number
from edgekit.report.page import Block, Cell, Details, Figure, Page, Table

_SPECIAL = re.compile(r"([\\`*\[\]|~#])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def to_markdown(page: Page) -> str:
    """Return the whole document, ending with a line feed."""
    lines = [f"# {escaped(page.title)}", "", escaped(page.made), ""]
    for section in page.sections:
        lines += [f"## {escaped(section.title)}", ""]
        for block in section.blocks:
            lines += _block(block)
    return "\n".join(lines).rstrip() + "\n"


def _block(block: Block) -> Iterable[str]:
    match block:
        case Table():
            return [f"**{escaped(block.caption)}**", "", *table_lines(block), "", *([escaped(block.note), ""] if block.note else [])]
        case Figure():
            return [f"*{escaped(block.title)}.* {escaped(block.description)}", ""]
        case Details():
            inner = [line for one in block.blocks for line in _block(one)]
            return ["<details>", f"<summary>{escaped(block.summary)}</summary>", "", *inner, "</details>", ""]
        case _:
            return [escaped(block.text), ""]


def table_lines(table: Table) -> list[str]:
    """Return the lines of a table; columns of numbers are set flush right."""
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.header)
    marks = ["---:" if number and column and all(is_number(cell) for cell in column) else "---" for number, column in enumerate(columns)]
    return [_row(map(Cell, table.header)), _joined(marks), *(_row(row) for row in table.rows)]


def _row(cells: Iterable[Cell]) -> str:
    return _joined(escaped(cell.text) for cell in cells)


def _joined(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def escaped(text: str) -> str:
    """Return a text on one line in which nothing is markup, neither Markdown's nor HTML's, and no link is made of it."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(lambda found: "\\" + found.group(), plain).replace("://", ":&#47;&#47;")
