"""What a page is made of; it knows neither HTML nor Markdown."""

from typing import Literal

from attrs import field, frozen
from markupsafe import Markup

Tone = Literal["plain", "good", "bad", "open"]
"""Said in words as well, so that nobody has to see the colour: ``good`` is proved, ``bad`` failed or exceeded, ``open`` not known."""

MISSING = "missing"
"""Stands where a result holds no such number."""


@frozen
class Cell:
    """A table's cell."""

    text: str
    tone: Tone = "plain"


@frozen(kw_only=True)
class Table:
    """``rows`` have as many cells as ``header``; the first cell of a row names it. ``note``: what all its numbers were measured on."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str | None = None


@frozen(kw_only=True)
class Figure:
    """A picture. ``description`` says what is to be seen, for those who do not; the numbers stand in a table beside it."""

    title: str
    description: str
    picture: Markup


@frozen
class Text:
    """A paragraph."""

    text: str
    tone: Tone = "plain"


@frozen(kw_only=True)
class Details:
    """What opens on request."""

    summary: str
    blocks: "tuple[Block, ...]"


Block = Table | Figure | Text | Details


@frozen(kw_only=True)
class Section:
    """A part of the page with a heading; ``key`` is its anchor."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@frozen(kw_only=True)
class Page:
    """A whole report; ``made`` says when and by what."""

    title: str
    made: str
    sections: tuple[Section, ...] = field(factory=tuple)


def table(caption: str, header: tuple[str, ...], rows: "list[tuple[Cell | str, ...]]", note: str | None = None) -> Table:
    """Make a table of cells and plain texts."""
    cells = tuple(tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in row) for row in rows)
    return Table(caption=caption, header=header, rows=cells, note=note)


def missing() -> Cell:
    """Return the cell of a number that is not there."""
    return Cell(MISSING, "open")


def number(value: float | None, form: str = ",.2f", unit: str = "") -> Cell:
    """Return the cell of a number."""
    return missing() if value is None else Cell(f"{value:{form}}{unit}")


def megabytes(size: float | None) -> Cell:
    """Return bytes in MB (1e6), small ones in kB."""
    if size is None:
        return missing()
    return Cell(f"{size / 1e6:,.2f} MB" if abs(size) >= 1e5 else f"{size / 1e3:,.1f} kB" if size else "0")


def percent(share: float | None, digits: int = 1) -> Cell:
    """Return a share of 1 in percent."""
    return missing() if share is None else Cell(f"{share:.{digits}%}")
