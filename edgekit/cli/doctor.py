"""``edgekit doctor``: what is installed, which versions fit, what is missing and how to get it."""

import importlib.metadata
import platform
import sys
from typing import Annotated, Any

import typer

from edgekit.cli import console

_FITS = {"ok": "fits", "other": "another version", "missing": "missing"}


def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")] = False) -> None:
    """Say which packages are installed, whether their versions are those edgekit was proved with, and what is missing.

    \b
    edgekit doctor
    """
    rows = list(_requirements())
    if as_json:
        document = {"schema_version": 1, "command": "doctor", "python": platform.python_version(), "platform": platform.platform(), "packages": rows}
        console.print_json(document)
        return
    sys.stdout.write(f"Python {platform.python_version()} on {platform.platform()}\n\n")
    console.print_table(
        ("package", "wanted", "installed", "state", "for"),
        [(row["name"], row["wanted"], row["installed"] or "-", _FITS[row["state"]], row["extra"] or "edgekit") for row in rows],
    )
    for row in rows:
        if row["state"] != "ok":
            extra = f"[{row['extra']}]" if row["extra"] else ""
            console.note(f"\n{row['name']}: pip install 'edgekit{extra}' brings {row['name']} {row['wanted']}")


def _requirements() -> list[dict[str, Any]]:
    from packaging.requirements import Requirement

    rows = []
    for text in importlib.metadata.requires("edgekit") or []:
        requirement = Requirement(text)
        extra = str(requirement.marker).partition("extra == ")[2].strip("\"'") if requirement.marker else None
        if extra in ("dev", "all") or requirement.name == "edgekit":
            continue
        try:
            installed: str | None = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            installed = None
        state = "missing" if installed is None else "ok" if requirement.specifier.contains(installed.partition("+")[0], prereleases=True) else "other"
        rows.append({"name": requirement.name, "wanted": str(requirement.specifier), "installed": installed, "state": state, "extra": extra})
    return rows
