"""Bad days for exports: killed, without room, in folders that go away, several at once, with a clock that goes backwards."""

import contextlib
import functools
import os
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

from children import Watch, ended, fail, forked, touches

from edgekit import artifact, pipeline
from edgekit.errors import ArtifactError
from edgekit.export_cache.answer import ExportCache
from edgekit.export_cache.key import own_digest
from edgekit.recipe import Recipe


def export(model: str, folder: Path, *, overwrite: bool = True, cache: Path | None = None) -> bool:
    """Export a tiny network to ONNX, the quickest whole export there is; return whether it came from the ``cache``."""
    recipe = Recipe(model=model, target="onnx", resolution=32)
    opened = None if cache is None else ExportCache(folder=cache, most_bytes=10**9, ground={"edgekit": own_digest()})
    result = pipeline.export_recipes((recipe,), output_dir=folder, overwrite=overwrite, cache=opened)
    return result.artifacts[0].proved is not None


def make_old(file: Path) -> None:
    """Date a model's file back: exports of code that was changed since edgekit was imported are not kept in the cache."""
    os.utime(file, (1e9, 1e9))


def state(folder: Path, known: set[str]) -> str:
    """Say what lies under the final name: ``none``, ``whole`` (one of the ``known`` digests, with its manifest), ``half`` or ``foreign``."""
    found = list(folder.glob("*.onnx")) if folder.is_dir() else []
    if not found:
        return "none"
    try:
        manifest = artifact.read_manifest(found[0])
    except ArtifactError:
        return "half"
    if manifest is None:
        return "half"
    return "whole" if manifest.sha256 in known else "foreign"


def leftovers(folder: Path) -> int:
    """Return how many staging folders lie about."""
    return len(list(folder.glob(".edgekit-staging-*"))) if folder.is_dir() else 0


@functools.cache
def digests(models: tuple[str, str], folder: Path) -> frozenset[str]:
    """Export each model once, below a folder; return the digests to expect."""
    found = set()
    for number, model in enumerate(models):
        export(model, folder / f"sound-{number}")
        (path,) = (folder / f"sound-{number}").glob("*.onnx")
        found.add(artifact.digest(path))
    return frozenset(found)


def known_of(models: tuple[str, str]) -> frozenset[str]:
    """Return the digests to expect; they are made once a process, beside the models."""
    return digests(models, Path(models[0].rpartition(":")[0]).parent / "sound")


def kills(models: tuple[str, str], folder: Path, count: int, *, seed: int = 0) -> dict:
    """Kill exports, half at random moments, half at a random touch of their folder; look at what lies there each time."""
    known, out, rng, found = known_of(models), folder / "out", random.Random(seed), Counter()
    start = time.perf_counter()
    export(models[0], out)  # what is there has to stay, or to be replaced by the whole new one
    seconds = time.perf_counter() - start
    events = touches(lambda: export(models[1], out), out)
    for number in range(count):
        model = models[number % 2]
        at = rng.randint(1, events)

        def work(model: str = model, at: int = at, by_event: bool = number % 2 == 1) -> None:
            if by_event:
                Watch(out, at, lambda: os.kill(os.getpid(), signal.SIGKILL))
            export(model, out)

        child = forked(work)
        if number % 2 == 0:
            time.sleep(rng.uniform(0, seconds * 1.1))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        found[ended(child)] += 1
        found[now := state(out, known)] += 1
        if now == "none":  # killed between the two renames that replace a folder's content
            export(models[0], out)
    left = leftovers(out)
    export(models[0], out)
    return {
        "cases": count,
        "killed": found["killed"],
        "ended_first": found["exported"],
        "crashed": found["crashed"] + found["refused"],
        "hung": found["hung"],
        "half_written": found["half"] + found["foreign"],
        "whole": found["whole"],
        "no_artifact": found["none"],
        "leftovers_before_the_next_export": left,
        "leftovers_after": leftovers(out),
        "next_export": state(out, known),
    }


def failing(models: tuple[str, str], folder: Path, what: str, every: int = 1, log: Path | None = None) -> dict:
    """Let the system fail at each touch of the output folder, over an artifact that is there already.

    :param what: ``full``, ``read-only`` or ``vanishing``. :param every: at which touches, each second, say. :param log: for traces of crashes.
    """
    known, writes = known_of(models), what != "vanishing"
    found: Counter[str] = Counter()
    export(models[0], folder / "counted")
    tried = range(1, touches(lambda: export(models[1], folder / "counted"), folder / "counted", writes=writes) + 1, every)
    for at in tried:
        out = folder / f"{what}-{at}"
        export(models[0], out)

        def work(out: Path = out, at: int = at) -> None:
            Watch(out, at, lambda: fail(what, out), writes=writes)
            export(models[1], out)

        found[ended(forked(work, log))] += 1
        found[state(out, known)] += 1
        found["leftovers"] += leftovers(out)
        shutil.rmtree(out, ignore_errors=True)
    return {
        "cases": len(tried),
        "exported": found["exported"],
        "refused": found["refused"],
        "crashed": found["crashed"] + found["killed"],
        "hung": found["hung"],
        "half_written": found["half"] + found["foreign"],
        "artifact_gone": found["none"],
        "leftovers": found["leftovers"],
    }


def simultaneous(models: tuple[str, str], folder: Path, processes: int, *, same: bool, overwrite: bool, cache: Path | None = None) -> dict:
    """Export from several processes at once into one folder, with one cache if any."""
    known, out = known_of(models), folder / "out"
    children = [forked(lambda n=number: export(models[0 if same else n % 2], out, overwrite=overwrite, cache=cache)) for number in range(processes)]
    found = Counter(ended(child) for child in children)
    return {
        "processes": processes,
        "same_request": same,
        "overwrite": overwrite,
        "exported": found["exported"],
        "refused": found["refused"],
        "crashed": found["crashed"] + found["killed"],
        "hung": found["hung"],
        "state": state(out, known),
        "leftovers": leftovers(out),
    }


def clock_back(models: tuple[str, str], folder: Path) -> dict:
    """Export, put every file's time ten years ahead, set Python's clocks thirty years back, export again over it."""
    known, out = known_of(models), folder / "out"
    export(models[0], out)
    before = {path.name: artifact.digest(path) for path in out.iterdir()}
    leftover = out / ".edgekit-staging-future"
    leftover.mkdir()
    later = time.time() + 10 * 365 * 86400
    for path in (*out.iterdir(), out):
        os.utime(path, (later, later))

    def work() -> None:
        now = time.time
        time.time = lambda: now() - 30 * 365 * 86400  # type: ignore[assignment]
        time.time_ns = lambda: int(time.time() * 1e9)  # type: ignore[assignment]
        export(models[0], out)

    how = ended(forked(work))
    after = {path.name: artifact.digest(path) for path in out.iterdir()}
    return {"ended": how, "same_bytes": before == after, "state": state(out, known), "leftovers": leftovers(out)}
