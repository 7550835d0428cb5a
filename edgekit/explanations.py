"""What the texts of other people's errors mean: rows of a pattern, a reason in words and what to try, looked up in order."""

import re
from collections.abc import Iterable

from attrs import frozen


@frozen(kw_only=True)
class Explanation:
    """What a text means. ``pattern`` is searched in it; its named groups may stand in ``why`` and ``hint`` as ``{name}``."""

    pattern: str
    why: str
    hint: str | None = None


def explanation(text: str, rows: Iterable[Explanation]) -> Explanation | None:
    """Return the first of the rows that fits a text, its groups filled in; ``None`` where none does."""
    for row in rows:
        if (found := re.search(row.pattern, text, re.DOTALL)) is not None:
            groups = {name: (value or "").strip() for name, value in found.groupdict().items()}
            return Explanation(pattern=row.pattern, why=row.why.format_map(groups), hint=None if row.hint is None else row.hint.format_map(groups))
    return None
