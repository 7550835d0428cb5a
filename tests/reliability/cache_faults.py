"""Bad days for the cache of finished exports: killed while it is written or read, without room, gone, damaged."""

import os
import random
import shutil
import signal
from collections import Counter
from pathlib import Path

from children import Watch, ended, fail, forked, touches
from damage import damage_one
from faults import export, known_of, leftovers

from edgekit import artifact
from edgekit.errors import EdgekitError
from edgekit.export_cache import store


def kills_of_cached(models: tuple[str, str], folder: Path, count: int, *, seed: int = 0) -> dict:
    """Kill exports at a random touch of the cache, while it is written and while it is read; each entry has to be whole or absent."""
    known, cache, rng, found = known_of(models), folder / "cache", random.Random(seed), Counter()
    most = touches(lambda: export(models[0], folder / "out", cache=cache), cache)
    for number in range(count):
        if number % 2 == 0:  # every other export finds nothing, and writes
            store.discard(cache, [row.key for row in store.entries(cache)])

        def work(at: int = rng.randint(1, most)) -> None:
            Watch(cache, at, lambda: os.kill(os.getpid(), signal.SIGKILL))
            export(models[0], folder / "out", cache=cache)

        found[ended(forked(work))] += 1
        found.update(_states(cache, folder / "taken", known))
    export(models[0], folder / "out", cache=cache)
    return {
        "cases": count,
        "killed": found["killed"],
        "ended_first": found["exported"],
        "crashed": found["crashed"] + found["refused"],
        "hung": found["hung"],
        "whole_entries": found["whole"],
        "corrupt_entries": found["corrupt"],
        "next_export_is_answered": export(models[0], folder / "out", cache=cache),
        "leftovers_after": leftovers(cache),
    }


def failing_cache(models: tuple[str, str], folder: Path, what: str, every: int = 1, log: Path | None = None) -> dict:
    """Let the system fail at touches of the cache: the export has to be done all the same, and no entry may be corrupt.

    :param what: ``full``, ``read-only`` or ``vanishing``. :param every: at which touches, each second, say. :param log: for traces of crashes.
    """
    known, writes, counted = known_of(models), what != "vanishing", folder / "counted"
    found: Counter[str] = Counter()
    tried = range(1, touches(lambda: export(models[0], folder / "counted-out", cache=counted), counted, writes=writes) + 1, every)
    for at in tried:
        cache, out = folder / f"cache-{what}-{at}", folder / f"out-{what}-{at}"

        def work(cache: Path = cache, out: Path = out, at: int = at) -> None:
            Watch(cache, at, lambda: fail(what, cache), writes=writes)
            export(models[0], out, cache=cache)

        found[ended(forked(work, log))] += 1
        found.update(_states(cache, folder / "taken", known))
    return {
        "cases": len(tried),
        "exported": found["exported"],
        "refused": found["refused"],
        "crashed": found["crashed"] + found["killed"],
        "hung": found["hung"],
        "corrupt_entries": found["corrupt"],
    }


def damaged_entries(models: tuple[str, str], folder: Path, count: int, *, seed: int = 0) -> dict:
    """Truncate, flip or remove files of an entry: taking it has to notice, and the next export to leave a sound artifact and a sound entry."""
    cache, out = folder / "cache", folder / "out"
    export(models[0], out, cache=cache)
    (path,) = out.glob("*.onnx")
    sound, rng, found = artifact.digest(path), random.Random(seed), Counter()
    (entry,) = store.entries(cache)
    whole = {file: file.read_bytes() for file in artifact.files_of(cache / entry.key)}
    for _ in range(count):
        damage_one(rng.choice(list(whole)), rng)
        found["missed" if _take(cache, entry.key, folder / "taken", path.name) else "noticed"] += 1
        for file, content in whole.items():
            file.write_bytes(content)
    damage_one(rng.choice(list(whole)), rng)
    built_again = not export(models[0], out, cache=cache)
    answered = export(models[0], out, cache=cache)
    rebuilt = built_again and answered and artifact.digest(path) == sound
    return {"cases": count, "noticed": found["noticed"], "missed": found["missed"], "not_rebuilt": int(not rebuilt)}


def _states(cache: Path, folder: Path, known: set[str]) -> list[str]:
    """Say of every entry whether it is whole; it was made by an export that was killed, or by one that was not."""
    return ["whole" if _take(cache, row.key, folder, str(row.name)) in known else "corrupt" for row in store.entries(cache)]


def _take(cache: Path, key: str, folder: Path, name: str) -> str | None:
    """Return the digest of what an entry gives; ``None``: it was refused, or is not there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        taken = store.take(cache, key, folder / name)
    except EdgekitError:
        return None
    return None if taken is None else taken.document["artifact"]["sha256"]
