"""Rows added up at places: every operator that does, each mode, and what is left alone."""

import pytest
import torch
from rewriting import assert_settled, assert_untouched, interface, noise, rewrite
from torch import nn

from edgekit.rewrites.scatters_by_products import ScattersByProducts

RULE = ScattersByProducts()


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def index(x, places=4, columns=7):
    """Places that the values decide, the same all along the last axis."""
    return x.argmax(-1, keepdim=True).remainder(places).expand(-1, -1, columns)


def reduced(mode, include_self):
    return lambda x: x[:, :4].scatter_reduce(1, index(x), x, reduce=mode, include_self=include_self)


CASES = {
    "scatter_add": lambda x: x[:, :4].scatter_add(1, index(x), x),
    "into zeros, in place": lambda x: torch.zeros(2, 4, 7).scatter_add_(1, index(x), x),
    "along the first axis": lambda x: torch.ones(3, 5, 7).scatter_add(0, x.abs().round().long().clamp(max=2), x),
    "along the last axis": lambda x: x[..., :3].scatter_add(2, x.argsort(-1).remainder(3), x),
    "index_add": lambda x: x.index_add(1, x[0, :, 0].topk(3).indices, x[:, :3]),
    "index_add to several at once": lambda x: x.index_add(2, x[0, 0].round().long().abs(), x * 2),
    "index_put": lambda x: torch.zeros(9).index_put((x.argmax(-1).reshape(-1),), x.amax(-1).reshape(-1), accumulate=True),
    "index_put of rows": lambda x: torch.ops.aten.index_put(x, [None, x[0].argmax(-1).remainder(5)], x[:, :1], True),
} | {f"{mode}{' of both' if both else ''}": reduced(mode, both) for mode in ("sum", "mean", "amax", "amin") for both in (True, False)}


@pytest.mark.parametrize("name", CASES)
def test_same_numbers_without_a_scatter(name):
    x = noise(2, 5, 7)
    done = rewrite(RULE, Function(CASES[name]), x)
    assert done.reasons == []
    assert len(done.report.sites) == 1
    assert done.report.max_error <= 1e-6
    assert not [node for node in done.after.graph.nodes if any(word in str(node.target) for word in ("scatter", "index_add", "index_put"))]
    assert interface(done.after) == interface(done.before)
    for seed in (1, 2):
        other = noise(2, 5, 7, seed=seed)
        torch.testing.assert_close(done.after.module()(other), CASES[name](other), rtol=1e-6, atol=1e-6)


def test_infinities_stay_where_they_are_in_extremes():
    x = noise(1, 5, 7)
    done = rewrite(RULE, Function(reduced("amax", include_self=False)), x)
    x = x.clone()
    x[0, 2] = float("-inf")
    x[0, 3, 1] = float("inf")
    assert torch.equal(done.after.module()(x), reduced("amax", include_self=False)(x))


@pytest.mark.parametrize(
    ("function", "x", "reason"),
    [
        (lambda x: x.long().scatter_add(1, index(x), x.long()), noise(1, 5, 7), "it adds torch.int64"),
        (lambda x: x[:, :4].scatter_reduce(1, index(x), x, reduce="prod"), noise(1, 5, 7), "it multiplies, "),
        (lambda x: x.index_add(1, torch.tensor([0, 1]), x[:, :2], alpha=2), noise(1, 5, 7), "it multiplies what it adds"),
        (lambda x: x.scatter_add(1, index(x)[:, :2], x), noise(1, 5, 7), "its index covers a part"),
        (lambda x: x.index_put((torch.tensor([0]), torch.tensor([1])), x[0, 0], accumulate=True), noise(1, 5, 7), "it adds at places of several"),
        (lambda x: x.scatter_add(1, x.argsort(-1), x), noise(1, 300, 300), "it would compare 27000000 pairs"),
    ],
)
def test_refusals(function, x, reason):
    done = rewrite(RULE, Function(function), x)
    assert_untouched(done)
    assert done.reasons[0].startswith(reason)


def test_a_write_into_what_others_read_is_refused():
    def function(x):
        y = x * 2
        z = y[:, :4]
        z.scatter_add_(1, index(x), x)
        return y + z.sum()

    done = rewrite(RULE, Function(function), noise(1, 5, 7))
    assert_untouched(done)
    assert "written in place" in done.reasons[0] or "writes in place" in done.reasons[0]


@pytest.mark.parametrize("function", [lambda x: x.index_put((torch.tensor([0]),), x[0]), lambda x: x.scatter(1, index(x), x)])
def test_leaves_others_alone(function):
    done = rewrite(RULE, Function(function), noise(1, 5, 7))
    assert_untouched(done)
    assert done.reasons == []


def test_second_run_changes_nothing():
    x = noise(2, 5, 7)
    assert_settled(RULE, rewrite(RULE, Function(CASES["scatter_add"]), x), x)
