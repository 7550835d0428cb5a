"""What people read: errors, stages and tables on stderr; stdout is for data."""

import contextlib
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edgekit import errors
from edgekit.errors import EdgekitError
from edgekit.progress import Progress

_BAR_AFTER_S = 2.0
_BAR_WIDTH = 30


def note(text: str, mark: str = "") -> None:
    """Write a line to stderr, after a ``mark`` of our own; names in it may come from files, so signs that steer a terminal are spelled out."""
    sys.stderr.write(mark + errors.shown(text) + "\n")
    sys.stderr.flush()


def line(text: str = "") -> None:
    """Write a line to stdout; as :func:`note`."""
    sys.stdout.write(errors.shown(text) + "\n")


def print_error(error: EdgekitError, *, verbose: bool = False) -> None:
    """Show an expected error: one line, then its labelled parts, then the text of another package's error that it explains, if asked for."""
    note(f" {error.summary}", _red("error:"))
    if error.parts:
        note("")
        for label, text in error.parts:
            note(f"  {label:<7} {text}")
    if error.original is not None:
        note(f"\n{error.original}" if verbose else f"  {'more':<7} --verbose shows the original text")


def print_internal_error(error: Exception) -> None:
    """Show a defect of edgekit in one line and keep its trace in a file for the report."""
    with tempfile.NamedTemporaryFile("w", prefix="edgekit-error-", suffix=".txt", delete=False, encoding="utf-8") as trace:
        traceback.print_exception(error, file=trace)
    note(f" {type(error).__name__}: {error}", _red("internal error:"))
    note("")
    note("  what    this is a defect in edgekit, not in what you did")
    note(f"  try     report it with {trace.name}")


def print_json(document: dict[str, Any]) -> None:
    """Write the one JSON document to stdout."""
    sys.stdout.write(json.dumps(document, indent=2, allow_nan=False, default=_plain) + "\n")
    sys.stdout.flush()


def failure(command: str | None, error: EdgekitError) -> dict[str, Any]:
    """Return the JSON document of a command that failed."""
    parts = {"what": error.what, "where": error.where, "why": error.why, "try": error.hint}
    told = {"kind": type(error).__name__, "message": error.summary, "exit_code": error.exit_code, **parts}
    return {"schema_version": 1, "command": command, **error.details, "error": told}


def shortened(names: Sequence[str], most: int = 3) -> str:
    """Return names with commas between them, of many the first and how many there are."""
    shown = ", ".join(names[:most])
    return f"{shown}, ... ({len(names)})" if len(names) > most else shown


def print_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, indent: str = "") -> None:
    """Write a table to stdout: columns aligned, numbers to the right."""
    if not rows:
        return
    rows = [tuple(errors.shown(cell) for cell in row) for row in rows]  # names come from files
    columns = list(zip(header, *rows, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]
    right = [all(_numeric(cell) for cell in column[1:]) for column in columns]
    for row in (header, *rows):
        cells = [cell.rjust(width) if to_right else cell.ljust(width) for cell, width, to_right in zip(row, widths, right, strict=True)]
        sys.stdout.write(indent + "  ".join(cells).rstrip() + "\n")


class StageLines:
    """Shows each stage of a job as one line on stderr; on a terminal the running stage is shown too."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty() and not quiet

    def begin(self, stage: str) -> None:
        """Show that a stage runs."""
        if self._live:
            sys.stderr.write(f"\r\033[K  {errors.shown(stage):<22} ...")
            sys.stderr.flush()

    def end(self, stage: str, seconds: float, detail: str) -> None:
        """Show what came of it."""
        if self._live:
            sys.stderr.write("\r\033[K")
        if not self._quiet:
            note(f"  {stage:<22} {seconds:5.1f} s   {detail}")

    def fail(self, stage: str) -> None:
        """Make room for the error."""
        del stage
        if self._live:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


@contextlib.contextmanager
def byte_bar(*, quiet: bool = False) -> Iterator[Progress | None]:
    """Yield what shows the bytes of a transfer as a bar on stderr, once it has taken two seconds; None where nobody watches."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    start = time.monotonic()

    def show(done: int, total: int | None) -> None:
        if time.monotonic() - start >= _BAR_AFTER_S:
            full = round(_BAR_WIDTH * done / total) if total else 0
            bar = f"[{'#' * full}{'.' * (_BAR_WIDTH - full)}] " if total else ""
            share = f" of {total / 1e6:.1f}" if total else ""
            sys.stderr.write(f"\r\033[K  {bar}{done / 1e6:.1f}{share} MB")
            sys.stderr.flush()

    try:
        yield show
    finally:
        sys.stderr.write("\r\033[K")
        sys.stderr.flush()


def _numeric(cell: str) -> bool:
    return cell.replace(".", "").replace("-", "").replace("%", "").replace(",", "").isdigit() or cell in ("", "-")


def _red(text: str) -> str:
    return f"\033[1;31m{text}\033[0m" if sys.stderr.isatty() and "NO_COLOR" not in os.environ else text


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
