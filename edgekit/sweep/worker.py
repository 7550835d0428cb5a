"""The process of one cell.

    python -m edgekit.sweep.worker FOLDER       reads FOLDER/task.json; writes FOLDER/done.json, FOLDER/predictions, FOLDER/made/ARTIFACT

It lives as long as its stdin is open: whoever started it holds the other end, so that nothing goes on for a sweep that was killed.
"""

import importlib
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError
from edgekit.export_cache.key import own_digest

TASK, DONE, PREDICTIONS, MADE = "task.json", "done.json", "predictions", "made"
_ORPHANED = 75


def main() -> None:
    """Run the cell and write what came of it; an error is a result, too."""
    folder = Path(sys.argv[1])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    task = json.loads((folder / TASK).read_text(encoding="utf-8"))
    began = time.perf_counter()
    try:
        told = _run(task, folder)
    except EdgekitError as error:
        told = {"status": "failed", "error": f"{type(error).__name__}: {error}"}
    except Exception as error:  # noqa: BLE001  whatever it is, it is this cell's
        told = {"status": "failed", "error": f"{type(error).__name__}: {error}\n{''.join(traceback.format_tb(error.__traceback__)[-3:])}"}
    told["own_seconds"] = time.perf_counter() - began
    staged = folder / f"{DONE}.new"
    staged.write_text(json.dumps(told, allow_nan=False), encoding="utf-8")
    staged.rename(folder / DONE)


def _run(task: dict[str, Any], folder: Path) -> dict[str, Any]:
    if own_digest() != task["code"]:
        return {"status": "changed", "error": "edgekit is another than when the sweep began"}
    module, _, name = task["function"].partition(":")
    made = folder / MADE
    made.mkdir()
    done = getattr(importlib.import_module(module), name)(task["parameters"], {key: Path(file) for key, file in task["files"].items()}, made)
    if done.predictions is not None:
        (folder / PREDICTIONS).write_bytes(done.predictions)
    return {"status": "done", "result": dict(done.result), "artifact": None if done.artifact is None else done.artifact.name}


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(_ORPHANED)


if __name__ == "__main__":
    main()
