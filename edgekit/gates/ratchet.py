"""Writes what was reached back into a file of budgets: limits become tighter, never looser, and all else in the file stays as it is."""

import datetime as dt
import math
import os
import tempfile
from pathlib import Path
from typing import Any

from attrs import frozen

from edgekit.errors import OutputError
from edgekit.gates.report import Check, GateReport

_DIGITS = 4  # of a limit that is no whole number


@frozen(kw_only=True)
class Tightened:
    """One limit that was changed."""

    name: str
    metric: str
    before: float
    now: float


def ratchet(report: GateReport, today: dt.date) -> tuple[Tightened, ...]:
    """Set each limit that is kept with room to what was reached, and its date to ``today``.

    Only of what is the same on every machine: a time, an error against eager or zlib's result may be worse elsewhere. Budgets for other tools, and
    those that are exceeded, stay.

    :raises OutputError: the file cannot be written.
    """
    changes = [
        (artifact.group.position, place, check, value)
        for artifact in report.artifacts
        if artifact.state == "checked"
        for place, check in enumerate(artifact.checks)
        if (value := _tighter(check)) is not None
    ]
    if changes:
        _rewrite(report.budgets, [(group, place, check.budget.kind.bound, value) for group, place, check, value in changes], today)
    names = {artifact.group.position: artifact.name for artifact in report.artifacts}
    return tuple(Tightened(name=names[group], metric=c.budget.metric, before=c.budget.limit, now=value) for group, _, c, value in changes)


def _tighter(check: Check) -> float | None:
    """Return the new limit of a budget; ``None`` where it stays."""
    budget = check.budget
    if check.status != "kept" or check.reached is None or not budget.kind.exact:
        return None
    value = _rounded(check.reached.value, budget.kind.bound)
    return value if budget.slack(value) > 0 else None


def _rounded(value: float, bound: str) -> float:
    """Return a value that the limit can hold: whole as it is, else rounded to the side that keeps what was reached allowed."""
    if float(value).is_integer():
        return int(value)
    scale = 10**_DIGITS
    return (math.ceil if bound == "max" else math.floor)(value * scale) / scale


def _rewrite(path: Path, changes: list[tuple[int, int, str, float]], today: dt.date) -> None:
    import tomlkit

    document: Any = tomlkit.parse(path.read_text(encoding="utf-8"))
    for group, place, bound, value in changes:
        row = document["artifact"][group]["budgets"][place]
        row[bound] = tomlkit.value(f"{value:_}")
        row["date"] = today
    _replace(path, tomlkit.dumps(document))


def _replace(path: Path, text: str) -> None:
    """Write a file in one step: whoever reads it sees the old one or the new one."""
    try:
        descriptor, staged = tempfile.mkstemp(dir=path.resolve().parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
            Path(staged).chmod(path.stat().st_mode & 0o777)
            Path(staged).replace(path.resolve())
        except BaseException:
            Path(staged).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"cannot write {path.name}", where=str(path), why=error.strerror or str(error)) from error
