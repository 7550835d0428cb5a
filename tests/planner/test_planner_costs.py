"""Which row of a cost table a node is looked up in."""

import pytest
import torch
from torch import nn

from edgekit.capture import capture
from edgekit.planner.costs import CostTable

TABLE = CostTable(
    target="tflite",
    ns={
        "conv": {"per": "mac", "fp32": 4.0, "w8a8": 1.0},
        "stem": {"per": "mac", "fp32": 2.0, "w8a8": 3.0},
        "depthwise": {"per": "mac", "fp32": 8.0, "w8a8": 7.0},
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
        (nn.Conv2d(8, 8, 3, groups=8), "depthwise"),
    ],
)
def test_a_convolution_of_few_channels_has_a_row_of_its_own(layer, row):
    channels = layer.in_channels
    program = capture("net", layer.eval(), (torch.randn(1, channels, 8, 8),))
    node = next(node for node in program.graph.nodes if node.op == "call_function")
    floats, integers = TABLE.of(node, program)
    assert floats / integers == pytest.approx(TABLE.ns[row]["fp32"] / TABLE.ns[row]["w8a8"])


def test_a_table_without_the_row_takes_that_of_convolutions():
    older = CostTable(target="tflite", ns={"conv": TABLE.ns["conv"]}, provenance={})
    program = capture("net", nn.Conv2d(3, 8, 3).eval(), (torch.randn(1, 3, 8, 8),))
    node = next(node for node in program.graph.nodes if node.op == "call_function")
    floats, integers = older.of(node, program)
    assert floats == 4 * integers
