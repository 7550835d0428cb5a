"""What goes wrong in a sweep stays where it went wrong: nothing done is lost, nothing is counted twice."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import sweep_cells
from sweep_cells import HERE, cell

from edgekit.errors import EdgekitError
from edgekit.sweep.apart import run_apart
from edgekit.sweep.cell import Task
from edgekit.sweep_store.store import SweepStore


def test_a_cell_that_crashes_fails_alone(swept, tmp_path):
    poisoned = cell("poisoned", act="crash")
    summary, _ = swept(cell("a"), poisoned, cell("after", poisoned.key), cell("b"))
    assert summary.done == 2
    assert "ended by SIGSEGV; it wrote:\nabout to fall" in summary.failed[poisoned.key]
    assert list(summary.blocked) == [cell("after", poisoned.key).key]
    with SweepStore.open(tmp_path / "s.sweep") as store:
        kept = store.last(poisoned.key)
        assert (kept.status, kept.result) == ("failed", None)
        assert "SIGSEGV" in kept.error


def test_what_is_done_is_not_done_again_and_what_failed_only_on_request(swept, tmp_path):
    journal, cure = tmp_path / "journal", tmp_path / "cure"
    cells = [cell("a", journal=str(journal)), cell("u", act="unlucky", cure=str(cure), journal=str(journal))]
    first, _ = swept(*cells)
    assert (first.done, next(iter(first.failed.values())).splitlines()[0]) == (1, "ValueError: not today")
    cure.touch()
    second, _ = swept(*cells)
    assert (second.before, second.done, len(second.failed)) == (1, 0, 1)
    third, _ = swept(*cells, retry_failed=True)
    assert (third.done, dict(third.failed)) == (1, {})
    assert sorted(journal.read_text().split()) == ["a", "u", "u"]


def test_a_cell_that_takes_too_long_is_stopped(swept):
    slow = cell("slow", act="sleep", seconds=60, minutes=0.02)
    summary, _ = swept(slow)
    assert "longer than 0.02 minutes" in summary.failed[slow.key]


def test_a_worker_that_is_killed_is_a_failed_cell(tmp_path):
    folder = tmp_path / "cell"
    folder.mkdir()
    task = Task(cell=cell("slow", act="sleep", seconds=60), files={}, code=sweep_cells.own_digest())
    outcome = run_apart(task, folder, lambda process: os.kill(process.pid, signal.SIGKILL))
    assert (outcome.status, outcome.result) == ("failed", None)
    assert "SIGKILL" in outcome.error


def test_another_edgekit_stops_the_sweep(swept, tmp_path):
    with pytest.raises(EdgekitError, match="edgekit was changed"):
        swept(cell("a"), code="0" * 64)
    with SweepStore.open(tmp_path / "s.sweep") as store:
        assert store.counts() == {}


def test_artifacts_are_given_to_the_cells_that_need_them(swept, tmp_path):
    make = cell("net", act="make")
    read = cell("r", act="read", artifact_of=make.key, start=0, count=3)
    summary, _ = swept(make, read)
    assert not summary.failed
    with SweepStore.open(tmp_path / "s.sweep") as store:
        assert store.last(read.key).result["length"] == 3000
    (kept,) = (tmp_path / "s.sweep.files").glob("*/net.onnx")
    kept.unlink()
    with pytest.raises(EdgekitError, match="no longer beside the store"):
        swept(make, cell("other", act="read", artifact_of=make.key, start=0, count=3))


def test_what_has_to_be_alone_is(swept, tmp_path):
    cells = [cell(f"c{number}", act="span") for number in range(3)] + [cell(f"alone{number}", act="span", alone=True) for number in range(2)]
    swept(*cells, slots=3)
    with SweepStore.open(tmp_path / "s.sweep") as store:
        spans = {one.about["model"]: store.last(one.key).result for one in cells}
    for name in ("alone0", "alone1"):
        others = [span for other, span in spans.items() if other != name]
        assert all(span["ended"] <= spans[name]["began"] or span["began"] >= spans[name]["ended"] for span in others)


def _started(store, rows):
    command = [sys.executable, str(HERE / "sweep_cells.py"), str(store), json.dumps(rows)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _rows(journal, count, **more):
    return [{"name": f"c{number}", "journal": str(journal), **more} for number in range(count)]


def test_two_sweeps_on_one_store_share_the_work(tmp_path):
    journal = tmp_path / "journal"
    rows = _rows(journal, 10)
    both = [_started(tmp_path / "s.sweep", rows) for _ in range(2)]
    told = [json.loads(process.communicate(timeout=400)[0]) for process in both]
    assert sorted(journal.read_text().split()) == sorted(row["name"] for row in rows)  # each once
    assert all(one["done"] + one["before"] == 10 and one["failed"] == 0 for one in told)
    with SweepStore.open(tmp_path / "s.sweep") as store:
        assert store.counts() == {"done": 10}


def test_a_sweep_that_is_killed_goes_on_where_it_was(swept, tmp_path):
    journal, go = tmp_path / "journal", tmp_path / "go"
    rows = [*_rows(journal, 2), {"name": "slow", "journal": str(journal), "act": "wait", "until": str(go)}]
    process = _started(tmp_path / "s.sweep", rows)
    _until(lambda: journal.exists() and "slow" in journal.read_text() and _counts(tmp_path).get("done") == 2)
    process.kill()
    process.wait()
    go.touch()
    began = time.monotonic()
    summary, _ = swept(*(cell(**row) for row in rows))
    assert (summary.before, summary.done) == (2, 1)
    assert sorted(journal.read_text().split()) == ["c0", "c1", "slow", "slow"]
    assert time.monotonic() - began < 90  # not until the claim of the killed one has run out


def _counts(tmp_path):
    with contextlib.suppress(EdgekitError), SweepStore.open(tmp_path / "s.sweep") as store:
        return store.counts()
    return {}


def _until(true, seconds=240):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
