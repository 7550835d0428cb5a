"""Tells why an artifact is as large as it is: what grew against an earlier report, what is stored twice, and what its parameters take.

stage3            +24,000 bytes           a tree by module: only what changed, the largest change first;
  4.proj          +24,000                 branches with one change are one line
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from attrs import frozen

from edgekit.gates.base import Base
from edgekit.gates.constants import Constant
from edgekit.gates.measure import Measured

_SMALLEST = 64
"""Bytes; formats store shapes and single numbers again and again, and nobody would save anything by sharing those."""


@frozen(kw_only=True)
class Row:
    """One line of a tree: how deep, which part of the path, how much there was and is."""

    depth: int
    part: str
    before: int
    now: int


@frozen(kw_only=True)
class Duplicate:
    """One value that is stored several times; ``wasted`` are the bytes of all but one."""

    names: tuple[str, ...]
    wasted: int


@frozen(kw_only=True)
class Explanation:
    """Why an artifact is as large as it is.

    :param floor_bytes: the model's parameters at its precision; exact folds save a little of that. ``None``: not one number of bits.
    :param duplicates: ``None``: the format's constants cannot be told apart here.
    :param grown: trees by what they count: ``constants`` in bytes, ``operators`` and ``nodes`` of the lowered program; ``None``: no base.
    :param note: what could not be compared, and why.
    """

    name: str
    total_bytes: int
    floor_bytes: int | None
    duplicates: tuple[Duplicate, ...] | None
    grown: Mapping[str, tuple[Row, ...]] | None
    note: str | None = None


def explain(measured: Measured, base: Base | None) -> Explanation:
    """Explain one artifact, against an earlier report if there is one."""
    constants = measured.contents.constants
    grown, note = _grown(measured, base)
    return Explanation(
        name=measured.path.name,
        total_bytes=int(measured.metrics["size.total"].value),
        floor_bytes=measured.floor_bytes,
        duplicates=None if constants is None else duplicates(constants),
        grown=grown,
        note=note,
    )


def duplicates(constants: Sequence[Constant]) -> tuple[Duplicate, ...]:
    """Return values of 64 bytes and more that are stored more than once, what wastes most first."""
    by_value: dict[tuple[str, int], list[str]] = {}
    for constant in constants:
        if constant.size >= _SMALLEST:
            by_value.setdefault((constant.sha256, constant.size), []).append(constant.name)
    found = [Duplicate(names=tuple(names), wasted=(len(names) - 1) * size) for (_, size), names in by_value.items() if len(names) > 1]
    return tuple(sorted(found, key=lambda row: -row.wasted))


def tree(before: Mapping[str, int], now: Mapping[str, int]) -> tuple[Row, ...]:
    """Return what changed as a tree by the dots in its names, every branch the sum of what is inside."""
    paths = {name: tuple(name.split(".")) for name in (*before, *now) if before.get(name, 0) != now.get(name, 0)}
    sums = {side: Counter[tuple[str, ...]]() for side in ("before", "now")}
    for name, path in paths.items():
        for length in range(1, len(path) + 1):
            sums["before"][path[:length]] += before.get(name, 0)
            sums["now"][path[:length]] += now.get(name, 0)
    return tuple(_rows((), 0, sums["before"], sums["now"]))


def _rows(above: tuple[str, ...], depth: int, before: Counter[tuple[str, ...]], now: Counter[tuple[str, ...]]) -> list[Row]:
    children = [path for path in now if path[:-1] == above]
    rows = []
    for path in sorted(children, key=lambda path: (-abs(now[path] - before[path]), path)):
        end = path
        while len(inner := [other for other in now if other[:-1] == end]) == 1 and (now[inner[0]], before[inner[0]]) == (now[end], before[end]):
            end = inner[0]
        rows.append(Row(depth=depth, part=".".join(end[len(above) :]), before=before[end], now=now[end]))
        rows += _rows(end, depth + 1, before, now)
    return rows


def _grown(measured: Measured, base: Base | None) -> tuple[Mapping[str, tuple[Row, ...]] | None, str | None]:
    if base is None:
        return None, "--compare BASE.json tells what grew"
    earlier = base.artifacts.get(measured.path.name)
    if earlier is None:
        return None, f"{PurePath(base.path).name} does not know it"
    old, new = earlier.contents, measured.contents
    trees = {"operators": tree(old.operators, new.operators), "nodes": tree(old.nodes, new.nodes)}
    if old.constants is not None and new.constants is not None:
        trees = {"constants": tree(_bytes_by_name(old.constants), _bytes_by_name(new.constants)), **trees}
    changed = sorted(name for name in {*earlier.tools, *measured.tools} if earlier.tools.get(name) != measured.tools.get(name))
    versions = ", ".join(f"{name} {earlier.tools.get(name, 'none')} to {measured.tools.get(name, 'none')}" for name in changed)
    return trees, f"made with other tools than the base: {versions}" if changed else None


def _bytes_by_name(constants: Sequence[Constant]) -> Counter[str]:
    found: Counter[str] = Counter()
    for constant in constants:
        found[constant.name] += constant.size
    return found
