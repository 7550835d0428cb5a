"""``benchmark``: artifacts side by side on this host."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from edgekit import artifact as artifacts
from edgekit.bench import machine
from edgekit.bench.inputs import inputs_of
from edgekit.bench.once import Once, measured_apart
from edgekit.bench.sampling import Samples, interleaved
from edgekit.bench.statistics import Ratio, percentile, ratio_of
from edgekit.errors import UsageError
from edgekit.progress import Listener, Silent, stage
from edgekit.runtime.loaded import LoadedArtifact, facts_of_file, load_artifact

MIN_SAMPLES = 10
TOTAL = "total"
"""Stands for all methods of an artifact in a row, in comparisons."""


@frozen(kw_only=True)
class MethodTiming:
    """One method of one artifact. Milliseconds; ``peak_memory_bytes`` is the artifact's, ``None`` where it could not be told."""

    artifact: Path
    target: str
    sha256: str
    method: str
    threads: int
    load_ms: float
    first_ms: float
    samples_ms: tuple[float, ...]
    peak_memory_bytes: int | None

    @property
    def p50_ms(self) -> float:
        """The median."""
        return percentile(self.samples_ms, 50)

    @property
    def p90_ms(self) -> float:
        """What one in ten takes longer than."""
        return percentile(self.samples_ms, 90)

    @property
    def min_ms(self) -> float:
        """The fastest: what the work takes when nothing else happens."""
        return min(self.samples_ms)


@frozen(kw_only=True)
class Comparison:
    """How long ``artifact`` takes in units of ``base``, for a method both have or for all of their methods together."""

    artifact: Path
    base: Path
    method: str
    ratio: Ratio


@frozen(kw_only=True)
class BenchResult:
    """What was measured, on what, and what may be concluded.

    :param noise: how much longer the slowest tenth of the rounds took a fixed piece of work than the median.
    :param comparisons: each artifact with the first; empty where ``refusal`` says why nothing may be compared.
    """

    context: dict[str, Any]
    results: tuple[MethodTiming, ...]
    noise: float
    comparisons: tuple[Comparison, ...] = ()
    refusal: str | None = None


def benchmark(paths: Sequence[str | Path], *, threads: int = 1, samples: int = 40, listener: Listener | None = None) -> BenchResult:
    """Time every method of every artifact, all in one run.

    :param paths: the first is what the others are compared with.
    :param threads: that each runtime may use.
    :param samples: rounds; each method runs once a round.
    :raises UsageError: no artifact, the same one twice, fewer than 10 samples, or a target whose time here says nothing.
    :raises ArtifactError: an artifact is missing, truncated or foreign, or does not run.
    """
    listener = listener or Silent()
    chosen = [Path(path) for path in paths]
    _check(chosen, threads, samples)
    once = {}
    for path in chosen:
        with stage(listener, f"load {path.name}") as running:
            once[path] = measured_apart(path, threads)
            running.detail = f"{once[path].load_ms:.1f} ms"
    opened = {path: load_artifact(path, threads=threads) for path in chosen}
    runs = {(path, method): run for path in chosen for method, run in _runs(opened[path]).items()}
    names = {f"{number}": key for number, key in enumerate(runs)}
    before = machine.context(threads)
    with stage(listener, "steady state") as running:
        taken = interleaved({name: runs[key] for name, key in names.items()}, samples)
        running.detail = f"{samples} rounds of {len(runs)} methods"
    results = tuple(_timing(opened[path], method, once[path], taken.variants[name], threads) for name, (path, method) in names.items())
    noise = machine.spread_of(taken.work)
    if machine.is_noisy(taken.work):
        refusal = f"the machine was too noisy to compare: a fixed piece of work took {noise:.2f} times its median in the slowest tenth of the rounds"
        return BenchResult(context=before, results=results, noise=noise, refusal=refusal)
    return BenchResult(context=before, results=results, noise=noise, comparisons=_comparisons(chosen, names, taken))


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


def _comparisons(paths: Sequence[Path], names: dict[str, tuple[Path, str]], taken: Samples) -> tuple[Comparison, ...]:
    by_path: dict[Path, dict[str, tuple[float, ...]]] = {path: {} for path in paths}
    for name, (path, method) in names.items():
        by_path[path][method] = taken.variants[name]
    base, *others = paths
    found = []
    for path in others:
        shared = [method for method in by_path[path] if method in by_path[base]]
        found += [Comparison(artifact=path, base=base, method=m, ratio=ratio_of(by_path[path][m], by_path[base][m])) for m in shared]
        if len(by_path[path]) > 1 or len(by_path[base]) > 1:
            found.append(Comparison(artifact=path, base=base, method=TOTAL, ratio=ratio_of(_summed(by_path[path]), _summed(by_path[base]))))
    return tuple(found)


def _summed(methods: dict[str, tuple[float, ...]]) -> list[float]:
    """Add up what runs one after the other, round by round; a graph that joins the exits of its file is those exits again."""
    exits = [samples for name, samples in methods.items() if name.startswith("exit_")]
    return [sum(values) for values in zip(*(exits or methods.values()), strict=True)]
