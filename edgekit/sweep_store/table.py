"""One row an artifact, from what a store holds: size, verdict, accuracy beside eager on the same pictures, time."""

from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.errors import EvidenceError
from edgekit.sweep_store.predictions import Predictions, figures, merged, unpacked
from edgekit.sweep_store.store import Attempt, SweepStore

NAMED = ("model", "target", "precision", "resolution", "form", "calibration_samples")
_SAID_OF_EXPORT = ("sha256", "artifact", "size_bytes", "verdict", "executed_by", "sqnr_db", "trained")


def document(store: SweepStore, name: str | None = None) -> dict[str, Any]:
    """Return the table of a sweep as plain JSON values; equal content gives an equal table, wherever and in whatever order it was made.

    :param name: of the sweep; ``None``: the store's only one, or the last.
    :raises EvidenceError: there is no such sweep, or a row is none that a sweep wrote.
    """
    plans = store.plans()
    if not plans or (name is not None and name not in plans):
        raise EvidenceError(f"{store.path.name} holds no sweep{f' {name}' if name else ''}", what=", ".join(plans) or "none at all")
    chosen = name or list(plans)[-1]
    wholes: dict[tuple[str, ...], Predictions] = {}
    try:
        rows = [_row(store, row, wholes) for row in plans[chosen]["rows"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise EvidenceError(f"{store.path.name} holds a plan that no sweep wrote", why=f"{type(error).__name__}: {error}") from error
    return {"schema_version": 1, "command": "sweep", "name": chosen, "data": plans[chosen].get("data"), "results": rows}


def _row(store: SweepStore, planned: Mapping[str, Any], wholes: dict[tuple[str, ...], Predictions]) -> dict[str, Any]:
    row = {name: planned.get(name) for name in NAMED}
    keys = [planned["export"], *planned["evaluate"], *planned["eager"], *([planned["bench"]] if planned["bench"] else [])]
    last = {key: store.last(key) for key in keys}
    row["status"], row["error"] = _status(last)
    made = last[planned["export"]]
    result = {} if made is None or made.result is None else made.result
    row |= {name: result.get(name) for name in _SAID_OF_EXPORT}
    evaluated = [last[key] for key in (*planned["evaluate"], *planned["eager"])]
    if planned["evaluate"] and all(found is not None and found.status == "done" for found in evaluated):
        try:
            ours = _whole(store, tuple(planned["evaluate"]), planned["pictures"], wholes)
            eager = _whole(store, tuple(planned["eager"]), planned["eager_pictures"], wholes)
            row |= figures(ours, eager, _answer_of(eager, planned.get("form")))
        except EvidenceError as error:
            row["status"], row["error"] = "failed", f"evaluation: {error}"
    timed = last.get(planned["bench"]) if planned["bench"] else None
    if timed is not None and timed.status == "done" and timed.result is not None:
        row |= {name: timed.result.get(name) for name in ("p50_ms", "min_ms", "noise")}
    return row


def _status(last: Mapping[str, Attempt | None]) -> tuple[str, str | None]:
    failed = [found for found in last.values() if found is not None and found.status == "failed"]
    if failed:
        return "failed", f"{failed[0].kind}: {failed[0].error}"
    return ("done", None) if all(last.values()) else ("not done", None)


def _whole(store: SweepStore, keys: tuple[str, ...], pictures: int, wholes: dict[tuple[str, ...], Predictions]) -> Predictions:
    if keys not in wholes:
        wholes[keys] = merged([_part(store, key) for key in keys], pictures)
    return wholes[keys]


def _part(store: SweepStore, key: str) -> Predictions:
    found = store.last(key)
    if found is None or found.predictions is None:
        raise EvidenceError("a part of an evaluation holds no predictions", what=key[:16])
    return unpacked(found.predictions)


def _answer_of(eager: Predictions, form: str | None) -> int:
    """Return which of eager's answers an artifact's last one is to be held to: of a network that is cut, that of the exit."""
    exit_name = f"exit_{form.partition('=')[2]}" if form is not None and form.startswith("exit=") else None
    return eager.answers.index(exit_name) if exit_name in eager.answers else -1


def best(rows: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Tell of each row whether none is at least as small, as accurate and (where both were timed) as fast, and better in one of these."""
    known = [row for row in rows if _is_number(row.get("accuracy")) and _is_number(row.get("size_bytes"))]
    return [any(row is one for one in known) and not any(_beats(other, row) for other in known if other is not row) for row in rows]


def _beats(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if one.get("pictures") != other.get("pictures"):  # a limit for a slow target: other pictures
        return False
    pairs = [(one["size_bytes"], other["size_bytes"]), (-one["accuracy"], -other["accuracy"])]
    if _is_number(one.get("p50_ms")) and _is_number(other.get("p50_ms")):
        pairs.append((one["p50_ms"], other["p50_ms"]))
    return all(mine <= theirs for mine, theirs in pairs) and any(mine < theirs for mine, theirs in pairs)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
