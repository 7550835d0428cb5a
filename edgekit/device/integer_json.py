"""JSON without fractions: the form that plans and reports have in every language.

Values are null, true, false, integers of 64 bits, strings, lists and objects. Keys are printable ASCII and stand there once; at most 32
levels deep. In canonical text keys are sorted, nothing is spaced, and what is not printable ASCII is escaped: equal documents are equal bytes.
"""

import json
from typing import Any

from edgekit.errors import ReportError

MOST_BYTES = 64 * 1024 * 1024
_DEEPEST = 32
_LEAST, _MOST = -(2**63), 2**63 - 1


def parse(content: bytes | str, name: str) -> Any:
    """Return the values of a document.

    :param name: what errors call it.
    :raises ReportError: ``json``: not of this form, or more than 64 MiB.
    """
    if len(content) > MOST_BYTES:
        raise ReportError("json", f"{name} is too large", what=f"{len(content)} bytes, at most {MOST_BYTES}")
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        value = json.loads(text, parse_float=_no_fraction, parse_constant=_no_fraction, parse_int=_integer, object_pairs_hook=_unique)
        _check_depth(value, 1)
    except (ValueError, RecursionError) as error:
        raise ReportError("json", f"{name} cannot be read", why=f"{error or type(error).__name__}"[:200]) from error
    return value


def canonical(value: Any) -> str:
    """Return the canonical text of a document."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _no_fraction(text: str) -> Any:
    raise ValueError(f"{text[:40]} is no integer")


def _integer(text: str) -> int:
    if len(text) > 20 or not _LEAST <= int(text) <= _MOST:
        raise ValueError(f"{text[:40]} does not fit 64 bits")
    return int(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if not key.isascii() or not key.isprintable():
            raise ValueError("a key is not printable ASCII")
        if key in found:
            raise ValueError(f"the key {key[:40]} stands there twice")
        found[key] = value
    return found


def _check_depth(value: Any, depth: int) -> None:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if depth > _DEEPEST and isinstance(value, dict | list):
        raise ValueError(f"more than {_DEEPEST} levels deep")
    if isinstance(value, str) and not _is_text(value):
        raise ValueError("half a surrogate pair is no text")
    for part in inner:
        _check_depth(part, depth + 1)


def _is_text(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)
