"""A JSON object from a stored result, asked member by member.

Results come from other versions of edgekit and from hands: a member that is not there is ``None`` and shown as missing, one of the
wrong type is refused with its place. Nothing is guessed.
"""

import math
from collections.abc import Mapping
from typing import Any

from edgekit.errors import EvidenceError

_LARGEST = 1e18
"""No count, size or time of ours comes near; beyond it integers cannot be drawn."""


class Entry:
    """One JSON object. Every question answers ``None`` (or nothing) where the member is missing or null.

    :param where: what errors call it.
    :raises EvidenceError: no object; from the questions: a member of another type.
    """

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise EvidenceError(f"{where} is not a JSON object", what=_kind(value))
        self.where = where
        self._values: dict[str, Any] = value

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    @property
    def values(self) -> Mapping[str, Any]:
        """The object as it was read."""
        return self._values

    def text(self, key: str) -> str | None:
        """Return a string."""
        value = self._values.get(key)
        if value is not None and not isinstance(value, str):
            raise self._wrong(key, value, "a string")
        return value

    def number(self, key: str) -> float | None:
        """Return a finite number."""
        value = self._values.get(key)
        return None if value is None else self._number(key, value)

    def integer(self, key: str) -> int | None:
        """Return an integer."""
        value = self._values.get(key)
        return None if value is None else self._integer(key, value)

    def flag(self, key: str) -> bool | None:
        """Return true or false."""
        value = self._values.get(key)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def entry(self, key: str) -> "Entry | None":
        """Return an object."""
        value = self._values.get(key)
        return None if value is None else Entry(value, f"{self.where}: {key}")

    def entries(self, key: str) -> "tuple[Entry, ...]":
        """Return a list of objects."""
        return tuple(Entry(value, f"{self.where}: {key}[{number}]") for number, value in enumerate(self._list(key)))

    def members(self, key: str) -> "dict[str, Entry]":
        """Return an object's members, each an object."""
        inner = self.entry(key)
        return {} if inner is None else {name: Entry(value, f"{self.where}: {key}.{name}") for name, value in inner.values.items()}

    def numbers(self, key: str) -> tuple[float, ...]:
        """Return a list of finite numbers."""
        return tuple(self._number(key, value) for value in self._list(key))

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of strings."""
        values = self._list(key)
        if bad := [value for value in values if not isinstance(value, str)]:
            raise self._wrong(key, bad[0], "a list of strings")
        return tuple(values)

    def counts(self, key: str) -> dict[str, int]:
        """Return an object of integers, without its nulls."""
        inner = self.entry(key)
        return {} if inner is None else {name: self._integer(f"{key}.{name}", value) for name, value in inner.values.items() if value is not None}

    def _list(self, key: str) -> list[Any]:
        value = self._values.get(key)
        if value is not None and not isinstance(value, list):
            raise self._wrong(key, value, "a list")
        return value or []

    def _number(self, key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST or not math.isfinite(value):
            raise self._wrong(key, value, "a number")
        return float(value)

    def _integer(self, key: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST:
            raise self._wrong(key, value, "an integer")
        return value

    def _wrong(self, key: str, value: Any, wanted: str) -> EvidenceError:
        return EvidenceError(f"{self.where}: {key} has to be {wanted}", what=_kind(value), hint="leave the file out, or write it again")


def _kind(value: Any) -> str:
    return "null" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"
