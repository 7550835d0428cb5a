"""The parts of the run that ``reliability.py`` stores: faults of the system, changed files for every reader, and files that a search finds."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from attrs import frozen

sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / folder) for folder in ("reliability", "")]

import cache_faults  # noqa: E402
import children  # noqa: E402
import conftest  # noqa: E402
import damage  # noqa: E402
import every_reader  # noqa: E402
import faults  # noqa: E402
import guarded  # noqa: E402
import guided  # noqa: E402

from edgekit.capabilities import TARGETS  # noqa: E402

Figures = dict[str, Any]
TEXT_CASES, BINARY_CASES = 100_000, 10_000
_SLOW = "coreai"
"""Read in a process of their own, a second each: so many fewer."""
_SIZES = 40
"""At how many sizes a disk is full."""


@frozen(kw_only=True)
class Part:
    """One part. ``kind``: faults, fuzz or guided. ``run`` gets an empty folder; its figures hold ``cases``, and ``broken``: promises not kept."""

    name: str
    kind: str
    run: Callable[[Path], Figures]


def parts(folder: Path, *, kills: int, scale: float, seconds: int) -> Iterator[Part]:
    """Yield every part.

    :param folder: for what all of them start from. :param scale: of the numbers of changed files. :param seconds: of each search.
    """
    nets = _nets(folder / "models")
    yield from _faults(nets, kills)
    _exported(nets[0], folder / "artifacts")
    canary = folder / "canary"
    readers = every_reader.every_reader(every_reader.artifacts_in(folder / "artifacts"), folder / "readers", canary)
    for reader in readers:
        most = (TEXT_CASES if reader.text else BINARY_CASES) // (100 if reader.name.startswith(_SLOW) else 1)
        yield Part(name=f"fuzz {reader.name}", kind="fuzz", run=partial(_fuzz, reader, max(1, int(scale * most)), canary))
    for reader in readers:
        if not reader.name.startswith(_SLOW):
            yield Part(name=f"guided {reader.name}", kind="guided", run=partial(_guided, reader.name, folder / "artifacts", seconds))


def _nets(folder: Path) -> tuple[str, str]:
    """Write two networks whose artifacts have one name and other weights."""
    found = []
    for number in range(2):
        (folder / str(number)).mkdir(parents=True)
        file = folder / str(number) / "net.py"
        file.write_text(conftest.NET.replace('"NET_SEED", "0"', f'"NET_SEED", "{number}"'))
        faults.make_old(file)
        found.append(f"{file}:build")
    return found[0], found[1]


def _exported(net: str, folder: Path) -> None:
    """Export a network for every target, in another process: a small one forks faster, and without a converter's threads."""
    targets = [part for facts in TARGETS for part in ("-t", facts.name)]
    command = [sys.executable, "-m", "edgekit", "export", net, *targets, "--resolution", "32", "--atol", "1", "--no-cache", "-q", "-o", str(folder)]
    subprocess.run(command, check=True)


def _faults(nets: tuple[str, str], kills: int) -> Iterator[Part]:
    def part(name: str, run: Callable[[Path], Figures], zero: str) -> Part:
        return Part(name=name, kind="faults", run=lambda folder: _judged(run(folder), zero.split()))

    yield part("kills", lambda folder: faults.kills(nets, folder, kills), "half_written crashed hung leftovers_after")
    yield part("kills of the cache", lambda folder: cache_faults.kills_of_cached(nets, folder, kills), "corrupt_entries crashed hung leftovers_after")
    for what in ("full", "read-only", "vanishing"):
        zero = "half_written crashed hung" + " artifact_gone" * (what != "vanishing")
        yield part(what, lambda folder, what=what: faults.failing(nets, folder, what, log=folder / "crashes"), zero)
        zero = "corrupt_entries refused crashed hung"
        yield part(f"{what} cache", lambda folder, what=what: cache_faults.failing_cache(nets, folder, what, log=folder / "crashes"), zero)
    yield part("a disk that is full", lambda folder: _full_disk(nets, folder), "half_written crashed hung leftovers")
    for count in (2, 8):
        for words, same, overwrite, cached in _AT_ONCE:
            run = partial(_at_once, nets, count, same=same, overwrite=overwrite, cached=cached)
            yield part(f"{count} at once, {words}", run, "half_written crashed hung leftovers")
    yield part("clock back", lambda folder: _clock_back(nets, folder), "changed leftovers")
    yield part("damaged artifacts", lambda folder: damage.damaged(nets, folder, 2000), "missed")
    yield part("damaged entries of the cache", lambda folder: cache_faults.damaged_entries(nets, folder, 1000), "missed not_rebuilt")
    yield part("damaged data sets in the cache", lambda folder: damage.damaged_cache(folder, 1000), "wrong_and_missed not_rebuilt")


