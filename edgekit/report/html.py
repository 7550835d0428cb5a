"""A page as one HTML file: styles inside, no script, nothing fetched.

Templates are jinja2's (torch brings it), for its autoescape: names and reasons come from files that anybody may have written.
"""

import re
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from edgekit.report.page import MISSING, Cell, Details, Figure, Page, Table

if TYPE_CHECKING:
    import jinja2

_NUMBER = re.compile(r"[-+]?[\d.,]+(e[-+]?\d+)?( ?(%|MB|kB|M|ms|dB))?")

_BREAKS = re.compile(r"(?<=_)|(?<=\w)(?=\.[a-z])")
_LONG = 44
"""Characters from which a cell is broken into lines."""


def to_html(page: Page) -> str:
    """Return the whole document."""
    environment = _environment()
    style, _, _ = environment.loader.get_source(environment, "style.css") if environment.loader else ("", None, None)
    return environment.get_template("page.html").render(page=page, style=Markup(style))  # noqa: S704 - ours, with nothing put into it


@cache
def _environment() -> "jinja2.Environment":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edgekit", "report/templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    environment.tests |= {
        "a_table": lambda block: isinstance(block, Table),
        "a_figure": lambda block: isinstance(block, Figure),
        "some_details": lambda block: isinstance(block, Details),
        "number_like": is_number,
        "long": lambda cell: len(cell.text) > _LONG,
    }
    return environment


def breakable(text: str) -> Markup:
    """Return an escaped text that may be broken at underscores and before endings: file names are long and phones are narrow."""
    return Markup("<wbr>").join(escape(part) for part in _BREAKS.split(text))


def is_number(cell: Cell) -> bool:
    """Whether a cell is a number with its unit, or stands where one would: such columns are set flush right."""
    return cell.text == MISSING or _NUMBER.fullmatch(cell.text) is not None
