"""Runs the cells of a plan: what is done is not done again, what failed stays failed until it is asked for, what is killed is begun again."""

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
    """The state of one run."""

    def __init__(self, cells: Mapping[str, Cell], store: SweepStore, executor: Executor, code: str, *, retry_failed: bool) -> None:
        self.cells, self.store, self.executor, self.code = cells, store, executor, code
        self.owner = new_owner()
        statuses = store.statuses()
        self.done = {key for key in cells if statuses.get(key) == "done"}
        self.before = len(self.done)
        self.failed = {} if retry_failed else {key: _error(store, key) for key in cells if statuses.get(key) == "failed"}
        self.left = {key: cell for key, cell in cells.items() if key not in self.done and key not in self.failed}
        self.running: dict[str, Cell] = {}
        self.elsewhere: set[str] = set()
        self.lost: dict[str, int] = {}
        self.since = store.last_id()
        self.rank = _ranks(cells)
        self.speed: list[tuple[float, float]] = []
        self.cells_s = self.own_s = 0.0

    def start_what_can(self) -> None:
        """Begin cells while there is room; one that has to be alone waits until nothing else can be begun."""
        ready = [cell for cell in self.left.values() if cell.key not in self.elsewhere and all(need in self.done for need in cell.needs)]
        beside = sorted((cell for cell in ready if not cell.alone), key=lambda cell: (-self.rank[cell.key], cell.key))
        for cell in beside:
            if len(self.running) >= self.executor.slots or any(one.alone for one in self.running.values()):
                return
            self._start(cell)
        if not self.running:
            for cell in ready:
                if cell.alone and self._start(cell):
                    return

    def _start(self, cell: Cell) -> bool:
        if not self.store.claim(cell.key, self.owner, _LEASE_S):
            self.elsewhere.add(cell.key)
            return False
        del self.left[cell.key]
        self.running[cell.key] = cell
        self.executor.start(Task(cell=cell, files=self._files(cell), code=self.code))
        return True

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
                self.left[cell.key] = cell
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
            self.done.add(cell.key)
            self.speed.append((outcome.seconds, cell.guess_s))
        else:
            self.failed[cell.key] = error
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
            if statuses.get(key) == "done":
                self.done.add(key)
                del self.left[key]
            elif key in failed:
                self.failed[key] = _error(self.store, key)
                del self.left[key]
        self.elsewhere.clear()

    def block(self) -> tuple[str, ...]:
        """Return the cells that cannot be begun any more: what they need has failed."""
        bad = set(self.failed)
        for cell in self.cells.values():
            if any(need in bad for need in cell.needs):
                bad.add(cell.key)
        return tuple(key for key in self.cells if key in bad and key in self.left)

    def progress(self, blocked: int) -> Progress:
        measured, guessed = (sum(values) for values in zip(*self.speed, strict=True)) if self.speed else (1.0, 1.0)
        work = sum(cell.guess_s for cell in (*self.left.values(), *self.running.values()))
        return Progress(
            left=len(self.left) - blocked,
            running=len(self.running),
            elsewhere=len(self.elsewhere),
            done=len(self.done),
            failed=len(self.failed),
            ends_s=work * (measured / guessed if guessed else 1.0) / self.executor.slots,
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
    listener.begin(len(sweep.left), sweep.before, sum(cell.guess_s for cell in sweep.left.values()))
    renewed = time.monotonic()
    try:
        while True:
            blocked = sweep.block()
            if len(sweep.left) == len(blocked) and not sweep.running:
                break
            for key in blocked:
                sweep.elsewhere.discard(key)
            sweep.start_what_can()
            for outcome in executor.wait(_TICK_S) if sweep.running else _rest():
                if (cell := sweep.take(outcome)) is not None:
                    listener.ended(cell, outcome, sweep.progress(len(blocked)))
            sweep.look_elsewhere()
            if time.monotonic() - renewed > _RENEW_S:
                store.renew(sweep.owner, _LEASE_S)
                renewed = time.monotonic()
            listener.tick(sweep.progress(len(blocked)))
    finally:
        executor.close()
        store.release(sweep.owner)
    return Summary(
        before=sweep.before,
        done=len(sweep.done) - sweep.before,
        failed=sweep.failed,
        blocked=blocked,
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
