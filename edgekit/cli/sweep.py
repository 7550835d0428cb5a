"""``edgekit sweep``."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import console
from edgekit.errors import EdgekitError, UsageError

if TYPE_CHECKING:
    from edgekit.sweep.cell import Cell, Executor, Outcome
    from edgekit.sweep.plan import Plan
    from edgekit.sweep.predict import Prediction
    from edgekit.sweep.run import Progress, Summary


def sweep(
    file: Annotated[Path, typer.Argument(metavar="SWEEP.toml", help="What is to be made: models, targets, precisions, pictures.")],
    *,
    root: Annotated[Path | None, typer.Option(help="The folder that files named in it lie below; by default its own.")] = None,
    store: Annotated[Path | None, typer.Option(help="Where results are kept; by default build/NAME.sweep.")] = None,
    workers: Annotated[int | None, typer.Option(help="Cells at once on this machine; by default one a core.")] = None,
    cluster: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Use a Ray cluster instead, such as 10.0.0.1:6379.")] = None,
    only: Annotated[str | None, typer.Option(metavar="TEXT", help="Only artifacts with this in MODEL/TARGET/PRECISION; several with commas.")] = None,
    pictures: Annotated[int | None, typer.Option(help="Evaluate on so many pictures at most, whatever the file says.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Also run cells again that failed before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is left to do, for how long and how large; run nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Export, verify, evaluate and time every model, target and precision of a file: here, or on a cluster.

    \b
    edgekit sweep cifar10.toml --dry-run
    edgekit sweep cifar10.toml
    edgekit sweep cifar10.toml --retry-failed
    edgekit sweep cifar10.toml --cluster 10.0.0.1:6379
    edgekit report build/cifar10.sweep

    Every piece of work is kept under what decides its result: the same command again, after an interruption or a change, does
    what is not done. What fails is kept with its error and takes nothing else with it. Ends with 1 where something failed.
    """
    import attrs

    from edgekit.quiet import stdout_to_stderr
    from edgekit.sweep.plan import make_plan
    from edgekit.sweep.predict import Guesses, predict
    from edgekit.sweep.request import SweepRequest
    from edgekit.sweep.run import run_cells
    from edgekit.sweep_store import table
    from edgekit.sweep_store.store import SUFFIX, SweepStore

    if workers is not None and (workers < 1 or cluster is not None):
        raise UsageError("--workers says how many cells run at once on this machine", hint="1 or more, and no --cluster")
    request = SweepRequest.load(file, root).chosen(only, pictures)
    place = store or Path("build") / f"{request.name}{SUFFIX}"
    slots = workers or _cores()
    if dry_run:
        durations: list[Any] = []
        statuses: dict[str, str] = {}
        if place.is_file():
            with SweepStore.open(place) as opened:
                durations, statuses = opened.durations(), opened.statuses()
        plan = make_plan(request, Guesses(durations))
        wanted = [cell for cell in plan.cells.values() if statuses.get(cell.key) is None or (retry_failed and statuses[cell.key] == "failed")]
        _show_dry(plan, predict(wanted, slots), slots, attrs.asdict, as_json=as_json)
        return
    with SweepStore.open(place, write=True) as opened, stdout_to_stderr():
        plan = make_plan(request, Guesses(opened.durations()))
        opened.add_plan(request.name, plan.document)
        executor = _executor(cluster, slots)
        lines = _Lines(quiet=quiet)
        summary = run_cells(plan.cells, opened, executor, code=plan.code, listener=lines, retry_failed=retry_failed)
        lines.clear()
        document = table.document(opened, request.name)
    document["run"] = attrs.asdict(summary)
    if as_json and not summary.failed:
        console.print_json(document)
    elif not as_json:
        _show(document, summary, place)
    if summary.failed:
        raise _failure(plan, summary, document)


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _executor(cluster: str | None, slots: int) -> "Executor":
    if cluster is None:
        from edgekit.sweep.local import LocalExecutor

        return LocalExecutor(slots)
    from edgekit.sweep.cluster import RayExecutor  # Ray is imported only when it is asked for

    return RayExecutor(cluster)


