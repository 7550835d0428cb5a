"""Bad days for exports: killed, without room, in folders that go away, several at once, with a clock that goes backwards.

Every export runs in a child forked from a process that has imported everything, so that one takes a second and not ten. Faults are put where files
are touched: an audit hook of Python's sees each opening, renaming and removing inside the output folder, and may kill the process, raise what the
system would, or take the folder away. Files that a vendor writes from C++ are not seen by it; of those only a real full disk tells.
"""

import contextlib
import errno
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from edgekit import artifact, pipeline
from edgekit.errors import ArtifactError, EdgekitError
from edgekit.recipe import Recipe

_EVENTS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.listdir", "shutil.rmtree", "os.truncate", "os.link", "os.scandir")
_FINE, _REFUSED, _CRASHED = 0, 3, 70


class Watch:
    """Calls ``act`` at the event number ``at`` inside ``folder``; ``None``: counts only. One a process: audit hooks cannot be taken out again."""

    def __init__(self, folder: Path, at: int | None, act: Callable[[], None]) -> None:
        self.folder, self.at, self.act, self.count, self.busy = str(folder), at, act, 0, False
        sys.addaudithook(self._seen)

    def _seen(self, event: str, arguments: tuple) -> None:
        if event not in _EVENTS or self.busy:
            return
        path = arguments[0] if arguments else None
        name = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if not name.startswith(self.folder):
            return
        self.count += 1
        if self.count == self.at:
            self.busy = True
            try:
                self.act()
            finally:
                self.busy = False


def export(model: str, folder: Path, *, overwrite: bool = True) -> None:
    """Export a tiny network to ONNX: the quickest whole export there is."""
    recipe = Recipe(model=model, target="onnx", resolution=32)
    pipeline.export_recipes((recipe,), output_dir=folder, overwrite=overwrite)


def forked(work: Callable[[], None], log: Path | None = None) -> int:
    """Run ``work`` in a child and return its process id; it ends with 0, 3 for an error of edgekit's, 70 for another one."""
    child = os.fork()
    if child:
        return child
    code = _CRASHED
    with contextlib.suppress(BaseException):
        with Path("/dev/null").open("w") as null:
            os.dup2(null.fileno(), 1)
            os.dup2(null.fileno(), 2)
        try:
            work()
            code = _FINE
        except EdgekitError:
            code = _REFUSED
        except BaseException:  # noqa: BLE001
            if log is not None:
                with log.open("a") as stream:
                    traceback.print_exc(file=stream)
    os._exit(code)


def ended(child: int) -> int:
    """Wait for a child; return its exit code, or minus the signal that ended it."""
    _, status = os.waitpid(child, 0)
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


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


def digests(models: tuple[str, str], folder: Path) -> tuple[set[str], float, int]:
    """Export each model once: the digests to expect, the seconds one takes, and how often it touches files of its folder."""
    known, seconds = set(), 0.0
    folder.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    for number, model in enumerate(models):
        start = time.perf_counter()
        export(model, folder / f"sound-{number}")
        seconds = time.perf_counter() - start  # the first one warms up
        (path,) = (folder / f"sound-{number}").glob("*.onnx")
        known.add(artifact.digest(path))
    (folder / "events").mkdir()

    def counted() -> None:
        watch = Watch(folder / "counted", None, lambda: None)
        export(models[0], folder / "counted")
        export(models[1], folder / "counted")
        (folder / "events" / str(watch.count)).touch()

    ended(forked(counted))
    (name,) = (path.name for path in (folder / "events").iterdir())
    return known, seconds, int(name)


def kills(models: tuple[str, str], folder: Path, count: int, *, seed: int = 0) -> dict:
    """Kill exports, half at random moments, half at a random touch of their folder; look at what lies there each time."""
    known, seconds, events = digests(models, folder)
    out, rng, found = folder / "out", random.Random(seed), Counter()
    export(models[0], out)  # what is there has to stay, or to be replaced by the whole new one
    for number in range(count):
        model = models[number % 2]
        at = rng.randint(1, events // 2 + 1)

        def work(model: str = model, at: int = at, by_event: bool = number % 2 == 1) -> None:
            if by_event:
                Watch(out, at, lambda: os.kill(os.getpid(), signal.SIGKILL))
            export(model, out)

        child = forked(work)
        if number % 2 == 0:
            time.sleep(rng.uniform(0, seconds * 1.1))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        found["killed" if ended(child) == -signal.SIGKILL else "ended first"] += 1
        found[now := state(out, known)] += 1
        if now == "none":  # killed between the two renames that replace a folder's content
            export(models[0], out)
    left = leftovers(out)
    export(models[0], out)
    return {
        "exports": count,
        "killed": found["killed"],
        "ended_first": found["ended first"],
        "half_written": found["half"] + found["foreign"],
        "whole": found["whole"],
        "no_artifact": found["none"],
        "leftovers_before_the_next_export": left,
        "leftovers_after": leftovers(out),
        "next_export": state(out, known),
    }


def failing(models: tuple[str, str], folder: Path, what: str, moments: list[int] | None = None, log: Path | None = None) -> dict:
    """Let the system fail at each touch of the output folder, over an artifact that is there already.

    :param what: ``full``, ``read-only`` or ``vanishing``. :param moments: at which touches; ``None``: at every one.
    """
    known, _, events = digests(models, folder)
    found: Counter[str] = Counter()
    tried = moments or list(range(1, events // 2 + 3))
    for at in tried:
        out = folder / f"{what}-{at}"
        export(models[0], out)

        def work(out: Path = out, at: int = at) -> None:
            Watch(out, at, lambda: _fail(what, out))
            export(models[1], out)

        code = ended(forked(work, log))
        found[{_FINE: "exported", _REFUSED: "refused"}.get(code, "crashed")] += 1
        found[state(out, known)] += 1
        found["leftovers"] += leftovers(out)
        shutil.rmtree(out, ignore_errors=True)
    return {
        "moments": len(tried),
        "exported": found["exported"],
        "refused": found["refused"],
        "crashed": found["crashed"],
        "half_written": found["half"] + found["foreign"],
        "artifact_gone": found["none"],
        "leftovers": found["leftovers"],
    }


def _fail(what: str, out: Path) -> None:
    if what == "vanishing":
        shutil.rmtree(out, ignore_errors=True)
    elif what == "read-only":
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    else:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def simultaneous(models: tuple[str, str], folder: Path, processes: int, *, same: bool, overwrite: bool) -> dict:
    """Export from several processes at once into one folder."""
    known, _, _ = digests(models, folder)
    out = folder / "out"
    children = [forked(lambda n=number: export(models[0 if same else n % 2], out, overwrite=overwrite)) for number in range(processes)]
    codes = Counter(ended(child) for child in children)
    return {
        "processes": processes,
        "same_request": same,
        "overwrite": overwrite,
        "exported": codes[_FINE],
        "refused": codes[_REFUSED],
        "crashed": processes - codes[_FINE] - codes[_REFUSED],
        "state": state(out, known),
        "leftovers": leftovers(out),
    }


def clock_back(models: tuple[str, str], folder: Path) -> dict:
    """Export, put every file's time ten years ahead, set Python's clocks thirty years back, export again over it."""
    known, _, _ = digests(models, folder)
    out = folder / "out"
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

    code = ended(forked(work))
    after = {path.name: artifact.digest(path) for path in out.iterdir()}
    return {"exit_code": code, "same_bytes": before == after, "state": state(out, known), "leftovers": leftovers(out)}
