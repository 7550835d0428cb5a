"""Sorts, argsorts and top-k by counting: every way to call them, ties, infinities and what is not a number."""

import math

import pytest
import torch
from rewriting import assert_settled, assert_untouched, interface, noise, rewrite
from torch import nn

from edgekit.rewrites.sorts_by_counting import SortsByCounting

ALL, STABLE, TOP_K = (SortsByCounting(kind) for kind in ("all", "stable", "top-k"))
WORDS = ("sort", "topk")


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


SORTS = {
    "values": lambda x: x.sort().values,
    "both, from the highest": lambda x: tuple(x.sort(dim=1, descending=True)),
    "indices of the first axis": lambda x: x.argsort(dim=0),
    "indices of a middle axis": lambda x: x.argsort(dim=-2, descending=True),
    "stable": lambda x: tuple(torch.sort(x, dim=1, stable=True)),
    "stable, from the highest": lambda x: tuple(torch.sort(x, dim=2, stable=True, descending=True)),
    "stable argsort": lambda x: torch.argsort(x, dim=1, stable=True),
    "of rows": torch.msort,
    "of whole numbers": lambda x: (x * 3).long().argsort(dim=2),
    "ranks": lambda x: x.argsort(dim=2).argsort(dim=2),
}
PICKS = {
    "largest": lambda x: tuple(x.topk(3)),
    "smallest": lambda x: tuple(x.topk(2, dim=1, largest=False)),
    "all": lambda x: x.topk(7).indices,
}
CASES = [pytest.param(ALL, function, id=name) for name, function in SORTS.items()]
CASES += [pytest.param(TOP_K, function, id=f"top-k: {name}") for name, function in PICKS.items()]
SHAPE = (2, 5, 7)


def assert_equal(ours, theirs):
    for one, other in zip(torch.utils._pytree.tree_leaves(ours), torch.utils._pytree.tree_leaves(theirs), strict=True):
        assert torch.equal(one.nan_to_num(7e7), other.nan_to_num(7e7))


@pytest.mark.parametrize(("rule", "function"), CASES)
def test_same_numbers_without_a_sort(rule, function):
    done = rewrite(rule, Function(function), noise(*SHAPE))
    assert done.report.sites
    assert done.report.max_error <= 1e-6
    assert not [node for node in done.after.graph.nodes if any(word in str(node.target) for word in WORDS)]
    assert interface(done.after) == interface(done.before)
    other = noise(*SHAPE, seed=1)
    assert_equal(done.after.module()(other), done.before.module()(other))


@pytest.mark.parametrize("descending", [False, True])
def test_ties_infinities_and_nan_are_where_torch_puts_them(descending):
    function = Function(lambda x: tuple(torch.sort(x, dim=1, stable=True, descending=descending)))
    x = torch.tensor([[0.0, -0.0, 1.0, 1.0, 0.0], [math.inf, 2.0, -math.inf, 2.0, -math.inf], [math.nan, 3.0, math.nan, -1.0, 9.0], [5.0] * 5])
    done = rewrite(ALL, function, noise(4, 5))
    assert_equal(done.after.module()(x), function(x))


def test_only_stable_ones():
    done = rewrite(STABLE, Function(lambda x: torch.sort(x, dim=1, stable=True).indices + x.argsort(dim=1)), noise(*SHAPE))
    assert len(done.report.sites) == 1
    assert [str(node.target) for node in done.after.graph.nodes if "sort" in str(node.target)] == ["aten.argsort.default"]


@pytest.mark.parametrize(
    ("function", "x", "reason"),
    [
        (lambda x: tuple(x.sort()), noise(1, 1025), "it sorts 1 x 1025 values, and counting would compare each with 1025"),
        (lambda x: x.argsort(dim=0), noise(1000, 20), "it sorts 20 x 1000 values"),
        (lambda x: tuple(x.sum().sort()), noise(2, 2), "it sorts a single number"),
    ],
)
def test_refusals(function, x, reason):
    done = rewrite(ALL, Function(function), x)
    assert_untouched(done)
    assert done.reasons[0].startswith(reason)


def test_an_order_that_torch_leaves_open_is_refused():
    done = rewrite(TOP_K, Function(lambda x: tuple(x.topk(4, sorted=False))), noise(*SHAPE))
    assert_untouched(done)
    assert "order" in done.reasons[0]


def test_leaves_others_alone():
    for rule, function in ((ALL, PICKS["largest"]), (TOP_K, SORTS["both, from the highest"]), (STABLE, SORTS["both, from the highest"])):
        done = rewrite(rule, Function(function), noise(*SHAPE))
        assert_untouched(done)
        assert done.reasons == []


def test_second_run_changes_nothing():
    x = noise(*SHAPE)
    assert_settled(ALL, rewrite(ALL, Function(SORTS["both, from the highest"]), x), x)
