"""Medians, k-th values and single values of a top-k: asked for as quantiles."""

import pytest
import torch
from rewriting import assert_settled, assert_untouched, count, noise, rewrite
from torch import nn

from edgekit.rewrites.order_statistics_as_quantiles import OrderStatisticsAsQuantiles

ATEN = torch.ops.aten


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


TAKEN = {
    "median": lambda x: x.median(),
    "median of an axis": lambda x: x.median(dim=1).values,
    "median that keeps the axis": lambda x: x.median(dim=0, keepdim=True).values,
    "k-th value": lambda x: x.kthvalue(3).values,
    "k-th value of an axis": lambda x: x.kthvalue(2, dim=0, keepdim=True).values,
    "last of top-k": lambda x: x.topk(4).values[:, -1],
    "last of top-k with its axis": lambda x: x.topk(4).values[:, -1:],
    "third of the smallest": lambda x: x.topk(4, largest=False).values[:, 2],
    "only one of top-k": lambda x: x.topk(1, dim=0).values,
    "sorted": lambda x: x.sort(dim=1).values[:, 5],
    "sorted, the highest first": lambda x: torch.sort(x, dim=0, descending=True).values[1],
    "stable": lambda x: torch.sort(x, dim=1, stable=True, descending=True).values[:, 1],
    "one value": lambda x: x[:1, :1].median(),
}


@pytest.mark.parametrize("name", TAKEN)
def test_same_numbers(name):
    done = rewrite(OrderStatisticsAsQuantiles(), Function(TAKEN[name]), noise(3, 10))
    assert len(done.report.sites) == 1
    assert count(done.after, ATEN.quantile.scalar) == 1
    assert not [node for node in done.after.graph.nodes if any(word in str(node.target) for word in ("median", "kthvalue", "topk", "sort"))]
    for x in (noise(3, 10, seed=1), noise(3, 10, seed=2).round()):
        assert torch.equal(done.after.module()(x), TAKEN[name](x))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.topk(4).values,
        lambda x: x.topk(4).indices[:, 1].float(),
        lambda x: x.topk(4, sorted=False).values[:, 1],
        lambda x: x.topk(4).values[:, 1:3],
        lambda x: x.topk(4).values[1],
        lambda x: x.amax(1) + x.min(),
        lambda x: x.max(dim=1).values,
        lambda x: x.median(dim=1).indices.float(),
    ],
)
def test_leaves_others_alone(function):
    done = rewrite(OrderStatisticsAsQuantiles(), Function(function), noise(3, 10))
    assert (done.report.sites, done.reasons) == ((), [])
    assert count(done.after, ATEN.quantile.scalar) == 0


def test_whole_numbers_are_refused():
    done = rewrite(OrderStatisticsAsQuantiles(), Function(lambda x: (x * 9).long().median()), noise(3, 10))
    assert_untouched(done)
    assert done.reasons == ["quantiles are of real numbers, and these are torch.int64"]


def test_second_run_changes_nothing():
    x = noise(3, 10)
    assert_settled(OrderStatisticsAsQuantiles(), rewrite(OrderStatisticsAsQuantiles(), Function(TAKEN["median"]), x), x)
