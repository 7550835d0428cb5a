"""Where the time of a run goes, operator by operator, as each runtime tells it, with the module it came from where that is known.

A profiled run is slower than one that is not: its operators are compared with each other, not with ``bench``'s times.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from attrs import evolve, field, frozen

from edgekit.artifact import digest
from edgekit.bench.inputs import Array, inputs_of
from edgekit.origins import Origins, origins_from_json
from edgekit.runtime.loaded import LoadedArtifact, load_artifact

RUNS = 10
_PROFILERS = {"onnx": "edgekit.bench.profile_onnx", "executorch": "edgekit.bench.profile_executorch", "tflite": "edgekit.bench.profile_litert"}


@frozen(kw_only=True)
class ProfileRow:
    """One operator of the graph that really ran: mean milliseconds a run, all its calls together.

    :param name: the runtime's kind of operator. :param node: the captured node it stands for, where its name tells.
    :param least_ms: of the run in which it took the least time; what else the machine does is not in it.
    """

    name: str
    ms: float
    least_ms: float | None = None
    calls: int = 1
    node: str | None = None
    module: str | None = None
    line: str | None = None


@frozen(kw_only=True)
class Profile:
    """One method. ``note``: what the rows are, or why there are none; ``whole_ms``: a profiled run as the runtime times it, where it does."""

    artifact: Path
    target: str
    sha256: str
    method: str
    runs: int
    rows: tuple[ProfileRow, ...] = ()
    whole_ms: float | None = None
    note: str | None = None


@frozen(kw_only=True)
class Told:
    """What a runtime told of one method."""

    rows: tuple[ProfileRow, ...] = ()
    whole_ms: float | None = None
    note: str | None = None


Profiler = Callable[[LoadedArtifact, Mapping[str, Mapping[str, Array]], int, int], Mapping[str, Told]]
"""Runs each method so many times, on so many threads, on the given inputs; returns what was told by method."""


def profile(path: Path, *, threads: int) -> tuple[Profile, ...]:
    """Profile every method of an artifact.

    :raises ArtifactError: missing, truncated or foreign, or it does not run.
    """
    artifact = load_artifact(path, threads=threads)
    given = inputs_of(artifact)
    place = _PROFILERS.get(artifact.target.name)
    if place is None:
        told: Mapping[str, Told] = {name: Told(note=f"no profiler is known for {artifact.target.name}") for name in given}
    else:
        profiler: Profiler = importlib.import_module(place).profile_methods
        told = profiler(artifact, given, threads, RUNS)
    origins = _origins(artifact)
    sha256 = digest(path)
    return tuple(
        Profile(
            artifact=path,
            target=artifact.target.name,
            sha256=sha256,
            method=method,
            runs=RUNS,
            rows=tuple(placed(told[method].rows, method, origins)),
            whole_ms=told[method].whole_ms,
            note=told[method].note,
        )
        for method in given
        if method in told
    )


def _origins(artifact: LoadedArtifact) -> Origins:
    table = None if artifact.manifest is None else artifact.manifest.document.get("origins")
    return Origins() if table is None else origins_from_json(table)


def placed(rows: Iterable[ProfileRow], method: str, origins: Origins) -> Iterable[ProfileRow]:
    """Yield rows with module and line, as the manifest has them for their node or their module."""
    for row in rows:
        known = None if row.node is None else origins.of_node(method, row.node)
        if (known is None or known.module is None) and row.module is not None:
            known = origins.of_module(method, row.module)
        yield row if known is None else evolve(row, module=known.module or row.module, line=known.line)


@frozen(kw_only=True)
class Sum:
    """Adds up what a runtime tells event by event."""

    rows: dict[tuple[str, str | None, str | None, int], list[float]] = field(factory=dict)

    def add(self, name: str, ms: float, *, key: int, node: str | None = None, module: str | None = None) -> None:
        """Count one event; events of one ``key`` are one operator."""
        self.rows.setdefault((name, node, module, key), []).append(ms)

    def told(self, runs: int) -> tuple[ProfileRow, ...]:
        """Return one row an operator, in the order in which they ran first."""
        return tuple(_row(name, node, module, times, runs) for (name, node, module, _), times in self.rows.items())


def _row(name: str, node: str | None, module: str | None, times: list[float], runs: int) -> ProfileRow:
    calls = max(1, round(len(times) / runs))
    by_run = [sum(times[start : start + calls]) for start in range(0, len(times) - calls + 1, calls)]
    return ProfileRow(name=name, node=node, module=module, ms=sum(times) / runs, least_ms=min(by_run), calls=calls)
