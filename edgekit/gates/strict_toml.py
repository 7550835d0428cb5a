"""One table of a TOML file, read strictly: no key unknown, none missing, no guess at a type."""

import datetime as dt
import difflib
import sys
from typing import Any

from edgekit.errors import BudgetFileError


class Table:
    """The values of one table, asked for by name and type. ``where`` begins every error's sentence.

    :raises BudgetFileError: not a table, or with keys unknown or missing; every method: a value of another type.
    """

    def __init__(self, value: Any, where: str, *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
        self.where = where
        if not isinstance(value, dict):
            raise BudgetFileError(f"{where} is not a table", what=_kind(value))
        known = (*required, *optional)
        for key in value:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}?" if near else None
                raise BudgetFileError(f"{where} has an unknown key {key!r}", what=f"keys: {', '.join(known)}", hint=hint)
        if missing := [key for key in required if key not in value]:
            raise BudgetFileError(f"{where} lacks {', '.join(missing)}")
        self._values: dict[str, Any] = value

    def text(self, key: str) -> str:
        """Return a text that is not empty."""
        value = self._values[key]
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise self._wrong(key, "a text that is not empty, on one line")
        return value

    def integer(self, key: str) -> int:
        """Return a whole number."""
        value = self._values[key]
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, "a whole number")
        return value

    def number(self, key: str) -> float:
        """Return a finite number, whole where the file has a whole one: a size must not be rounded."""
        value = self._values[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not -sys.float_info.max <= value <= sys.float_info.max:
            raise self._wrong(key, "a number")
        return value

    def day(self, key: str) -> dt.date:
        """Return a day, without a time."""
        value = self._values[key]
        if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
            raise self._wrong(key, "a day such as 2026-11-21, without quotation marks")
        return value

    def rows(self, key: str) -> list[Any]:
        """Return a list that is not empty."""
        value = self._values[key]
        if not isinstance(value, list) or not value:
            raise self._wrong(key, "a list that is not empty")
        return value

    def texts(self, key: str) -> dict[str, str]:
        """Return a table of texts."""
        value = self._values[key]
        if not isinstance(value, dict) or not all(isinstance(text, str) and text.isprintable() for text in value.values()):
            raise self._wrong(key, "a table of texts")
        return dict(value)

    def _wrong(self, key: str, wanted: str) -> BudgetFileError:
        return BudgetFileError(f"{self.where}: {key} is not {wanted}", what=f"{_kind(self._values[key])}: {self._values[key]!r}"[:200])


def _kind(value: Any) -> str:
    return {dict: "a table", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}.get(
        type(value), "a date or time"
    )