def _failure(plan: "Plan", summary: "Summary", document: dict[str, Any]) -> EdgekitError:
    failed = [f"{_named(plan.cells[key])}: {error.splitlines()[0]}" for key, error in summary.failed.items()]
    error = EdgekitError(
        f"{len(failed)} of {len(plan.cells)} cells failed",
        what="\n          ".join(failed[:20]),
        why=f"{len(summary.blocked)} others need one of these" if summary.blocked else None,
        hint="all else is done; --retry-failed runs these again",
    )
    error.details |= {key: value for key, value in document.items() if key not in ("schema_version", "command")}
    return error


def _named(cell: "Cell") -> str:
    about = cell.about
    names = [str(about[name]) for name in ("model", "target", "precision", "form") if about.get(name) not in (None, "methods")]
    place = f" {about['start']}+{about['pictures']}" if "start" in about else ""
    return f"{cell.kind} {' '.join(names)}{place}"


class _Lines:
    """One line a cell on stderr; on a terminal also how far the sweep is and when it ends."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty() and not quiet

    def begin(self, left: int, done: int, seconds: float) -> None:
        if not self._quiet:
            console.note(f"  {left} cells to do, {done} done before; {_span(seconds)} of work")

    def ended(self, cell: "Cell", outcome: "Outcome", progress: "Progress") -> None:
        self.clear()
        if not self._quiet:
            came = "done" if outcome.status == "done" else "FAILED"
            console.note(f"  {came:<6} {outcome.seconds:7.1f} s  {_named(cell)}   {_state(progress)}")

    def tick(self, progress: "Progress") -> None:
        if self._live:
            sys.stderr.write(f"\r\033[K  {_state(progress)}")
            sys.stderr.flush()

    def clear(self) -> None:
        if self._live:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


def _state(progress: "Progress") -> str:
    ends = time.strftime("%H:%M", time.localtime(time.time() + progress.ends_s))
    others = f", {progress.elsewhere} in another sweep" if progress.elsewhere else ""
    failed = f", {progress.failed} failed" if progress.failed else ""
    return f"[{progress.done} done{failed}, {progress.running} running{others}, {progress.left} left, ends about {ends}]"


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _show_dry(plan: "Plan", left: "Prediction", slots: int, plain: Any, *, as_json: bool) -> None:
    if as_json:
        console.print_json({"schema_version": 1, "command": "sweep", "dry_run": True, "cells": len(plan.cells), "slots": slots, "left": plain(left)})
        return
    counts: dict[str, int] = {}
    for cell in plan.cells.values():
        counts[cell.kind] = counts.get(cell.kind, 0) + 1
    console.line(f"{len(plan.rows)} artifacts, {len(plan.cells)} cells: {', '.join(f'{count} {kind}' for kind, count in counts.items())}")
    console.line(f"left to do: {left.cells} cells, about {_span(left.seconds)} of work, {_span(left.ends_s)} with {slots} at once")
    console.line(f"artifacts to keep: about {left.size_bytes / 1e6:,.0f} MB")


def _show(document: dict[str, Any], summary: "Summary", place: Path) -> None:
    header = ("model", "target", "precision", "form", "status", "verdict", "MB", "pictures", "accuracy", "eager", "agreement", "p50 ms")
    rows = [
        (
            row["model"],
            row["target"],
            row["precision"],
            row["form"] or "-",
            row["status"],
            row["verdict"] or "-",
            "-" if row["size_bytes"] is None else f"{row['size_bytes'] / 1e6:.2f}",
            str(row.get("pictures") or "-"),
            *(f"{row[name]:.2%}" if row.get(name) is not None else "-" for name in ("accuracy", "eager_accuracy", "agreement")),
            f"{row['p50_ms']:.2f}" if row.get("p50_ms") is not None else "-",
        )
        for row in document["results"]
    ]
    console.print_table(header, rows)
    console.note(f"{summary.done} cells done in {_span(summary.wall_s)} ({_span(summary.cells_s)} of work), {summary.before} before; kept in {place}")
