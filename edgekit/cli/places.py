"""The places of a model that targets do not take as they are written, and what stops them all the same: for people, and as JSON."""

import sys
import textwrap
from typing import TYPE_CHECKING, Any

from edgekit.errors import CannotExportError, shown

if TYPE_CHECKING:
    from edgekit.inspection import ModelReport
    from edgekit.places import PlaceReport, Taken

_WIDTH = 140


def places_document(report: "ModelReport") -> dict[str, Any]:
    """Return the places as JSON, and what stops a target: ``null`` where it was not tried."""
    import attrs

    return {
        "places": [attrs.asdict(place) for place in report.places],
        "obstacles": None if report.obstacles is None else [attrs.asdict(obstacle) for obstacle in report.obstacles],
    }


def stopped(report: "ModelReport", document: dict[str, Any]) -> CannotExportError:
    """Return the error that ``--strict`` ends with."""
    by_target = {obstacle.target: obstacle for obstacle in report.obstacles or ()}
    first = next(iter(by_target.values()))
    error = CannotExportError(
        f"{', '.join(by_target)} {'does' if len(by_target) == 1 else 'do'} not take {report.model}",
        what=first.what or first.summary,
        where=first.where,
        why=first.why,
        hint=first.hint,
    )
    error.details |= document
    return error


def show_places(report: "ModelReport") -> None:
    """Write each operator and line, with what becomes of it for which target; then what no rewrite takes."""
    if report.places:
        sys.stdout.write("\nplaces: what rewrites take or leave, by operator and line\n")
    for place in report.places:
        _show(place)
    if report.obstacles is None:
        return
    sys.stdout.write("\nleft, which no rewrite takes\n" if report.obstacles else "\nnothing is left: each target wrote, loaded and ran the model\n")
    for obstacle in report.obstacles:
        sys.stdout.write(_wrapped(f"{obstacle.target}: {obstacle.what or obstacle.summary}", "  "))
        for label, text in (("where", obstacle.where), ("why", obstacle.why), ("try", obstacle.hint)):
            if text:
                sys.stdout.write(_wrapped(text, f"      {label:<6}"))


def _show(place: "PlaceReport") -> None:
    sys.stdout.write(shown(f"\n  {place.operator}  {place.line or ''}").rstrip() + "\n")
    alike: dict[tuple[str, str, bool], list[Taken]] = {}
    for taken in place.taken:
        alike.setdefault((taken.rewrite, taken.why, bool(taken.count)), []).append(taken)
    for (rewrite, why, took), rows in alike.items():
        targets = ", ".join(row.target for row in rows)
        if not took:
            sys.stdout.write(_wrapped(f"{targets}: left alone by {rewrite}: {why}", "    "))
            continue
        errors = [row.max_error for row in rows if row.max_error is not None]
        measured = f", largest difference {max(errors):.0e}" if errors else ""
        forms = f'; its forms and their cost: "{rows[0].question}" above' if rows[0].question else ""
        count = max(row.count for row in rows)
        sys.stdout.write(_wrapped(f"{targets}: {rewrite}, {count} place{'s' * (count > 1)}{measured}{forms}", "    "))
        sys.stdout.write(_wrapped(why, "      why    "))
        sys.stdout.write(_wrapped(rows[0].exact or "it does not say when; each place is compared", "      exact  "))


def _wrapped(text: str, first: str) -> str:
    return textwrap.fill(shown(text), _WIDTH, initial_indent=first, subsequent_indent=" " * max(8, len(first))) + "\n"
