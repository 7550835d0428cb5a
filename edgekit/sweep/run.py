"""Runs the cells of a plan: what is done is not done again, what failed stays failed until it is asked for, what is killed is begun again."""

import heapq
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from attrs import frozen

from edgekit.errors import EdgekitError
from edgekit.sweep.cell import Cell, Executor, Outcome, Task
from edgekit.sweep_store import content
from edgekit.sweep_store.store import Attempt, SweepStore, new_owner

_LEASE_S, _RENEW_S, _TICK_S = 120.0, 20.0, 1.0
_MOST_LOST = 3
"""Times that a cell's machine may be lost before the cell is called failed."""


class SweepListener(Protocol):
    """Hears how a sweep goes on."""

    def begin(self, left: int, done: int, seconds: float) -> None:
        """So many cells are left and so many were done before; ``seconds``: guessed."""
        ...

    def ended(self, cell: Cell, outcome: Outcome, progress: "Progress") -> None:
        """A cell ended."""
        ...

    def tick(self, progress: "Progress") -> None:
        """About a second has passed."""
        ...


@frozen(kw_only=True)
class Progress:
    """Cells. ``elsewhere``: another sweep on the same store works on them. ``ends_s``: guessed, from now."""

    left: int
    running: int
    elsewhere: int
    done: int
    failed: int
    ends_s: float


@frozen(kw_only=True)
class Summary:
    """What a run did. ``before``: cells that were done before it. ``failed``: by key, why. ``blocked``: cells that need one of those.

    Seconds: ``wall_s`` of all of it, ``cells_s`` of the processes of its cells together, ``own_s`` of what these did without their start.
    """

    before: int
    done: int
    failed: Mapping[str, str]
    blocked: tuple[str, ...]
    wall_s: float
    cells_s: float
    own_s: float


class _Sweep:
    """The state of one run: every cell is done, failed, blocked, running, ready, elsewhere or waiting for what it needs."""

    def __init__(self, cells: Mapping[str, Cell], store: SweepStore, executor: Executor, code: str, *, retry_failed: bool) -> None:
        self.cells, self.store, self.executor, self.code = cells, store, executor, code
        self.owner = new_owner()
        statuses = store.statuses()
        self.done = {key for key in cells if statuses.get(key) == "done"}
        self.before = len(self.done)
        self.failed = {} if retry_failed else {key: _error(store, key) for key in cells if statuses.get(key) == "failed"}
        self.blocked: set[str] = set()
        self.running: dict[str, Cell] = {}
        self.elsewhere: set[str] = set()
        self.lost: dict[str, int] = {}
        self.since = store.last_id()
        self.speed = [0.0, 0.0]
        self.cells_s = self.own_s = 0.0
        self._rank = _ranks(cells)
        self._needed_by: dict[str, list[str]] = {}
        self._open: dict[str, int] = {}
        self._ready: list[tuple[bool, float, str]] = []
        left = [cell for cell in cells.values() if cell.key not in self.done and cell.key not in self.failed]
        self.left, self.left_s = len(left), sum(cell.guess_s for cell in left)
        for cell in left:
            needs = [need for need in cell.needs if need not in self.done]
            self._open[cell.key] = len(needs)
            for need in needs:
                self._needed_by.setdefault(need, []).append(cell.key)
            if not needs:
                self._make_ready(cell.key)
        for key in self.failed:
            self._block(key)

    def _make_ready(self, key: str) -> None:
        """Queue a cell: those that have to be alone after all others, the longest way to the end first."""
        heapq.heappush(self._ready, (self.cells[key].alone, -self._rank[key], key))

    def _left_with(self, key: str) -> None:
        self.left -= 1
        self.left_s -= self.cells[key].guess_s

    def _is_done(self, key: str) -> None:
        self.done.add(key)
        for after in self._needed_by.get(key, ()):
            self._open[after] -= 1
            if not self._open[after] and after not in self.blocked:
                self._make_ready(after)

    def _has_failed(self, key: str, error: str) -> None:
        self.failed[key] = error
        self._block(key)

    def _block(self, key: str) -> None:
        """Take out what needs a cell that failed, and what needs that."""
        for after in self._needed_by.get(key, ()):
            if after not in self.blocked:
                self.blocked.add(after)
                self._left_with(after)
                self._block(after)

    def start_what_can(self) -> None:
        """Begin cells while there is room; one that has to be alone waits until nothing runs."""
        while self._ready and len(self.running) < self.executor.slots and not any(cell.alone for cell in self.running.values()):
            if self._ready[0][0] and self.running:
                return
            cell = self.cells[heapq.heappop(self._ready)[2]]
            if self.store.claim(cell.key, self.owner, _LEASE_S):
                self._left_with(cell.key)
                self.running[cell.key] = cell
                self.executor.start(Task(cell=cell, files=self._files(cell), code=self.code))
            else:
                self.elsewhere.add(cell.key)

    def _files(self, cell: Cell) -> dict[str, Path]:
        if cell.artifact_of is None:
            return dict(cell.files)
        made = self.store.last(cell.artifact_of)
        result = {} if made is None or made.result is None else made.result
        place = content.path_of(content.folder_of(self.store.path), str(result.get("sha256")), str(result.get("artifact")))
        return {**cell.files, "artifact": place}

    def take(self, outcome: Outcome) -> Cell | None:
        """Keep what became of a cell; ``None``: it is to be begun again.

        :raises EdgekitError: edgekit was changed: nothing that follows would be what its key says.
        """
        cell = self.running.pop(outcome.key)
        if outcome.status == "changed":
            hint = "run the same command again: what the new code makes differently is made again"
            raise EdgekitError(
                "edgekit was changed while the sweep ran", why="results would not be those of the code that they are kept under", hint=hint
            )
        if outcome.status == "lost":
            self.lost[cell.key] = self.lost.get(cell.key, 0) + 1
            if self.lost[cell.key] < _MOST_LOST:
                self.left, self.left_s = self.left + 1, self.left_s + cell.guess_s
                self._make_ready(cell.key)
                return None
        self.cells_s += outcome.seconds
        self.own_s += float((outcome.result or {}).get("own_seconds", 0.0))
        error = self._kept(outcome)
        attempt = Attempt(
            key=cell.key,
            kind=cell.kind,
            cell=cell.about,
            status="done" if error is None else "failed",
            result=outcome.result,
            predictions=outcome.predictions,
            error=error,
            seconds=outcome.seconds,
            machine=outcome.machine,
        )
        self.store.record(attempt, self.owner)
        if error is None:
            self.speed = [self.speed[0] + outcome.seconds, self.speed[1] + cell.guess_s]
            self._is_done(cell.key)
        else:
            self._has_failed(cell.key, error)
        return cell

    def _kept(self, outcome: Outcome) -> str | None:
        """Put a cell's artifact where it stays; return why the cell failed, if it did."""
        if outcome.status != "done":
            return outcome.error or "it ended without a reason"
        if outcome.artifact is None:
            return None
        try:
            content.keep(content.folder_of(self.store.path), outcome.artifact, str((outcome.result or {}).get("sha256")))
        except (EdgekitError, OSError) as error:
            return f"its artifact could not be kept: {error}"
        return None

    def look_elsewhere(self) -> None:
        """See what became of cells that another sweep works on; what it has let go of is ours to begin."""
        if not self.elsewhere:
            return
        statuses, failed = self.store.statuses(), self.store.failed_since(self.since)
        for key in self.elsewhere:
            if statuses.get(key) == "done" or key in failed:
                self._left_with(key)
            if statuses.get(key) == "done":
                self._is_done(key)
            elif key in failed:
                self._has_failed(key, _error(self.store, key))
            else:
                self._make_ready(key)
        self.elsewhere.clear()

    def progress(self) -> Progress:
        """Return how far it is, and by how long cells have taken when it ends."""
        took, guessed = self.speed
        work = self.left_s + sum(cell.guess_s for cell in self.running.values())
        return Progress(
            left=self.left,
            running=len(self.running),
            elsewhere=len(self.elsewhere),
            done=len(self.done),
            failed=len(self.failed),
            ends_s=work * (took / guessed if guessed else 1.0) / self.executor.slots,
        )


