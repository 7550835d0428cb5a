"""A store's table, and what reports and gates take from it."""

import random
import sqlite3

import numpy as np
import pytest

from edgekit.artifact import digest
from edgekit.errors import EvidenceError, UsageError
from edgekit.gates.check import check_budget
from edgekit.report.build import build_report
from edgekit.sweep_store import content, table
from edgekit.sweep_store.predictions import Predictions, packed
from edgekit.sweep_store.store import Attempt, SweepStore, new_owner

_BUDGETS = """
schema_version = 1

[[artifact]]
name = "net-build_32_fp32.onnx"
tools = { torch = "2.13.0", onnx = "1.23.2" }
budgets = [{ metric = "accuracy.top1", min = 0.8, owner = "tests", date = 2026-11-21, reason = "because" }]
"""


def _attempt(key, status="done", **more):
    return Attempt(key=key, kind=key.partition("-")[0], cell={"kind": key}, status=status, seconds=1.0, machine="here", **more)


def _answers(top1, start=0):
    rows = [[place, place % 4, one, 0 if one == place % 4 else 2, -1] for place, one in enumerate(top1, start)]
    return packed(Predictions(answers=("forward",), rows=np.array(rows, np.int32)))


def _row(name, *, pictures=8):
    about = {"model": name, "target": "onnx", "precision": "fp32", "resolution": 32, "form": None, "calibration_samples": None}
    keys = {"export": f"export-{name}", "evaluate": [f"evaluate-{name}-0", f"evaluate-{name}-1"], "eager": ["eager"], "bench": None}
    return {**about, **keys, "pictures": pictures, "eager_pictures": 8}


@pytest.fixture
def store(onnx_artifact, tmp_path):
    """A store with an artifact that answers 6 of 8 rightly, eager 7, and one that failed."""
    path = tmp_path / "some.sweep"
    with SweepStore.open(path, write=True) as opened:
        sha256 = digest(onnx_artifact)
        content.keep(content.folder_of(path), onnx_artifact, sha256)
        result = {"sha256": sha256, "artifact": onnx_artifact.name, "size_bytes": 1000, "verdict": "pass", "executed_by": "onnxruntime"}
        opened.add_plan("some", {"rows": [_row("good"), _row("bad"), _row("open")], "data": "pictures"})
        opened.record(_attempt("export-good", result=result), "me")
        opened.record(_attempt("evaluate-good-1", result={}, predictions=_answers([0, 1, 0, 0], 4)), "me")
        opened.record(_attempt("evaluate-good-0", result={}, predictions=_answers([0, 1, 2, 3])), "me")
        opened.record(_attempt("eager", result={}, predictions=_answers([0, 1, 2, 3, 0, 1, 2, 0])), "me")
        opened.record(_attempt("export-bad", "failed", error="LoweringError: no such operator\n  why"), "me")
    return path


def test_the_table_says_what_was_found_what_failed_and_what_is_open(store):
    with SweepStore.open(store) as opened:
        good, bad, left = table.document(opened)["results"]
    assert (good["status"], good["pictures"], good["accuracy"], good["eager_accuracy"]) == ("done", 8, 0.75, 0.875)
    assert (good["agreement"], good["wins"], good["losses"]) == (0.875, 0, 1)
    assert (bad["status"], bad["error"]) == ("failed", "export: LoweringError: no such operator\n  why")
    assert "accuracy" not in bad
    assert (left["status"], left["sha256"]) == ("not done", None)


def test_a_report_shows_a_store_and_the_artifacts_in_it(store, tmp_path):
    made = build_report([store], output_dir=tmp_path / "out")
    text = made.markdown.read_text()
    assert "| good onnx fp32 32 | done | 1.0 kB | 8 | 75.00% | 87.50% | 87.50% | 0 | 1 | missing | yes |" in text
    assert "bad onnx fp32 32 failed: export: LoweringError: no such operator" in text
    assert [row.sha256 for row in made.results.artifacts] == [row.name for row in content.folder_of(store).iterdir()]


def test_a_gate_takes_accuracies_from_a_store(store, onnx_artifact, tmp_path):
    budgets = tmp_path / "budgets.toml"
    budgets.write_text(_BUDGETS)
    (artifact,) = check_budget(budgets, artifacts=[onnx_artifact], swept=store).artifacts
    assert [(check.status, check.reached.value) for check in artifact.checks] == [("exceeded", 0.75)]
    (artifact,) = check_budget(budgets, artifacts=[onnx_artifact]).artifacts
    assert [check.status for check in artifact.checks] == ["not_measured"]


def test_what_is_done_is_never_changed_and_done_once(store):
    with SweepStore.open(store, write=True) as opened:
        assert not opened.record(_attempt("eager", "failed", error="later"), "me")
        assert opened.last("eager").status == "done"
        assert not opened.claim("eager", new_owner(), 60)
    with sqlite3.connect(store) as raw:
        again = "INSERT INTO attempts (key, kind, cell, status, seconds, machine, ended) VALUES ('eager', '', '{}', 'done', 0, '', '')"
        for change in ("UPDATE attempts SET status = 'failed'", "DELETE FROM attempts", again):
            with pytest.raises(sqlite3.IntegrityError):
                raw.execute(change)


def test_a_cell_belongs_to_one_run_until_that_is_gone(store):
    ours, gone, far = new_owner(), f"{new_owner().rsplit(' ', 2)[0]} 4194304 f", "another-machine 1 f"
    with SweepStore.open(store, write=True) as opened:
        assert opened.claim("new", far, 60)
        assert not opened.claim("new", ours, 60)
        opened.release(far)
        assert opened.claim("new", gone, 60)
        assert opened.claim("new", ours, 60)  # that process does not exist
        assert opened.claim("late", far, -1)
        assert opened.claim("late", ours, 60)


@pytest.mark.parametrize("damage", ["text", "foreign", "empty", "version"])
def test_what_is_no_store_is_refused(store, damage):
    if damage in ("text", "empty"):
        store.write_bytes(b"no database" * 100 if damage == "text" else b"")
    elif damage == "foreign":
        store.unlink()
        with sqlite3.connect(store) as raw:
            raw.execute("CREATE TABLE attempts (id)")
    else:
        with sqlite3.connect(store) as raw:
            raw.execute("PRAGMA user_version = 7")
    with pytest.raises(EvidenceError):
        SweepStore.open(store)


def test_an_artifact_is_only_found_under_its_own_name(store):
    for sha256, name in (("../..", "etc"), ("0" * 64, "../../x")):
        with pytest.raises(EvidenceError):
            content.path_of(content.folder_of(store), sha256, name)


def test_accuracy_comes_from_one_place(store, tmp_path):
    with pytest.raises(UsageError, match="--accuracy or --sweep"):
        check_budget(tmp_path / "none.toml", accuracy=object(), swept=store)


def test_a_damaged_store_is_refused_in_words(store):
    sound, rng, refused = store.read_bytes(), random.Random(0), 0
    for suffix in ("-wal", "-shm"):
        assert not store.with_name(store.name + suffix).exists()
    for _ in range(300):
        content = bytearray(sound)
        for _ in range(rng.choice((1, 4, 64))):
            place = rng.randrange(len(content))
            content[place : place + 4] = rng.randbytes(4)
        store.write_bytes(content[: rng.choice((len(content), len(content), rng.randrange(len(content))))])
        try:
            with SweepStore.open(store) as opened:
                table.document(opened)
        except EvidenceError:
            refused += 1
    assert refused > 100
