"""Tables of what operators cost: measured, written, planned by."""

import json

import pytest

from edgekit.bench import operator_costs as module
from edgekit.bench.operator_costs import as_rows, measure_costs, write_costs
from edgekit.errors import UnknownNameError, UsageError
from edgekit.planner.costs import cost_table, stored_table


@pytest.fixture(scope="module")
def measured():
    return measure_costs("onnx", kinds=["linear"], samples=3, note="a test")


def test_what_was_measured_replaces_its_row_alone(measured):
    before = stored_table("onnx")
    row = measured.document["ns"]["linear"]
    assert row["per"] == "mac"
    assert 0 <= row["w8a8"] < 10
    assert 0 < row["fp32"] < 10
    assert {**measured.document["ns"], "linear": None} == {**before["ns"], "linear": None}
    assert measured.document["measured"]["kinds"] == ["linear"]
    assert measured.document["measured"]["note"] == "a test"
    assert measured.refused == {}


def test_what_is_written_is_what_the_planner_reads(measured, tmp_path):
    write_costs(measured, tmp_path / "costs.json")
    assert cost_table("onnx", tmp_path / "costs.json").ns == json.loads(json.dumps(measured.document["ns"]))
    assert [path.name for path in tmp_path.iterdir()] == ["costs.json"]


def test_an_operator_that_a_target_has_not_in_integers_has_no_cost_there(monkeypatch):
    """Not a zero: the planner would take it."""

    def lowered(facts, kind, size, length, precision, path):
        if precision == "w8a8":
            raise UsageError("no such operator", why="a test")
        return (lambda: sum(range(length * 2000))), length

    monkeypatch.setattr(module, "_lowered", lowered)
    found = measure_costs("tflite", kinds=["softmax"], samples=3)
    assert found.document["ns"]["softmax"]["w8a8"] is None
    assert found.document["ns"]["softmax"]["fp32"] > 0
    assert found.refused == {"softmax w8a8": "no such operator: a test"}


def test_a_conversion_is_what_floats_in_between_add():
    rows = {
        "add": {"per": "value", "fp32": 1.0, "w8a8": 2.0},
        "mean": {"per": "value", "fp32": 3.0, "w8a8": 2.5},
        "mul": {"per": "value", "fp32": 1.0, "w8a8": 2.0},
        "convert": {"per": "value", "fp32": 1.0, "w8a8": 1.75},
    }
    found = as_rows(rows)
    assert found["convert"] == {"per": "value", "ns": 0.25}
    assert (found["mean"]["fp32"], found["mean"]["w8a8"]) == (2.0, 0.5)  # it was measured with an addition


def test_what_cannot_be_measured_here_is_refused():
    with pytest.raises(UsageError, match="cannot be measured here"):
        measure_costs("coreml")
    with pytest.raises(UsageError, match="samples is 0"):
        measure_costs("onnx", samples=0)
    with pytest.raises(UnknownNameError, match="kind of operator"):
        measure_costs("onnx", kinds=["convolution"])
