"""Which row of a cost table a node is looked up in."""

import json
from importlib import resources
from pathlib import Path

import pytest
import torch
from torch import nn

from edgekit.capture import capture
from edgekit.errors import BadInputError
from edgekit.pipeline import check_request
from edgekit.planner.costs import CostTable, cost_table
from edgekit.recipe import Recipe

TABLE = CostTable(
    target="tflite",
    ns={
        "conv": {"per": "mac", "fp32": 4.0, "w8a8": 1.0},
        "stem": {"per": "mac", "fp32": 2.0, "w8a8": 3.0},
        "depthwise": {"per": "mac", "fp32": 8.0, "w8a8": 7.0},
        "depthwise_cached": {"per": "mac", "fp32": 4.0, "w8a8": 7.0},
    },
    provenance={},
)


@pytest.mark.parametrize(
    ("layer", "row"),
    [
        (nn.Conv2d(3, 8, 3), "stem"),
        (nn.Conv2d(7, 8, (1, 3)), "stem"),
        (nn.Conv2d(8, 8, 3), "conv"),
        (nn.Conv2d(3, 8, 1), "conv"),  # reads its few channels in one go
        (nn.Conv2d(16, 16, 3, groups=4), "stem"),
        (nn.Conv2d(8, 8, 3, groups=8), "depthwise_cached"),
        (nn.Conv2d(160, 160, 5, groups=160), "depthwise_cached"),
        (nn.Conv2d(168, 168, 5, groups=168), "depthwise"),
    ],
)
def test_a_convolution_has_the_row_of_its_kind_and_size(layer, row):
    channels = layer.in_channels
    program = capture("net", layer.eval(), (torch.randn(1, channels, 8, 8),))
    node = next(node for node in program.graph.nodes if node.op == "call_function")
    floats, integers = TABLE.of(node, program)
    assert floats / integers == pytest.approx(TABLE.ns[row]["fp32"] / TABLE.ns[row]["w8a8"])


DOCUMENT = {
    "schema_version": 1,
    "target": "tflite",
    "widens_weights": True,
    "measured": {"cpu": "one"},
    "ns": {
        "conv": {"per": "mac", "fp32": 2.0, "w8a8": 1},
        "norm": {"per": "value", "fp32": 2.0, "w8a8": None},
        "convert": {"per": "value", "ns": 0.1},
    },
}


@pytest.fixture
def written(tmp_path):
    def write(**changes):
        path = tmp_path / "costs.json"
        path.write_text(json.dumps({**DOCUMENT, **changes}))
        return path

    return write


def test_a_table_of_ones_own_is_read(written):
    table = cost_table("tflite", written())
    assert (table.conversion_ns, table.widens_weights, table.provenance) == (0.1, True, {"cpu": "one"})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema_version": 2}, "schema version 2"),
        ({"target": "onnx"}, "is a cost table of onnx"),
        ({"ns": {}}, "does not say what a conversion costs"),
        ({"ns": {**DOCUMENT["ns"], "conv": {"per": "mac", "fp32": -1.0, "w8a8": 1.0}}}, "has a row that is none"),
        ({"ns": {**DOCUMENT["ns"], "conv": {"per": "mac", "fp32": None, "w8a8": 1.0}}}, "has a row that is none"),
        ({"ns": {**DOCUMENT["ns"], "conv": {"per": "mile", "fp32": 1.0, "w8a8": 1.0}}}, "has a row that is none"),
        ({"ns": {**DOCUMENT["ns"], "conv": {"per": "mac", "fp32": 1.0, "w8a8": 1.0, "w4": 1.0}}}, "has a row that is none"),
        ({"ns": {**DOCUMENT["ns"], "conv": {"per": "mac", "fp32": 1e300, "w8a8": True}}}, "has a row that is none"),
        ({"ns": []}, "is no cost table"),
        ({"more": 1}, "unknown key"),
    ],
)
def test_what_is_no_table_for_the_target_is_refused(written, changes, says):
    with pytest.raises(BadInputError, match=says):
        cost_table("tflite", written(**changes))


def test_it_is_refused_before_anything_slow_begins(written, tmp_path):
    recipe = Recipe(model="emov2-nano", target="tflite", precision="w8a8", data=str(tmp_path), costs=written(target="onnx"))
    with pytest.raises(BadInputError, match="is a cost table of onnx"):
        check_request([recipe], tmp_path / "out", overwrite=False)


def test_edgekits_own_tables_are_of_the_form_that_it_reads():
    for target in ("tflite", "executorch", "onnx"):
        own = resources.files("edgekit") / "planner" / "tables" / f"{target}.json"
        assert cost_table(target, Path(str(own))) == cost_table(target)


def test_a_table_without_the_row_takes_that_of_convolutions():
    older = CostTable(target="tflite", ns={"conv": TABLE.ns["conv"]}, provenance={})
    program = capture("net", nn.Conv2d(3, 8, 3).eval(), (torch.randn(1, 3, 8, 8),))
    node = next(node for node in program.graph.nodes if node.op == "call_function")
    floats, integers = older.of(node, program)
    assert floats == 4 * integers
