"""Several cells at once on this machine, each in a process of its own."""

import queue
import subprocess
import tempfile
import threading
from pathlib import Path

from edgekit.errors import OutputError
from edgekit.sweep.apart import end, machine, run_apart
from edgekit.sweep.cell import Outcome, Task


class LocalExecutor:
    """Runs ``slots`` tasks at once. Threads only wait for processes; a process that dies takes nothing with it."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._ended: queue.Queue[tuple[Outcome, tempfile.TemporaryDirectory[str]]] = queue.Queue()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._folders: list[tempfile.TemporaryDirectory[str]] = []
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._lock = threading.Lock()

    @property
    def slots(self) -> int:
        """How many run at once."""
        return self._slots

    def start(self, task: Task) -> None:
        """Begin a task.

        :raises OutputError: there is no place for its folder.
        """
        try:
            folder = tempfile.TemporaryDirectory(prefix="edgekit-cell-")
        except OSError as error:
            raise OutputError("there is no place for a cell's files", why=error.strerror or str(error), hint="TMPDIR names another") from error
        thread = threading.Thread(target=self._run, args=(task, folder), daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()

    def _run(self, task: Task, folder: "tempfile.TemporaryDirectory[str]") -> None:
        try:
            outcome = run_apart(task, Path(folder.name), self._began)
        except Exception as error:  # noqa: BLE001  a full disk, no more processes: somebody waits for an answer
            outcome = Outcome(key=task.cell.key, status="failed", error=f"{type(error).__name__}: {error}", seconds=0.0, machine=machine())
        self._ended.put((outcome, folder))

    def _began(self, process: "subprocess.Popen[bytes]") -> None:
        with self._lock:
            self._running = {one for one in self._running if one.poll() is None} | {process}
            closed = self._closed
        if closed:
            end(process)

    def wait(self, seconds: float) -> list[Outcome]:
        """Return what ended; its folders go with the next call."""
        self._clear()
        found = []
        try:
            found.append(self._ended.get(timeout=seconds))
            while True:
                found.append(self._ended.get_nowait())
        except queue.Empty:
            pass
        self._folders = [folder for _, folder in found]
        return [outcome for outcome, _ in found]

    def _clear(self) -> None:
        for folder in self._folders:
            folder.cleanup()
        self._folders = []

    def close(self) -> None:
        """End all that runs."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            end(process)
        for thread in self._threads:
            thread.join()
        self._clear()
        while not self._ended.empty():
            self._ended.get_nowait()[1].cleanup()
