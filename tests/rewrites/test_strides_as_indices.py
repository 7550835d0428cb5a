"""Windows by strides as constant places: both operators, any axis and step, and values that lie otherwise in memory."""

import pytest
import torch
from rewriting import assert_settled, assert_untouched, count, interface, noise, rewrite
from torch import nn

from edgekit.rewrites.strides_as_indices import StridesAsIndices

RULE = StridesAsIndices()


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x * 2)


CASES = {
    "windows that overlap": lambda x: x.unfold(2, 4, 2),
    "of the last axis": lambda x: x.unfold(-1, 3, 1),
    "of the first, with gaps": lambda x: x.unfold(0, 1, 2),
    "side by side": lambda x: x.unfold(3, 2, 2),
    "side by side, with a rest": lambda x: x.unfold(2, 4, 4),
    "of two axes": lambda x: x.unfold(2, 3, 2).unfold(3, 3, 3),
    "strides": lambda x: x.as_strided((2, 3, 4, 3), (180, 60, 10, 2)),
    "strides from a place on": lambda x: x.as_strided((5, 2), (1, 7), 11),
    "a transposition": lambda x: x.as_strided((10, 6), (1, 10)),
    "one value": lambda x: x.as_strided((), (), 3),
}


@pytest.mark.parametrize("name", CASES)
def test_same_values(name):
    model, x = Function(CASES[name]), noise(2, 3, 6, 10)
    done = rewrite(RULE, model, x)
    assert len(done.report.sites) == (2 if name == "of two axes" else 1)
    assert count(done.after, torch.ops.aten.unfold.default) + count(done.after, torch.ops.aten.as_strided.default) == 0
    assert interface(done.after) == interface(done.before)
    other = noise(2, 3, 6, 10, seed=1)
    assert torch.equal(done.after.module()(other), model(other))


def test_windows_side_by_side_take_no_indices():
    done = rewrite(RULE, Function(CASES["side by side"]), noise(2, 3, 6, 10))
    assert count(done.after, torch.ops.aten.index_select.default) == 0


@pytest.mark.parametrize(
    ("function", "x", "reason"),
    [
        (lambda x: x.transpose(0, 1).as_strided((2, 2), (1, 2)), noise(4, 5), "it counts in memory"),
        (lambda x: x[1:].as_strided((2, 2), (1, 2)), noise(4, 5), "it counts in memory"),
        (lambda x: x.as_strided((2**11, 2**10), (0, 1)), noise(2**10), "it takes 2097152 places"),
        (lambda x: x.unfold(0, 2**11, 1), noise(2**12), "it takes 4196352 places"),
    ],
)
def test_refusals(function, x, reason):
    done = rewrite(RULE, Function(function), x)
    assert_untouched(done)
    assert done.reasons[0].startswith(reason)


def test_second_run_changes_nothing():
    x = noise(2, 3, 6, 10)
    assert_settled(RULE, rewrite(RULE, Function(CASES["of two axes"]), x), x)
