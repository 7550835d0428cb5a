"""10,000 cells on 100 machines, simulated: the real scheduler and a real store, with machines that only let time pass.

    python benchmarks/sweep_simulation.py [--cells 10000] [--nodes 100] [--times build/cifar10.sweep] [--output results.json]

Each artifact is one export and then shards of an evaluation; how long these take is drawn from what a store has measured, or from the table below.
What the head does itself (choosing, claiming, recording, each with the disk's own waits) takes the time that it really takes here and is added to the
clock, one event after the other; what goes over its network link waits in line for that. So both bottlenecks show up where they are. Objects are
sent to a machine once each: as often as their shards land on another one.
"""

import argparse
import heapq
import json
import sys
import tempfile
import time
from pathlib import Path

from timing import context

from edgekit.export_cache.key import digest_of_values
from edgekit.sweep.cell import Cell, Outcome, Task
from edgekit.sweep.run import Progress, run_cells
from edgekit.sweep_store.store import SweepStore

SHARDS = 7
EXPORT_S, SHARD_S = (13.0, 17.0, 24.0, 90.0, 240.0, 580.0), (20.0, 25.0, 30.0, 40.0)
"""Without a store: exports of networks of 0.5 to 2 million parameters, in floats (measured), with 8-bit weights and calibrated (guessed; the last is
measured, chase-nano's on ExecuTorch); shards of 2,500 pictures (guessed)."""
ARTIFACT_BYTES, PREDICTION_BYTES = 3_000_000, 12_000
LINK_BYTES_PER_S = 10e9 / 8
RAY_S = 0.005
"""What Ray takes of the head for a task beside its work: assumed, not measured."""
DOLLARS_PER_NODE_HOUR = 0.17
"""Four virtual processors of a public cloud, on demand; one cell at a time is counted on each."""


class Machines:
    """An executor whose clock is its own: tasks end in the order of that clock, and what the head spends in between is added."""

    def __init__(self, nodes: int, seconds: dict[str, float]) -> None:
        self.slots = nodes
        self._seconds = seconds
        self._heap: list[tuple[float, int, Task, int]] = []
        self._free = list(range(nodes))
        self._has: set[tuple[int, str]] = set()
        self.now = self.head_s = self.link_s = self.busy_s = 0.0
        self._link_free = 0.0
        self._since = time.perf_counter()
        self._count = 0
        self.sent_bytes = 0
        self.longest_wait_s = 0.0

    def _head(self) -> None:
        """Add what the head did since the last call."""
        spent = time.perf_counter() - self._since
        self.now, self.head_s = self.now + spent, self.head_s + spent

    def start(self, task: Task) -> None:
        """Begin a task: its artifact is sent first, unless its machine has it."""
        self._head()
        self.now += RAY_S
        self.head_s += RAY_S
        node = self._free.pop()
        begins = self.now
        for need in task.cell.needs:
            if (node, need) not in self._has:
                self._has.add((node, need))
                begins = self._over_link(ARTIFACT_BYTES, begins)
        seconds = self._seconds[task.cell.key]
        self.busy_s += seconds
        self.longest_wait_s = max(self.longest_wait_s, begins - self.now)
        self._count += 1
        heapq.heappush(self._heap, (begins + seconds, self._count, task, node))
        self._since = time.perf_counter()

    def _over_link(self, size: int, earliest: float) -> float:
        self._link_free = max(self._link_free, earliest) + size / LINK_BYTES_PER_S
        self.link_s += size / LINK_BYTES_PER_S
        self.sent_bytes += size
        return self._link_free

    def wait(self, seconds: float) -> list[Outcome]:
        """Let time pass until a task ends."""
        del seconds
        self._head()
        ends, _, task, node = heapq.heappop(self._heap)
        self.now = max(self.now, self._over_link(ARTIFACT_BYTES if task.cell.kind == "export" else PREDICTION_BYTES, ends))
        self._free.append(node)
        self._since = time.perf_counter()
        predictions = None if task.cell.kind == "export" else bytes(PREDICTION_BYTES)
        return [
            Outcome(key=task.cell.key, status="done", result={}, predictions=predictions, seconds=self._seconds[task.cell.key], machine=str(node))
        ]

    def close(self) -> None:
        """Count what is left of the head's work."""
        self._head()


