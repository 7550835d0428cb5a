"""What each rewrite says of itself: its docstring, taken apart.

    The first paragraph          title
    indented, before and after   picture
    "Exact ..."                  when it computes the same, up to the end of the clause
    the rest                     text

``edgekit inspect`` shows the clause at each place, and the documentation has a page made of all of it.
"""

import inspect
import re
import sys
from typing import Any

from attrs import frozen

from edgekit.rewrites.composite_apart import CompositeApart
from edgekit.rewrites.registry import GRAPH_REWRITES, MODULE_REWRITES

_EXACT = re.compile(r"\b(?:Always exact|Exact)\b(?:[^.;]|[.;](?=\S))*")
"""To the end of the clause; a full stop inside of a number ends none."""
_UNLESS_TOLD = "Exact but for the order of sums"
"""What holds for every operator that is written by others, see :mod:`edgekit.rewrites.composites`."""


@frozen(kw_only=True)
class Description:
    """A rewrite's docstring: ``title`` is one sentence, ``picture`` the program before and after, ``exact`` a clause, ``text`` all paragraphs."""

    name: str
    title: str
    picture: str
    exact: str | None
    text: str
    on_modules: bool


def described() -> dict[str, Description]:
    """Return the description of every rewrite by its name, in the order in which they are applied; those of other packages, too."""
    both = ((MODULE_REWRITES, True), (GRAPH_REWRITES, False))
    return {rewrite.name: _description(rewrite, on_modules=on_modules) for rewrites, on_modules in both for rewrite in rewrites}


def _description(rewrite: Any, *, on_modules: bool) -> Description:
    if isinstance(rewrite, CompositeApart):
        said = inspect.cleandoc(rewrite.spelling.__doc__ or "")
        operator = rewrite.name.removesuffix("_apart")
        picture = f"before   y = {operator}(...)\nafter    y = the same by operators that every converter knows"
        text = " ".join(said.split())
        title, exact = f"{operator} -> other operators.", _exact(text) or _UNLESS_TOLD
        return Description(name=rewrite.name, title=title, picture=picture, exact=exact, text=text, on_modules=False)
    docstring = inspect.cleandoc(sys.modules[type(rewrite).__module__].__doc__ or type(rewrite).__doc__ or "")
    title, _, rest = docstring.partition("\n\n")
    paragraphs = rest.split("\n\n")
    pictures = [paragraph for paragraph in paragraphs if paragraph.startswith("    ")]
    words = [_joined(paragraph) for paragraph in paragraphs if not paragraph.startswith("    ")]
    text = "\n\n".join(words)
    return Description(
        name=rewrite.name,
        title=" ".join(title.split()),
        picture="\n\n".join(inspect.cleandoc("\n" + picture) for picture in pictures),
        exact=_exact(" ".join(words)),
        text=text,
        on_modules=on_modules,
    )


def _joined(paragraph: str) -> str:
    """Return a paragraph as one line; the rows of a table stay apart."""
    return paragraph if paragraph.startswith("|") else " ".join(paragraph.split())


def _exact(text: str) -> str | None:
    found = _EXACT.search(text)
    return None if found is None else found[0].strip()
