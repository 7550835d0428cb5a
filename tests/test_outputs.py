"""Names for what a model returns: nested and dataclasses, in the order in which torch.export has them."""

from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from edgekit.errors import ModelSourceError
from edgekit.outputs import named_outputs


@dataclass
class Found:
    logits: Tensor
    hidden: list[Tensor] | None = None
    extra: Tensor | None = None


class Pair(NamedTuple):
    boxes: Tensor
    scores: Tensor


def numbered(count):
    return [torch.full((1,), float(number)) for number in range(count)]


a, b, c = numbered(3)
CASES = {
    "tensor": (a, ["logits"]),
    "sequence": ([a, (b, c)], ["output_0", "output_1_0", "output_1_1"]),
    "named tuple": (Pair(a, b), ["boxes", "scores"]),
    "dict": ({"z": a, "y": {"x": b, "w": [c]}}, ["z", "y_x", "y_w_0"]),
    "dataclass": (Found(a, [b, c]), ["logits", "hidden_0", "hidden_1"]),
    "with a gap": (Found(a, None, b), ["logits", "extra"]),
}


@pytest.mark.parametrize("name", CASES)
def test_names_are_in_the_order_of_the_captured_program(name):
    value, names = CASES[name]
    named = named_outputs(value)
    assert list(named) == names

    class Returns(nn.Module):
        def forward(self, x):
            return torch.utils._pytree.tree_map(lambda one: one * x, value)

    program = torch.export.export(Returns(), (torch.ones(1),))
    results = torch.utils._pytree.tree_leaves(program.module()(torch.ones(1)))
    assert [float(one) for one in results] == [float(one) for one in named.values()]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a_b": a, "a": {"b": b}}, "two outputs called a_b"),
        ((a, None), "returns a NoneType as output_1"),
        ({"a": {"b": 3}}, "returns a int as a_b"),
        ({"a": {}}, "returns an empty dict"),
        (Found, "returns a type"),
    ],
)
def test_what_is_no_output_is_refused(value, said):
    with pytest.raises(ModelSourceError) as caught:
        named_outputs(value)
    assert said in caught.value.summary
