"""Calls a reader on many files in a child process, and says what went wrong: an error that is none of edgekit's, a hang, a crash, too much memory."""

import faulthandler
import os
import pickle
import random
import resource
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from attrs import field, frozen
from mutate import mutated

from edgekit.errors import EdgekitError

LONGEST_S = 10
MOST_BYTES = 2 << 30
_BATCH = 500
_TOLD = 20


@frozen(kw_only=True)
class Reader:
    """One reader. ``read`` takes the file; ``place`` is its name under a folder of its own, ``around`` lays what belongs beside it, once."""

    name: str
    seeds: list[bytes]
    read: Callable[[Path], object]
    place: str
    text: bool = True
    around: Callable[[Path], None] = lambda folder: None


@frozen(kw_only=True)
class Outcome:
    """What came of all cases. ``defects``: sentences, each with the number of its case; ``seconds``: of the slowest case."""

    reader: str
    cases: int
    accepted: int
    refused: int
    defects: list[str] = field(factory=list)
    slowest_s: float
    peak_bytes: int

    def to_json(self) -> dict:
        return {name: getattr(self, name) for name in ("reader", "cases", "accepted", "refused", "defects", "slowest_s", "peak_bytes")}


class _TooLong(BaseException):
    pass


def fuzz(reader: Reader, cases: int, *, seed: int = 0) -> Outcome:
    """Read so many changed files. Every child process handles a batch; one that dies is a defect of the case it was at."""
    counts: Counter[str] = Counter()
    defects: list[str] = []
    slowest, peak, done = 0.0, 0, 0
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        place = Path(folder) / reader.place
        place.parent.mkdir(parents=True, exist_ok=True)
        reader.around(Path(folder))
        while done < cases:
            batch = range(done, min(cases, done + _BATCH))
            at, status, told = _in_child(reader, place, batch, seed)
            counts.update(told["counts"])
            slowest, peak = max(slowest, told["slowest"]), max(peak, told["peak"])
            defects += told["defects"]
            done = batch.stop
            if status:
                defects.append(f"case {at}: the process ended with signal {status}")
                counts["defect"] += 1
                done = at + 1
    total = counts["accepted"] + counts["refused"] + counts["defect"]
    return Outcome(
        reader=reader.name,
        cases=total,
        accepted=counts["accepted"],
        refused=counts["refused"],
        defects=defects[:_TOLD],
        slowest_s=round(slowest, 3),
        peak_bytes=peak,
    )


def case_of(reader: Reader, number: int, seed: int) -> bytes:
    """Return the content of one case."""
    return mutated(reader.seeds, random.Random(f"{reader.name} {seed} {number}"), text=reader.text)


def _in_child(reader: Reader, place: Path, batch: range, seed: int) -> tuple[int, int, dict]:
    """Return the case that was worked on last, the signal that ended the child, 0 for none, and what it found up to then."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        code = 1
        try:
            _work(reader, place, batch, seed, write_end)
            code = 0
        finally:
            os._exit(code)
    os.close(write_end)
    told = {"counts": {}, "defects": [], "slowest": 0.0, "peak": 0, "at": batch.start}
    with os.fdopen(read_end, "rb") as stream:
        while True:
            try:
                told = pickle.load(stream)  # our own child's
            except EOFError:
                break
    _, status = os.waitpid(child, 0)
    signalled = os.WTERMSIG(status) if os.WIFSIGNALED(status) else (255 if os.WEXITSTATUS(status) else 0)
    return told["at"], signalled, told


def _work(reader: Reader, place: Path, batch: range, seed: int, pipe: int) -> None:
    with Path("/dev/null").open("w") as null:  # libraries may write what they think of a file
        os.dup2(null.fileno(), 2)
    faulthandler.disable()
    before = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (before + MOST_BYTES, before + MOST_BYTES))
    signal.signal(signal.SIGALRM, _alarm)
    counts: Counter[str] = Counter()
    defects: list[str] = []
    slowest = 0.0
    for number in batch:
        _tell(pipe, number, counts, defects, slowest)
        place.unlink(missing_ok=True)
        place.write_bytes(case_of(reader, number, seed))
        start = time.perf_counter()
        signal.alarm(LONGEST_S)
        try:
            reader.read(place)
            counts["accepted"] += 1
        except EdgekitError as error:
            counts["refused"] += 1
            if not _printable(str(error)):
                defects.append(f"case {number}: the error holds signs that steer a terminal")
        except _TooLong:
            counts["defect"] += 1
            defects.append(f"case {number}: longer than {LONGEST_S} s")
        except BaseException as error:  # noqa: BLE001
            counts["defect"] += 1
            defects.append(f"case {number}: {type(error).__name__}: {str(error)[:200]}")
        finally:
            signal.alarm(0)
        slowest = max(slowest, time.perf_counter() - start)
    _tell(pipe, batch.stop - 1, counts, defects, slowest)


def _printable(text: str) -> bool:
    return all(sign.isprintable() or sign in "\n\t" for sign in text)


def _alarm(*_) -> None:
    raise _TooLong


def _tell(pipe: int, at: int, counts: Counter, defects: list[str], slowest: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    os.write(pipe, pickle.dumps({"counts": dict(counts), "defects": list(defects), "slowest": slowest, "peak": peak, "at": at}))
