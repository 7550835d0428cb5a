"""Children that something happens to: at a moment, or at a touch of a folder.

They are forked from a process that has imported everything, so that an export takes a second and not ten. Faults are put where files are touched: an
audit hook of Python's sees each opening, renaming and removing inside a folder, and may kill the process, raise what the system would, or take the
folder away. Files that a vendor writes from C++ are not seen by it; of those only a real full disk tells.
"""

import contextlib
import errno
import os
import select
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from edgekit.errors import EdgekitError

_WRITES = ("os.rename", "os.mkdir", "os.truncate", "os.link")
_EVENTS = (*_WRITES, "open", "os.remove", "os.rmdir", "os.listdir", "shutil.rmtree", "os.scandir")
_FINE, _REFUSED, _CRASHED = 0, 3, 70
LONGEST_S = 240
"""What hangs is a defect like any other, and must not stop the run that looks for them."""


class Watch:
    """Calls ``act`` at the event number ``at`` inside ``folder``; ``None``: counts only. One a process: audit hooks cannot be taken out again.

    :param writes: count only what needs room or leave to write: a full disk can be read, and things on it can be removed.
    """

    def __init__(self, folder: Path, at: int | None, act: Callable[[], None], *, writes: bool = False) -> None:
        self.folder, self.at, self.act, self.writes, self.count, self.busy = str(folder), at, act, writes, 0, False
        sys.addaudithook(self._seen)

    def _seen(self, event: str, arguments: tuple) -> None:
        if event not in _EVENTS or self.busy or (self.writes and not _needs_room(event, arguments)):
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


def _needs_room(event: str, arguments: tuple) -> bool:
    if event == "open":
        flags = arguments[2] if len(arguments) > 2 and isinstance(arguments[2], int) else 0
        return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return event in _WRITES


def touches(work: Callable[[], object], folder: Path, *, writes: bool = False) -> int:
    """Return how often ``work`` touches a folder; ``writes`` as :class:`Watch` has it."""
    read_end, write_end = os.pipe()

    def counted() -> None:
        watch = Watch(folder, None, lambda: None, writes=writes)
        work()
        os.write(write_end, str(watch.count).encode())

    how = ended(forked(counted))
    os.close(write_end)
    with os.fdopen(read_end) as stream:
        told = stream.read()
    if how != "exported":
        raise RuntimeError(f"what nothing happened to {how}")
    return int(told)


def forked(work: Callable[[], object], log: Path | None = None) -> int:
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


def ended(child: int) -> str:
    """Wait for a child and say how it ended: ``exported``, ``refused``, ``crashed``, ``killed``, or ``hung`` of one that had to be ended here."""
    descriptor = os.pidfd_open(child)
    hangs = not select.select([descriptor], [], [], LONGEST_S)[0]
    os.close(descriptor)
    if hangs:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if hangs:
        return "hung"
    if os.WIFSIGNALED(status):
        return "killed" if os.WTERMSIG(status) == signal.SIGKILL else "crashed"
    return {_FINE: "exported", _REFUSED: "refused"}.get(os.WEXITSTATUS(status), "crashed")


def fail(what: str, out: Path) -> None:
    """Do to a folder what the system might."""
    if what == "vanishing":
        shutil.rmtree(out, ignore_errors=True)
    elif what == "read-only":
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    else:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
