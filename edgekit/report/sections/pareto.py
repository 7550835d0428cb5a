"""Size against time, and accuracy where it is stored: what nothing else beats in all of them.

A small model is faster and smaller than a large one, which says nothing: models are held against each other only by their accuracy, too.
"""

from collections.abc import Sequence

from attrs import frozen

from edgekit.report import chart
from edgekit.report.page import Block, Cell, Figure, Section, Text, megabytes, missing, number, percent, table
from edgekit.report.results import Results
from edgekit.report.timings import Machine

_MOST = 26


@frozen(kw_only=True)
class Candidate:
    """One artifact that was timed; milliseconds, bytes, a share."""

    name: str
    model: str
    target: str
    ms: float
    size_bytes: int
    accuracy: float | None
    accuracy_on: str | None = None
    trained: bool | None
    run: str


def section(results: Results) -> Section | None:
    """Return one picture a kind of machine."""
    groups: dict[tuple[str | None, int | None, int | None], list[Candidate]] = {}
    for run in results.measurements:
        if run.title.startswith("forms") or run.refusal is not None:
            continue
        machine: Machine = run.machine
        for row in run.rows:
            known = results.artifact(row.sha256)
            size = row.size_bytes if row.size_bytes is not None or known is None else known.size_bytes
            least = row.min_ms
            if row.all_of_it and size and least and least > 0:
                name = row.label if known is not None or row.model is None else f"{row.model} ({row.label})"
                found = Candidate(
                    name=name,
                    model=known.variant if known is not None else row.model or row.label,
                    target=row.target or "target not stored",
                    ms=least,
                    size_bytes=size,
                    accuracy=None if known is None else known.accuracy,
                    accuracy_on=None if known is None else known.accuracy_on,
                    trained=None if known is None else known.trained,
                    run=run.source.name,
                )
                groups.setdefault((machine.cpu, machine.cores, machine.threads), []).append(found)
    blocks: list[Block] = []
    for (cpu, cores, threads), group in groups.items():
        if len(group) > 1:
            about = f"{cpu or 'CPU not stored'}, {cores or '?'} core{'s' * (cores != 1)}, {threads or '?'} thread{'s' * (threads != 1)}"
            blocks += _blocks(about, sorted(group, key=lambda one: one.ms)[:_MOST])
    if not blocks:
        return None
    said = (
        "Not beaten: no artifact of the same model is both faster and smaller; where accuracy is stored, none of any model that is as accurate, too. "
        "Times are minima, of several runs on the same kind of machine: near ones may be in either order."
    )
    return Section(key="pareto", title="Size, time and accuracy", blocks=(Text(said), *blocks))


def front(candidates: Sequence[Candidate]) -> tuple[bool, ...]:
    """Tell which candidates no other beats: at least as good in everything that both have, and better in something.

    An accuracy that is not stored, or was measured on other pictures, neither beats nor saves, and other models are no rivals then.
    """
    return tuple(not any(_beats(other, one) for other in candidates) for one in candidates)


def _beats(one: Candidate, other: Candidate) -> bool:
    pairs = [(one.ms, other.ms), (float(one.size_bytes), float(other.size_bytes))]
    if one.accuracy is not None and other.accuracy is not None and one.accuracy_on == other.accuracy_on:
        pairs.append((-one.accuracy, -other.accuracy))
    elif one.model != other.model:
        return False
    return all(mine <= theirs for mine, theirs in pairs) and any(mine < theirs for mine, theirs in pairs)


def _blocks(about: str, found: list[Candidate]) -> list[Block]:
    best = front(found)
    targets = sorted({one.target for one in found})
    letters = [chr(ord("A") + place) for place in range(len(found))]
    x = chart.logarithmic("milliseconds", [one.ms for one in found])
    y = chart.logarithmic("MB", [one.size_bytes / 1e6 for one in found])
    marks = [
        chart.Point(x=one.ms, y=one.size_bytes / 1e6, label=letter, series=targets.index(one.target))
        for one, letter in zip(found, letters, strict=True)
    ]
    judged_alike = all(one.accuracy is not None for one in found) and len({one.accuracy_on for one in found}) == 1
    together = judged_alike or len({one.model for one in found}) == 1
    line = [] if not together else sorted((one.ms, one.size_bytes / 1e6) for one, on in zip(found, best, strict=True) if on)
    picture = chart.points(marks, x, y, line=line, steps=True) + chart.key(targets)
    names = ", ".join(f"{letter} {one.name} on {one.target}" for letter, one, on in zip(letters, found, best, strict=True) if on)
    said = f"{len(found)} artifacts by time and size{', a line through what is not beaten' if line else ''}. Not beaten: {names}."
    rows: list[tuple[Cell | str, ...]] = [
        (
            f"{letter}  {one.name}",
            one.target,
            number(one.ms),
            megabytes(one.size_bytes),
            missing() if one.accuracy is None else percent(one.accuracy),
            missing() if one.trained is None else "trained" if one.trained else Cell("untrained", "open"),
            Cell("not beaten", "good") if on else "beaten",
            one.run,
        )
        for letter, one, on in zip(letters, found, best, strict=True)
    ]
    header = ("artifact", "target", "min ms", "size", "top-1 accuracy", "weights", "", "run")
    return [Figure(title=f"Size against time: {about}", description=said, picture=picture), table(f"The same in numbers: {about}", header, rows)]
