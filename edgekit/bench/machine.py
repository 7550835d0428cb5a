"""What numbers were measured on, and a fixed piece of work that tells how quiet it was meanwhile."""

import datetime as dt
import importlib.metadata
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.version import __version__

_SIDE = 384
_NOISY = 1.25
"""A machine is called too noisy where the slowest tenth of the rounds takes the fixed work a quarter longer than the median does."""

_PACKAGES = ("torch", "ai-edge-litert", "executorch", "onnxruntime")


def context(threads: int) -> dict[str, Any]:
    """Return the day (UTC), the machine, the versions and the load as they are now, as plain JSON values."""
    return {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores_allowed": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": threads,
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "python": platform.python_version(),
        "versions": {"edgekit": __version__} | {name: _version(name) for name in _PACKAGES},
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        named = (line.partition(":")[2].strip() for line in info.read_text(encoding="utf-8").splitlines() if line.startswith("model name"))
        return next(named, platform.processor())
    return platform.processor()


class FixedWork:
    """A product of two matrices that fit the cache; how long it takes depends on the machine's state alone."""

    def __init__(self) -> None:
        draw = np.random.default_rng(0)
        self._a, self._b = (draw.standard_normal((_SIDE, _SIDE)).astype(np.float32) for _ in range(2))

    def run_ms(self) -> float:
        """Do it once, in milliseconds."""
        start = time.perf_counter()
        self._a @ self._b
        return (time.perf_counter() - start) * 1e3


def spread_of(work_ms: Sequence[float]) -> float:
    """Return how much longer the slowest tenth of the rounds took the fixed work than the median, 1 for not at all."""
    return float(np.percentile(work_ms, 90) / np.median(work_ms))


def is_noisy(work_ms: Sequence[float]) -> bool:
    """Whether timings of these rounds are too disturbed to be compared."""
    return spread_of(work_ms) > _NOISY
