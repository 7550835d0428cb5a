"""``edgekit doctor``: what is installed, which versions fit, what is wrong and how to get it right."""

import platform
import sys
from typing import Annotated

import typer

from edgekit.cli import console

_FITS = {"ok": "fits", "older": "too old", "newer": "too new", "other": "another version", "missing": "missing"}
_UNUSABLE = 2


def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")] = False) -> None:
    """Say which packages are installed, whether their versions are those edgekit was proved with, and what is missing.

    Nothing is imported, so it also answers where torch itself is broken. Ends with 2 where nothing can be exported.

    \b
    edgekit doctor
    """
    import attrs

    from edgekit.doctor import diagnose

    found = diagnose()
    if as_json:
        document = {
            "schema_version": 1,
            "command": "doctor",
            "python": platform.python_version(),
            "platform": platform.platform(),
            "usable": found.usable,
            "packages": [attrs.asdict(need) for need in found.packages],
            "problems": [attrs.asdict(problem) for problem in found.problems],
        }
        console.print_json(document)
    else:
        sys.stdout.write(f"Python {platform.python_version()} on {platform.platform()}\n\n")
        rows = [(need.name, need.wanted, need.installed or "-", _FITS[need.state], need.extra or "edgekit") for need in found.packages]
        console.print_table(("package", "wanted", "installed", "state", "for"), rows)
        for problem in found.problems:
            stopped = f" Without it: no {problem.stops}." if problem.stops else ""
            console.note(f"\n{problem.about}: {problem.what}.{stopped}\n  try     {problem.hint}")
    if not found.usable:
        raise typer.Exit(_UNUSABLE)