class Quiet:
    """Hears and shows nothing."""

    def begin(self, left: int, done: int, seconds: float) -> None:
        """Do nothing."""

    def ended(self, cell: Cell, outcome: Outcome, progress: Progress) -> None:
        """Do nothing."""

    def tick(self, progress: Progress) -> None:
        """Do nothing."""


def main() -> int:
    """Simulate, print and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--times", type=Path, help="the store of a sweep whose cells' times are drawn")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    cells, seconds = drawn(options.cells, *measured(options.times))
    machines = Machines(options.nodes, seconds)
    with tempfile.TemporaryDirectory() as folder, SweepStore.open(Path(folder) / "simulated.sweep", write=True) as store:
        summary = run_cells(cells, store, machines, code="", listener=Quiet())
        size = store.path.stat().st_size
    work = sum(seconds.values())
    chain = max(seconds[key] + max((seconds[other.key] for other in cells.values() if key in other.needs), default=0.0) for key in exports(cells))
    row = {
        "cells": summary.done,
        "nodes": options.nodes,
        "times": "table" if options.times is None else options.times.name,
        "work_h": round(work / 3600, 2),
        "longest_chain_s": round(chain, 1),
        "makespan_s": round(machines.now, 1),
        "bound_s": round(max(work / options.nodes, chain), 1),
        "utilisation": round(work / options.nodes / machines.now, 4),
        "head_busy_share": round(machines.head_s / machines.now, 4),
        "head_ms_per_cell": round(1e3 * machines.head_s / len(cells), 3),
        "head_could_feed_nodes": round(options.nodes * machines.now / machines.head_s),
        "link_busy_share": round(machines.link_s / machines.now, 5),
        "longest_wait_for_link_s": round(machines.longest_wait_s, 3),
        "sent_gb": round(machines.sent_bytes / 1e9, 2),
        "store_mb": round(size / 1e6, 1),
        "dollars": round(options.nodes * machines.now / 3600 * DOLLARS_PER_NODE_HOUR, 2),
    }
    print(json.dumps(row, indent=1))
    if options.output:
        options.output.write_text(json.dumps({"benchmark": "sweep simulation", "context": context(), "results": [row]}, indent=1) + "\n")
    return 0


def exports(cells: dict[str, Cell]) -> list[str]:
    """Return the first and the longest exports' keys: chains of others are shorter."""
    return sorted((key for key, cell in cells.items() if cell.kind == "export"), key=lambda key: -cells[key].guess_s)[:10]


def measured(store: Path | None) -> tuple[list[float], list[float]]:
    """Return what exports and shards took."""
    if store is None:
        return list(EXPORT_S), list(SHARD_S)
    with SweepStore.open(store) as opened:
        rows = opened.durations()
    found = [sorted(seconds for about, seconds in rows if about.get("kind") == kind) for kind in ("export", "evaluate")]
    if not all(found):
        raise SystemExit(f"{store} holds no exports or no evaluations")
    return found[0], found[1]


def drawn(count: int, export_s: list[float], shard_s: list[float]) -> tuple[dict[str, Cell], dict[str, float]]:
    """Return cells and their seconds; each one's guess is the mean of its kind: a scheduler does not know better."""
    cells: dict[str, Cell] = {}
    seconds: dict[str, float] = {}
    for number in range(count // (1 + SHARDS)):
        export = digest_of_values(["simulated", number])
        for shard in range(1 + SHARDS):
            kind, known = ("evaluate", shard_s) if shard else ("export", export_s)
            key = digest_of_values([export, shard]) if shard else export
            seconds[key] = known[int(key[:8], 16) % len(known)]
            cells[key] = Cell(
                key=key,
                kind=kind,
                function="none",
                about={"kind": kind, "model": f"net-{number}"},
                parameters={},
                needs=(export,) if shard else (),
                guess_s=sum(known) / len(known),
            )
    return cells, seconds


if __name__ == "__main__":
    sys.exit(main())
