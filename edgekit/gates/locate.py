"""Finds the artifacts that budgets are for, by file name, among the files and folders that were named."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from edgekit.capabilities import TARGETS
from edgekit.errors import UnknownNameError, UsageError

_SUFFIXES = frozenset(facts.suffix for facts in TARGETS)


def locate(names: Iterable[str], places: Sequence[Path]) -> Mapping[str, Path | None]:
    """Return where each artifact that has to be checked lies; ``None`` where it is missing.

    Artifacts that are named are checked, others not; in a folder every artifact with budgets has to be.

    :param names: of the artifacts that have budgets.
    :param places: artifacts, or folders that hold some.
    :raises UnknownNameError: an artifact without budgets is named: it would pass unchecked. :raises UsageError: one name in two places.
    """
    known = list(dict.fromkeys(names))
    found: dict[str, Path | None] = {}
    for place in places:
        if place.suffix in _SUFFIXES:
            if place.name not in known:
                raise UnknownNameError("artifact with budgets", place.name, known)
            here = {place.name: place if place.exists() else None}
        else:
            here = {name: place / name if (place / name).exists() else None for name in known}
        for name, path in here.items():
            before = found.get(name)
            if path is not None and before is not None and path.resolve() != before.resolve():
                raise UsageError(f"{name} is there twice", what=f"{before} and {path}", hint="name one")
            found[name] = path or before
    return found
