"""``benchmark``: artifacts side by side on this host."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgekit import artifact as artifacts
from edgekit.bench import machine
from edgekit.bench.against import NAIVE, plain_exports
from edgekit.bench.inputs import inputs_of
from edgekit.bench.once import Once, measured_apart
from edgekit.bench.profiling import Profile
from edgekit.bench.profiling import profile as profile_artifact
from edgekit.bench.result import BenchResult, Comparison, Graph
from edgekit.bench.roofline import roofline
from edgekit.bench.sampling import Samples, interleaved
from edgekit.bench.statistics import ratio_of
from edgekit.bench.timing_row import MethodTiming
from edgekit.errors import UsageError
from edgekit.progress import Listener, Silent, stage
from edgekit.runtime.loaded import LoadedArtifact, facts_of_file, load_artifact
from edgekit.targets.registry import get_target

MIN_SAMPLES = 10
TOTAL = "total"
"""Stands for all methods of an artifact in a row, in comparisons."""


def benchmark(
    paths: Sequence[str | Path],
    *,
    threads: int = 1,
    samples: int = 40,
    against: str | None = None,
    profile: bool = False,
    model: str | None = None,
    weights: Path | None = None,
    listener: Listener | None = None,
) -> BenchResult:
    """Time every method of every artifact, all in one run.

    :param paths: the first is what the others are compared with.
    :param threads: that each runtime may use.
    :param samples: rounds; each method runs once a round.
    :param against: ``naive``: every artifact is compared with the vendor's plain export of its own eager model instead.
    :param profile: whether to tell where the time of each method goes, after it was timed.
    :param model: the model's own file, where it lies elsewhere than at the export; ``weights``: the checkpoint of the export. For ``against``.
    :raises UsageError: no artifact, the same one twice, fewer than 10 samples, or a target whose time here says nothing.
    :raises ArtifactError: an artifact is missing, truncated or foreign, or does not run.
    """
    listener = listener or Silent()
    chosen = [Path(path) for path in paths]
    _check(chosen, threads, samples)
    if against not in (None, NAIVE):
        raise UsageError(f"cannot compare against {against!r}", what=f"known: {NAIVE}")
    with tempfile.TemporaryDirectory() as folder:
        beside = plain_exports(chosen, Path(folder), model=model, weights=weights, listener=listener) if against else ()
        pairs = [(row.artifact, row.path) for row in beside if row.path is not None] if against else [(path, chosen[0]) for path in chosen[1:]]
        every = [*chosen, *(path for _, path in pairs if path not in chosen)]
        before = machine.context(threads)
        results, taken = _timed(every, threads, samples, listener)
        peak = roofline(results, threads)
        profiles = _profiles(chosen, threads, listener) if profile else ()
        graphs = tuple(_graph(path, row.model, form) for row in beside for path, form in ((row.artifact, "edgekit"), (row.path, NAIVE)) if path)
    noise = machine.spread_of(taken.work)
    refusal = None
    if machine.is_noisy(taken.work):
        refusal = f"the machine was too noisy to compare: a fixed piece of work took {noise:.2f} times its median in the slowest tenth of the rounds"
    return BenchResult(
        context=before,
        results=results,
        noise=noise,
        comparisons=() if refusal else _comparisons(pairs, results),
        refusal=refusal,
        beside=beside,
        graphs=graphs,
        profiles=profiles,
        roofline=peak,
    )


def _timed(paths: Sequence[Path], threads: int, samples: int, listener: Listener) -> tuple[tuple[MethodTiming, ...], Samples]:
    once = {}
    for path in paths:
        with stage(listener, f"load {path.name}") as running:
            once[path] = measured_apart(path, threads)
            running.detail = f"{once[path].load_ms:.1f} ms"
    opened = {path: load_artifact(path, threads=threads) for path in paths}
    runs = {(path, method): run for path in paths for method, run in _runs(opened[path]).items()}
    names = {f"{number}": key for number, key in enumerate(runs)}
    with stage(listener, "steady state") as running:
        taken = interleaved({name: runs[key] for name, key in names.items()}, samples)
        running.detail = f"{samples} rounds of {len(runs)} methods"
    results = tuple(_timing(opened[path], method, once[path], taken.variants[name], threads) for name, (path, method) in names.items())
    return results, taken


def _profiles(paths: Sequence[Path], threads: int, listener: Listener) -> tuple[Profile, ...]:
    found: list[Profile] = []
    for path in paths:
        with stage(listener, f"profile {path.name}") as running:
            found += profile_artifact(path, threads=threads)
            running.detail = f"{sum(len(row.rows) for row in found if row.artifact == path)} operators"
    return tuple(found)


def _graph(path: Path, model: str, form: str) -> Graph:
    facts = facts_of_file(path)
    operators = get_target(facts.name).inspect(path).operators
    return Graph(artifact=path, target=facts.name, model=model, form=form, size_bytes=artifacts.size_bytes(path), operators=operators)


def _check(paths: Sequence[Path], threads: int, samples: int) -> None:
    if not paths:
        raise UsageError("no artifact to time")
    if len({path.resolve() for path in paths}) < len(paths):
        raise UsageError("an artifact is named twice", hint="name each once; the first is what the others are compared with")
    if threads < 1:
        raise UsageError(f"{threads} threads; a runtime has at least 1")
    if samples < MIN_SAMPLES:
        raise UsageError(f"{samples} samples say too little", hint=f"--samples {MIN_SAMPLES} or more")
    for path in paths:
        facts = facts_of_file(path)
        if facts.limit("time_on_this_host") is False:
            reason = next(limit.breaks for limit in facts.limits if limit.rule == "time_on_this_host")
            raise UsageError(f"the time of {path.name} on this host says nothing", why=reason, hint="measure it on a phone: edgekit device run")


def _runs(opened: LoadedArtifact) -> dict[str, Callable[[], Any]]:
    given = inputs_of(opened)
    return {name: (lambda name=name, values=values: opened.run(name, values)) for name, values in given.items()}  # type: ignore[misc]


def _timing(opened: LoadedArtifact, method: str, once: Once, samples: tuple[float, ...], threads: int) -> MethodTiming:
    return MethodTiming(
        artifact=opened.path,
        target=opened.target.name,
        sha256=artifacts.digest(opened.path),
        method=method,
        threads=threads,
        load_ms=once.load_ms,
        first_ms=once.first_ms[method],
        samples_ms=samples,
        peak_memory_bytes=once.peak_memory_bytes,
    )


def _comparisons(pairs: Sequence[tuple[Path, Path]], results: Sequence[MethodTiming]) -> tuple[Comparison, ...]:
    by_path: dict[Path, dict[str, tuple[float, ...]]] = {}
    for row in results:
        by_path.setdefault(row.artifact, {})[row.method] = row.samples_ms
    found = []
    for path, base in pairs:
        shared = [method for method in by_path[path] if method in by_path[base]]
        found += [Comparison(artifact=path, base=base, method=m, ratio=ratio_of(by_path[path][m], by_path[base][m])) for m in shared]
        if not shared or len(by_path[path]) > 1 or len(by_path[base]) > 1:
            found.append(Comparison(artifact=path, base=base, method=TOTAL, ratio=ratio_of(_summed(by_path[path]), _summed(by_path[base]))))
    return tuple(found)


def _summed(methods: dict[str, tuple[float, ...]]) -> list[float]:
    """Add up what runs one after the other, round by round; a graph that joins the exits of its file is those exits again."""
    exits = [samples for name, samples in methods.items() if name.startswith("exit_")]
    return [sum(values) for values in zip(*(exits or methods.values()), strict=True)]
