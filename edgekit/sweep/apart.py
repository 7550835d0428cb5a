"""Runs one cell in a process of its own, and puts into words how that ended: by itself, by a signal, or not in time."""

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

import edgekit
from edgekit.sweep import worker
from edgekit.sweep.cell import Outcome, Task

_LOG = "log"
_TAIL_BYTES, _MOST_DONE_BYTES, _MOST_PREDICTIONS_BYTES = 2000, 16 * 1024 * 1024, 1 << 28
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def run_apart(task: Task, folder: Path, started: Callable[["subprocess.Popen[bytes]"], Any] = lambda _: None) -> Outcome:
    """Run a task's cell and return what became of it; whatever the process does, this returns.

    :param folder: an empty one; what the cell makes lies there. :param started: called with the process, to be able to end it.
    """
    cell = task.cell
    told = {"function": cell.function, "parameters": dict(cell.parameters), "files": {k: str(v) for k, v in task.files.items()}, "code": task.code}
    (folder / worker.TASK).write_text(json.dumps(told), encoding="utf-8")
    began = time.perf_counter()
    with (folder / _LOG).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "edgekit.sweep.worker", str(folder)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=_environment(),
            start_new_session=True,
        )
    started(process)
    try:
        process.wait(60 * cell.minutes)
        late = False
    except subprocess.TimeoutExpired:
        late = True
    finally:
        end(process)
    outcome = Outcome(key=cell.key, status="failed", seconds=time.perf_counter() - began, machine=machine())
    if late:
        return attrs.evolve(outcome, error=f"it took longer than {cell.minutes:g} minutes and was stopped")
    return _read(outcome, process.returncode, folder)


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a cell's process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def machine() -> str:
    """Return what a row says of the machine that ran it."""
    return f"{platform.node()}, {platform.system()} {platform.machine()}"


def _environment() -> dict[str, str]:
    """Return the variables of a cell's process: this edgekit, wherever it lies, and one thread, as several cells run at once."""
    own = str(Path(edgekit.__file__).parents[1])
    path = os.pathsep.join(dict.fromkeys([own, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]))
    return os.environ | dict.fromkeys(_THREADS, "1") | {"PYTHONPATH": path}


def _read(outcome: Outcome, code: int, folder: Path) -> Outcome:
    done = folder / worker.DONE
    if code != 0 or not done.is_file() or done.stat().st_size > _MOST_DONE_BYTES:
        return attrs.evolve(outcome, error=f"{_ending(code)}{_said(folder)}")
    told: Mapping[str, Any] = json.loads(done.read_text(encoding="utf-8"))
    if told["status"] != "done":
        return attrs.evolve(outcome, status=told["status"], error=told["error"])
    predictions = folder / worker.PREDICTIONS
    if predictions.is_file() and predictions.stat().st_size > _MOST_PREDICTIONS_BYTES:
        return attrs.evolve(outcome, error="its predictions are too large to be kept")
    return attrs.evolve(
        outcome,
        status="done",
        result={**told["result"], "own_seconds": told["own_seconds"]},
        predictions=predictions.read_bytes() if predictions.is_file() else None,
        artifact=None if told["artifact"] is None else folder / worker.MADE / told["artifact"],
    )


def _ending(code: int) -> str:
    if code >= 0:
        return f"its process ended with {code} and without a result"
    names = {number.value: number.name for number in signal.Signals}
    return f"its process was ended by {names.get(-code, f'signal {-code}')}"


def _said(folder: Path) -> str:
    """Return the last that the process wrote."""
    with (folder / _LOG).open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
        text = log.read().decode(errors="replace").strip()
    return f"; it wrote:\n{text}" if text else ""
