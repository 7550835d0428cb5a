"""Bins of values among borders: both operators, both sides, values on a border, and what is not a number."""

import pytest
import torch
from rewriting import assert_settled, assert_untouched, count, interface, noise, rewrite
from torch import nn

from edgekit.rewrites.bins_by_counting import BinsByCounting

RULE = BinsByCounting()
BORDERS = torch.tensor([-1.0, -0.5, 0.0, 0.0, 0.25, 1.0])


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.register_buffer("borders", BORDERS)

    def forward(self, x):
        return self.function(x, self.borders)


CASES = {
    "bucketize": torch.bucketize,
    "from the right": lambda x, b: torch.bucketize(x, b, right=True),
    "in 32 bits": lambda x, b: torch.bucketize(x, b, out_int32=True),
    "searchsorted": lambda x, b: torch.searchsorted(b, x),
    "on the right side": lambda x, b: torch.searchsorted(b, x, side="right"),
    "borders of each row": lambda x, b: torch.searchsorted(x.sort(dim=-1).values, x * 1.1),
}


@pytest.mark.parametrize("name", CASES)
def test_same_numbers(name):
    model = Function(CASES[name])
    done = rewrite(RULE, model, noise(2, 3, 5))
    assert len(done.report.sites) == 1
    assert count(done.after, torch.ops.aten.bucketize.Tensor) + count(done.after, torch.ops.aten.searchsorted.Tensor) == 0
    assert interface(done.after) == interface(done.before)
    for x in (noise(2, 3, 5, seed=1), (noise(2, 3, 5, seed=2) * 4).round() / 4, torch.full((2, 3, 5), float("nan"))):
        if not (name == "borders of each row" and x.isnan().any()):
            assert torch.equal(done.after.module()(x), model(x))


@pytest.mark.parametrize(
    ("function", "x", "reason"),
    [
        (lambda x, b: torch.searchsorted(b, x, sorter=b.argsort()), noise(3), "its borders are sorted by an index"),
        (lambda x, b: torch.bucketize(x, b.repeat(100)), noise(1, 10, 1000), "it would compare 6000000 pairs"),
    ],
)
def test_refusals(function, x, reason):
    done = rewrite(RULE, Function(function), x)
    assert_untouched(done)
    assert done.reasons[0].startswith(reason)


def test_second_run_changes_nothing():
    x = noise(2, 3)
    assert_settled(RULE, rewrite(RULE, Function(CASES["bucketize"]), x), x)
