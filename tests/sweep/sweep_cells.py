"""Cells of a few milliseconds, some of them bad, and what starts a sweep of them; the worker imports this by name."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from edgekit import artifact
from edgekit.export_cache.key import digest_of_values, own_digest
from edgekit.sweep.cell import Cell
from edgekit.sweep.kinds import Done
from edgekit.sweep_store.predictions import Predictions, packed

HERE = Path(__file__).parent


def cell(name, *needs, act="count", artifact_of=None, alone=False, minutes=10.0, **parameters):
    given = {"name": name, "act": act, **parameters}
    return Cell(
        key=digest_of_values(given),
        kind="fake",
        function="sweep_cells:run",
        about={"kind": "fake", "model": name},
        parameters=given,
        needs=(*needs, *([artifact_of] if artifact_of else [])),
        artifact_of=artifact_of,
        alone=alone,
        minutes=minutes,
        guess_s=0.1,
    )


def by_key(*cells):
    return {one.key: one for one in cells}


def run(parameters, files, folder):
    """Write a line to the journal: each time a cell is run is seen; then do what it is told."""
    if "journal" in parameters:
        descriptor = os.open(parameters["journal"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, f"{parameters['name']}\n".encode())
        os.close(descriptor)
    return globals()[f"_{parameters['act']}"](parameters, files, folder)


def _count(parameters, files, folder):
    return Done(result={"name": parameters["name"]})


def _sleep(parameters, files, folder):
    time.sleep(parameters["seconds"])
    return _count(parameters, files, folder)


def _wait(parameters, files, folder):
    while not Path(parameters["until"]).exists():
        time.sleep(0.05)
    return _count(parameters, files, folder)


def _span(parameters, files, folder):
    began = time.time()
    time.sleep(0.2)
    return Done(result={"began": began, "ended": time.time()})


def _crash(parameters, files, folder):
    sys.stderr.write("about to fall\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGSEGV)


def _unlucky(parameters, files, folder):
    if not Path(parameters["cure"]).exists():
        raise ValueError("not today")
    return _count(parameters, files, folder)


def _make(parameters, files, folder):
    made = folder / f"{parameters['name']}.onnx"
    made.write_text(parameters["name"] * 1000)
    sha256 = artifact.digest(made)
    artifact.write_manifest({"schema_version": 1, "artifact": {"sha256": sha256}}, artifact.manifest_path(made))
    return Done(result={"artifact": made.name, "sha256": sha256, "size_bytes": made.stat().st_size}, artifact=made)


def _read(parameters, files, folder):
    time.sleep(parameters.get("seconds", 0))
    text = files["artifact"].read_text()
    label = len(text) % 10
    rows = np.array([[parameters["start"] + place, label, label, 0, -1] for place in range(parameters["count"])], np.int32)
    return Done(result={"length": len(text)}, predictions=packed(Predictions(answers=("forward",), rows=rows)))


class Heard:
    """A listener that keeps what it hears."""

    def __init__(self):
        self.seen = []

    def begin(self, left, done, seconds):
        self.left, self.done = left, done

    def ended(self, cell, outcome, progress):
        self.seen.append((cell.about["model"], outcome.status))

    def tick(self, progress):
        pass


def main():
    """Sweep in a process of its own: STORE and cells as JSON rows."""
    from edgekit.sweep.local import LocalExecutor
    from edgekit.sweep.run import run_cells
    from edgekit.sweep_store.store import SweepStore

    cells = by_key(*(cell(row.pop("name"), **row) for row in json.loads(sys.argv[2])))
    with SweepStore.open(Path(sys.argv[1]), write=True) as store:
        summary = run_cells(cells, store, LocalExecutor(2), code=own_digest(), listener=Heard())
    sys.stdout.write(json.dumps({"done": summary.done, "before": summary.before, "failed": len(summary.failed)}))


if __name__ == "__main__":
    main()
