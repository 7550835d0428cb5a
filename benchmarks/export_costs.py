"""What an export costs: wall time and peak memory of ``edgekit export``, with verification, against the vendor's plain converter without.

    taskset -c 0 python benchmarks/export_costs.py emov2-5m --output benchmarks/results/export_costs_emov2-5m_224.json

Everything is measured from the start of a process to its end, interpreter and imports included. edgekit asks no cache, but in the last rows:
those are the same export again, nothing changed. Exits with 1 where a goal is missed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from timing import context, require_one_core

GOALS = {"tflite": 0.8, "executorch": 0.5, "coreml": 1.0, "onnx": 1.0}
"""Wall time of edgekit over that of the converter, by target."""
MEMORY_GOAL, CACHED_GOAL_S = 1.2, 1.0
SUFFIX = {"tflite": ".tflite", "executorch": ".pte", "onnx": ".onnx", "coreml": ".mlpackage"}
PRECISION = {"coreml": "fp16"}  # the converter's own default; fp32 for the others
_POLL_S = 0.05


def main() -> int:
    """Measure, print a line a target, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--target", action="append", choices=sorted(GOALS))
    parser.add_argument("--samples", type=int, default=3, help="processes of each kind, one after the other")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--convert", type=Path, help=argparse.SUPPRESS)  # this process is the plain converter
    options = parser.parse_args()
    if options.convert is not None:
        convert(options.model, options.resolution, options.target[0], options.convert)
        return 0
    require_one_core()
    results = []
    for target in options.target or GOALS:
        results.append(measure(target, options))
        sys.stdout.write(json.dumps({key: value for key, value in results[-1].items() if key != "rows"}) + "\n")
        sys.stdout.flush()
    document = {"benchmark": "export_costs", "model": options.model, "resolution": options.resolution, "context": context(), "results": results}
    if options.output:
        options.output.write_text(json.dumps(document, indent=1) + "\n")
    missed = [row["target"] for row in results if not row["reached"]]
    sys.stdout.write(f"goals missed: {', '.join(missed)}\n" if missed else "all goals reached\n")
    return 1 if missed else 0


def measure(target: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run both ways in turn, each in a process of its own, then the export again from a cache that has it."""
    rows: dict[str, list[dict[str, float]]] = {"edgekit": [], "converter": [], "cached": []}
    with tempfile.TemporaryDirectory(prefix="edgekit-costs-") as name:
        place = Path(name)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "EDGEKIT_CACHE": str(place / "cache")}
        asked = [options.model, "-t", target, "--precision", PRECISION.get(target, "fp32"), "--resolution", str(options.resolution)]
        ours = [sys.executable, "-m", "edgekit", "export", *asked, "--overwrite", "--quiet", "-o", str(place / "ours")]
        theirs = [sys.executable, __file__, options.model, "--resolution", str(options.resolution), "--target", target]
        theirs += ["--convert", str(place / f"plain{SUFFIX[target]}")]
        for _ in range(options.samples):
            rows["edgekit"].append(costs([*ours, "--no-cache"], environment))
            rows["converter"].append(costs(theirs, environment))
        costs(ours, environment)  # fills the cache
        rows["cached"] = [costs(ours, environment) for _ in range(2 * options.samples)]
    wall_s = {kind: min(row["wall_s"] for row in found) for kind, found in rows.items()}
    peak = {kind: min(row["peak_bytes"] for row in found) for kind, found in rows.items()}
    ratio, memory = wall_s["edgekit"] / wall_s["converter"], peak["edgekit"] / peak["converter"]
    return {
        "target": target,
        "precision": PRECISION.get(target, "fp32"),
        "wall_s": wall_s,
        "peak_bytes": peak,
        "wall_ratio": round(ratio, 3),
        "wall_goal": GOALS[target],
        "memory_ratio": round(memory, 3),
        "memory_goal": MEMORY_GOAL,
        "cached_goal_s": CACHED_GOAL_S,
        "reached": ratio <= GOALS[target] and memory <= MEMORY_GOAL and wall_s["cached"] < CACHED_GOAL_S,
        "rows": rows,
    }


def costs(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Run a command to its end; its wall time, and the largest memory that it and its children held at once.

    The sum over the processes is looked at twenty times a second; the system's own mark of the largest single one is taken where that is higher.
    """
    start = time.perf_counter()
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peak, tree = 0, psutil.Process(child.pid)
    while True:
        ended, status, used = os.wait4(child.pid, os.WNOHANG)
        if ended:
            break
        peak = max(peak, resident_bytes(tree))
        time.sleep(_POLL_S if time.perf_counter() - start > 2 else _POLL_S / 10)
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    said = child.stderr.read().decode(errors="replace") if child.stderr else ""
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}:\n{said[-2000:]}")
    return {"wall_s": round(wall, 3), "cpu_s": round(used.ru_utime + used.ru_stime, 3), "peak_bytes": max(peak, used.ru_maxrss * 1024)}


def resident_bytes(process: psutil.Process) -> int:
    """Return what a process and those it started hold now; those that just ended hold nothing."""
    total = 0
    try:
        for each in (process, *process.children(recursive=True)):
            total += each.memory_info().rss
    except psutil.Error:
        pass
    return total


def convert(model: str, resolution: int, target: str, path: Path) -> None:
    """Be the plain converter: the eager model, an image, the vendor's call."""
    import naive
    import torch

    import edgekit

    exporters: dict[str, Callable[..., None]] = naive.EXPORTERS | {"coreml": naive.coreml}
    image = torch.randn((1, 3, resolution, resolution), generator=torch.Generator().manual_seed(0))
    eager = edgekit.build_model(model, resolution=resolution)
    with torch.no_grad():
        exporters[target](eager, image, path)


if __name__ == "__main__":
    sys.exit(main())
