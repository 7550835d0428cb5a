"""The ratchet: limits become tighter, never looser, and everything else in the file stays."""

import datetime as dt
import re

import pytest

import edgekit
from edgekit.artifact import size_bytes
from edgekit.errors import OutputError
from edgekit.gates.budgets import read_budgets
from edgekit.gates.ratchet import ratchet

TODAY = dt.date(2027, 1, 2)


def test_a_limit_with_room_becomes_what_was_reached(write_budgets, onnx_artifact):
    size = size_bytes(onnx_artifact)
    path = write_budgets('metric = "size.total", max = 1_000_000', 'metric = "operators.total", max = 6')
    before = path.read_text()
    (change,) = ratchet(edgekit.check_budget(path, artifacts=[onnx_artifact]), TODAY)
    assert (change.metric, change.before, change.now) == ("size.total", 1_000_000, size)
    # Comments, order, spaces and the budget without room are as they were.
    assert path.read_text() == re.sub(r"max = 1_000_000(.*)2026-11-21", rf"max = {size:_}\g<1>2027-01-02", before)
    first, second = read_budgets(path)[0].budgets
    assert (first.limit, first.date, second.limit, second.date) == (size, TODAY, 6, dt.date(2026, 11, 21))
    assert ratchet(edgekit.check_budget(path, artifacts=[onnx_artifact]), TODAY) == ()


def test_nothing_is_raised(write_budgets, onnx_artifact):
    path = write_budgets('metric = "size.total", max = 10', 'metric = "delegation.share", min = 0.5')
    before = path.read_bytes()
    assert ratchet(edgekit.check_budget(path, artifacts=[onnx_artifact]), TODAY) == ()
    assert path.read_bytes() == before


def test_what_may_differ_on_other_machines_is_left(write_budgets, onnx_artifact):
    path = write_budgets('metric = "parity.sqnr_db", min = 1', 'metric = "size.compressed", max = 1_000_000')
    assert ratchet(edgekit.check_budget(path, artifacts=[onnx_artifact]), TODAY) == ()


def test_budgets_for_other_tools_are_left(write_budgets, onnx_artifact):
    path = write_budgets('metric = "size.total", max = 1_000_000', tools='onnx = "1.0"')
    assert ratchet(edgekit.check_budget(path, artifacts=[onnx_artifact]), TODAY) == ()


def test_more_is_tighter_where_more_is_better(net, tmp_path, write_budgets):
    (row,) = edgekit.export(f"{net}:build", targets=["tflite"], resolution=32, output_dir=tmp_path).artifacts
    path = write_budgets('metric = "delegation.share", min = 0.25', name=row.path.name, tools='torch = "2.13.0"')
    (change,) = ratchet(edgekit.check_budget(path, artifacts=[row.path]), TODAY)
    assert change.now == 1 == read_budgets(path)[0].budgets[0].limit


def test_a_file_that_cannot_be_written(write_budgets, onnx_artifact, monkeypatch):
    path = write_budgets('metric = "size.total", max = 1_000_000')
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    report = edgekit.check_budget(path, artifacts=[onnx_artifact])
    monkeypatch.setattr("edgekit.gates.ratchet.os.fdopen", full)
    with pytest.raises(OutputError, match="No space left"):
        ratchet(report, TODAY)
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".budgets*"))
