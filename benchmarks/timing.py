"""Timing of several variants in one run: interleaved A B B A, one thread, raw samples kept."""

import datetime as dt
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import psutil

WARM_UPS = 8


def interleaved_ms(variants: Mapping[str, Callable[[], Any]], samples: int = 40) -> dict[str, list[float]]:
    """Return the times of every variant in milliseconds; each round runs all of them, every other round backwards."""
    for run in variants.values():
        for _ in range(WARM_UPS):
            run()
    times: dict[str, list[float]] = {name: [] for name in variants}
    for index in range(samples):
        for name in list(variants) if index % 2 else list(variants)[::-1]:
            start = time.perf_counter()
            variants[name]()
            times[name].append((time.perf_counter() - start) * 1e3)
    return times


def row(name: str, times_ms: list[float], error: float | None) -> dict[str, Any]:
    """Return one result: minimum, median, raw samples, and the parity of what was timed."""
    rounded = [round(value, 4) for value in times_ms]
    return {"variant": name, "min_ms": min(rounded), "median_ms": statistics.median(rounded), "max_rel_error": error, "samples_ms": rounded}


def relative_error(actual: np.ndarray, reference: np.ndarray) -> float:
    """Return the largest difference relative to the largest reference value."""
    return float(np.abs(actual - reference).max() / np.abs(reference).max())


def require_one_core() -> None:
    """Stop unless the process is pinned: ExecuTorch's thread pool takes every core it sees."""
    if len(os.sched_getaffinity(0)) != 1:
        raise SystemExit("run it on one core:  taskset -c 0 python benchmarks/...")


def context() -> dict[str, Any]:
    """Return the machine and the versions a number was measured with."""
    from importlib.metadata import version

    packages = ("edgekit", "torch", "executorch", "litert-torch", "ai-edge-litert", "onnx", "onnxruntime")
    cpu = next((line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor())  # noqa: PTH123, SIM115
    return {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "cpu": cpu,
        "cores_used": len(os.sched_getaffinity(0)),
        "threads": 1,
        "load_average": [round(value, 2) for value in psutil.getloadavg()],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }
