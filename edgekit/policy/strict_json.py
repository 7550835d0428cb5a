"""Small JSON files read strictly: no NaN, no key twice, no key unknown or missing, and no guess at a type."""

import difflib
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgekit.errors import BadInputError

_MOST_BYTES = 16 * 1024 * 1024
_LARGEST = sys.float_info.max


def read_json(path: Path, error: Callable[..., BadInputError], what: str) -> Any:
    """Return the content of a JSON file.

    :param error: the kind of error to raise.
    :param what: what the file should be (``a policy``), for the sentence.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise error(f"{path.name} is too large to be {what}", what=f"{path.stat().st_size} bytes")
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except OSError as cause:
        raise error(f"cannot read {path.name}", where=str(path), why=cause.strerror or str(cause)) from cause
    except (ValueError, RecursionError) as cause:
        raise error(f"{path.name} is not {what}", where=str(path), why=f"{type(cause).__name__}: {cause}") from cause


class Fields:
    """The members of one JSON object, asked for by name and type.

    :raises BadInputError: of the kind ``error``: no object, or not exactly these ``keys``.
    """

    def __init__(self, value: Any, keys: tuple[str, ...], where: str, error: Callable[..., BadInputError]) -> None:
        self._where = where
        self._error = error
        if not isinstance(value, dict):
            raise error(f"{where} is not a JSON object", what=_kind(value))
        for key in value:
            if key not in keys:
                near = difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
                raise error(
                    f"{where} has an unknown key {key!r}", what=f"keys: {', '.join(keys)}", hint=f"did you mean {near[0]!r}?" if near else None
                )
        missing = [key for key in keys if key not in value]
        if missing:
            raise error(f"{where} lacks {', '.join(missing)}")
        self._values: dict[str, Any] = value

    def raw(self, key: str) -> Any:
        """Return a member as it is."""
        return self._values[key]

    def text(self, key: str) -> str:
        """Return a string."""
        return str(self._as(key, self._values[key], str, "a string"))

    def integer(self, key: str) -> int:
        """Return an integer."""
        return int(self._as(key, self._values[key], int, "an integer"))

    def number(self, key: str) -> float:
        """Return a number."""
        return float(self._as(key, self._values[key], (int, float), "a number"))

    def flag(self, key: str) -> bool:
        """Return true or false."""
        value = self._values[key]
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def integers(self, key: str, length: int | None) -> tuple[int, ...]:
        """Return so many integers."""
        return tuple(int(self._as(key, value, int, "an integer")) for value in self.row(key, length))

    def numbers(self, key: str, length: int | None) -> tuple[float, ...]:
        """Return so many numbers."""
        return tuple(float(self._as(key, value, (int, float), "a number")) for value in self.row(key, length))

    def row(self, key: str, length: int | None) -> list[Any]:
        """Return so many values of any type; ``None``: any number."""
        value = self._values[key]
        if not isinstance(value, list):
            raise self._wrong(key, value, "a list")
        if length is not None and len(value) != length:
            raise self._error(f"{self._where}: {key} has {len(value)} values", why=f"it needs {length}")
        return value

    def is_null(self, key: str) -> bool:
        """Return whether a member is null."""
        return self._values[key] is None

    def _as(self, key: str, value: Any, kind: type | tuple[type, ...], name: str) -> Any:
        unbounded = isinstance(value, float) and not math.isfinite(value)
        if kind is not int and isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
            unbounded = True  # digits that no float holds
        if isinstance(value, bool) or not isinstance(value, kind) or unbounded:
            raise self._wrong(key, value, name)
        return value

    def _wrong(self, key: str, value: Any, wanted: str) -> BadInputError:
        return self._error(f"{self._where}: {key} has to be {wanted}", what=_kind(value))


def _kind(value: Any) -> str:
    return "null" if value is None else f"{type(value).__name__} {value!r:.40}"


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands there twice")
        found[key] = value
    return found