_AT_ONCE = (
    ("the same", True, True, False),
    ("of two requests", False, True, False),
    ("nothing replaced", True, False, False),
    ("the same, one cache", True, True, True),
)


def _judged(figures: Figures, zero: list[str]) -> Figures:
    """Add what counts as a promise not kept."""
    return figures | {"broken": sum(figures[key] for key in zero)}


def _at_once(nets: tuple[str, str], count: int, folder: Path, *, same: bool, overwrite: bool, cached: bool) -> Figures:
    found = faults.simultaneous(nets, folder, count, same=same, overwrite=overwrite, cache=folder / "cache" if cached else None)
    return {"cases": count, **found, "half_written": int(found["state"] != "whole")}


def _clock_back(nets: tuple[str, str], folder: Path) -> Figures:
    found = faults.clock_back(nets, folder)
    return {"cases": 1, **found, "changed": int((found["ended"], found["same_bytes"], found["state"]) != ("exported", True, "whole"))}


def _full_disk(nets: tuple[str, str], folder: Path) -> Figures:
    """Export onto a disk that is really full, at many sizes; needs to be allowed to mount one."""
    known, disk = faults.known_of(nets), folder / "disk"
    disk.mkdir()
    rows = []
    for kibibytes in range(4, 4 * _SIZES + 1, 4):
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "edgekit", str(disk)], check=False, capture_output=True)  # noqa: S607
        if mounted.returncode:
            raise RuntimeError(mounted.stderr.decode(errors="replace").strip()[:200])
        try:
            how = children.ended(children.forked(lambda: faults.export(nets[0], disk / "out")))
            rows.append((kibibytes, how, faults.state(disk / "out", known), faults.leftovers(disk / "out")))
        finally:
            subprocess.run(["umount", str(disk)], check=True)  # noqa: S607
    return {
        "cases": len(rows),
        "exported": sum(how == "exported" for _, how, _, _ in rows),
        "refused": sum(how == "refused" for _, how, _, _ in rows),
        "crashed": sum(how in ("crashed", "killed") for _, how, _, _ in rows),
        "hung": sum(how == "hung" for _, how, _, _ in rows),
        "half_written": sum(state not in ("none", "whole") for _, _, state, _ in rows),
        "leftovers": sum(left for _, _, _, left in rows),
        "sizes_kib": [size for size, _, _, _ in rows],
    }


def _fuzz(reader: guarded.Reader, cases: int, canary: Path, folder: Path) -> Figures:
    place = folder / reader.place
    place.parent.mkdir(parents=True, exist_ok=True)
    reader.around(folder)
    place.write_bytes(reader.seeds[0])
    reader.read(place)  # imports what it needs, so that no child has to
    outcome = guarded.fuzz(reader, cases).to_json()
    return outcome | {"text": reader.text, "code_ran": canary.exists(), "broken": len(outcome["defects"]) + canary.exists()}


def _guided(name: str, artifacts: Path, seconds: int, _: Path) -> Figures:
    found = guided.search(name, artifacts, seconds)
    return found | {"broken": int(found["ended"] != 0)}