def run_cells(
    cells: Mapping[str, Cell], store: SweepStore, executor: Executor, *, code: str, listener: SweepListener, retry_failed: bool = False
) -> Summary:
    """Run all cells that are not done; ``cells``: each after what it needs.

    Interrupted at any moment, what was done is kept, and the same call goes on with the rest. A cell that fails takes those out that need it.

    :param code: the digest of edgekit that the keys were made with.
    :raises EdgekitError: edgekit was changed meanwhile, or an artifact that is needed was removed.
    """
    began = time.perf_counter()
    sweep = _Sweep(cells, store, executor, code, retry_failed=retry_failed)
    listener.begin(sweep.left, sweep.before, sweep.left_s)
    renewed = time.monotonic()
    try:
        while sweep.left or sweep.running:
            sweep.start_what_can()
            for outcome in executor.wait(_TICK_S) if sweep.running else _rest():
                if (cell := sweep.take(outcome)) is not None:
                    listener.ended(cell, outcome, sweep.progress())
            sweep.look_elsewhere()
            if time.monotonic() - renewed > _RENEW_S:
                store.renew(sweep.owner, _LEASE_S)
                renewed = time.monotonic()
            listener.tick(sweep.progress())
    finally:
        executor.close()
        store.release(sweep.owner)
    return Summary(
        before=sweep.before,
        done=len(sweep.done) - sweep.before,
        failed=sweep.failed,
        blocked=tuple(key for key in cells if key in sweep.blocked),
        wall_s=time.perf_counter() - began,
        cells_s=sweep.cells_s,
        own_s=sweep.own_s,
    )


def _rest() -> Iterable[Outcome]:
    """Wait for other sweeps."""
    time.sleep(_TICK_S)
    return ()


def _error(store: SweepStore, key: str) -> str:
    found = store.last(key)
    return "" if found is None or found.error is None else found.error


def _ranks(cells: Mapping[str, Cell]) -> dict[str, float]:
    """Return how long each cell and the longest of what needs it take: begun first, these end the sweep soonest."""
    ranks = {key: cell.guess_s for key, cell in cells.items()}
    for cell in reversed(list(cells.values())):
        for need in cell.needs:
            if need in ranks:
                ranks[need] = max(ranks[need], cells[need].guess_s + ranks[cell.key])
    return ranks
