"""What cells do. Each function gets its parameters, its files by name and a folder to write to, and returns what came of it.

They run in a process of their own, so each imports what it needs and nothing is left behind.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from edgekit.cache import cache_folder
from edgekit.errors import BadInputError

_LOCK = "bench.lock"


@frozen(kw_only=True)
class Done:
    """What came of a cell: ``result``, plain JSON values; ``artifact``: in the folder that was given, with its manifest."""

    result: Mapping[str, Any]
    predictions: bytes | None = field(default=None, repr=False)
    artifact: Path | None = None


def export_cell(parameters: Mapping[str, Any], files: Mapping[str, Path], folder: Path) -> Done:
    """Export one artifact. Its verdict is that of its manifest."""
    from edgekit.exporting import export_recipes
    from edgekit.recipe import Recipe

    recipe = Recipe(**parameters, weights=files.get("weights"))
    exported = export_recipes([recipe], output_dir=folder, cache=False)
    (made,) = exported.artifacts
    result = {
        "artifact": made.path.name,
        "sha256": made.sha256,
        "size_bytes": made.size_bytes,
        "trained": exported.trained,
        "verdict": made.parity.verdict,
        "executed_by": made.parity.executed_by,
        "sqnr_db": made.parity.sqnr_db,
        "notes": list(made.notes),
    }
    return Done(result=result, artifact=made.path)


def eager_cell(parameters: Mapping[str, Any], files: Mapping[str, Path], folder: Path) -> Done:
    """Ask the eager network about some pictures."""
    del folder
    from edgekit.data.open import open_data
    from edgekit.models.source import load_source
    from edgekit.sweep.answers import of_network, predict_pictures
    from edgekit.sweep_store.predictions import packed

    source, answers = of_network(load_source(parameters["model"], resolution=parameters["resolution"], weights=files.get("weights")))
    found = predict_pictures(answers, open_data(parameters["data"]), source.preprocessing, parameters["start"], parameters["count"])
    return Done(result={"pictures": len(found.rows)}, predictions=packed(found))


def evaluate_cell(parameters: Mapping[str, Any], files: Mapping[str, Path], folder: Path) -> Done:
    """Ask an artifact about some pictures."""
    del folder
    from edgekit.data.open import open_data
    from edgekit.manifest import preprocessing_from_json
    from edgekit.runtime.loaded import load_artifact
    from edgekit.sweep.answers import of_artifact, predict_pictures
    from edgekit.sweep_store.predictions import packed

    artifact = load_artifact(files["artifact"])
    if artifact.manifest is None:
        raise BadInputError(f"{artifact.path.name} has no manifest")
    preprocessing = preprocessing_from_json(artifact.manifest.document.get("preprocessing"))
    found = predict_pictures(of_artifact(artifact), open_data(parameters["data"]), preprocessing, parameters["start"], parameters["count"])
    return Done(result={"pictures": len(found.rows)}, predictions=packed(found))


def bench_cell(parameters: Mapping[str, Any], files: Mapping[str, Path], folder: Path) -> Done:
    """Time an artifact: on one core, and never beside another bench of this machine."""
    del folder
    from edgekit.bench.benchmark import benchmark

    with _only_bench():
        core = _pinned()
        found = benchmark([files["artifact"]], samples=parameters["samples"])
    rows = {row.method: {"p50_ms": row.p50_ms, "p90_ms": row.p90_ms, "min_ms": row.min_ms, "load_ms": row.load_ms} for row in found.results}
    exits = [row for row in found.results if row.method.startswith("exit_")] or list(found.results)
    result = {
        "methods": rows,
        "p50_ms": sum(row.p50_ms for row in exits),
        "min_ms": sum(row.min_ms for row in exits),
        "noise": found.noise,
        "core": core,
        "context": found.context,
    }
    return Done(result=result)


@contextlib.contextmanager
def _only_bench() -> Iterator[None]:
    """Wait until no other bench runs on this machine, and keep others waiting meanwhile; a bench that dies lets the next one in."""
    place = cache_folder()
    place.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _pinned() -> int | None:
    """Stay on one core, the last of those allowed: the first ones serve interrupts. ``None``: this system has no such thing."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core
