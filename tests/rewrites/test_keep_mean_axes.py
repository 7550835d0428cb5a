"""A mean over rows and columns: one that keeps its axes, and a reshape."""

import pytest
import torch
from rewriting import assert_settled, assert_untouched, count, interface, noise, rewrite
from torch import nn

from edgekit.rewrites.keep_mean_axes import KeepMeanAxes

RULE = KeepMeanAxes()
MEAN, RESHAPE = torch.ops.aten.mean.dim, torch.ops.aten.reshape.default
SHAPE = (2, 3, 4, 5)


class Pool(nn.Module):
    """A mean between two functions that keep it from the program's ends."""

    def __init__(self, dim, **options):
        super().__init__()
        self.dim, self.options = dim, options

    def forward(self, x):
        return torch.tanh(x.relu().mean(self.dim, **self.options))


CASES = {
    "rows and columns": lambda: Pool((2, 3)),
    "counted from the end": lambda: Pool((-2, -1)),
    "columns first": lambda: Pool([3, 2]),
    "one of each": lambda: Pool((-1, 2)),
    "not kept, in words": lambda: Pool((2, 3), keepdim=False),
    "in float64": lambda: Pool((2, 3), dtype=torch.float64),
}
EACH_CASE = pytest.mark.parametrize("name", CASES)


def kept(program):
    """``keepdim`` of every mean."""
    return [node.args[2] for node in program.graph.nodes if node.target == MEAN and len(node.args) > 2]


@EACH_CASE
def test_fires_with_the_same_numbers(name):
    done = rewrite(RULE, CASES[name](), noise(*SHAPE))
    assert len(done.report.sites) == 1
    assert done.report.skips == ()
    assert done.report.max_error == 0
    assert count(done.after, MEAN) == count(done.before, MEAN) == 1
    assert (count(done.before, RESHAPE), count(done.after, RESHAPE)) == (0, 1)
    assert kept(done.after) == [True]
    other = noise(*SHAPE, seed=1)
    assert torch.equal(done.after.module()(other), done.before.module()(other))


@EACH_CASE
def test_second_run_changes_nothing(name):
    assert_settled(RULE, rewrite(RULE, CASES[name](), noise(*SHAPE)), noise(*SHAPE))


@EACH_CASE
def test_names_shapes_dtypes_unchanged(name):
    done = rewrite(RULE, CASES[name](), noise(*SHAPE))
    assert done.report.sites
    assert interface(done.after) == interface(done.before)


@pytest.mark.parametrize(
    ("model", "shape"),
    [(Pool((2, 3), keepdim=True), SHAPE), (Pool((1, 2)), (2, 3, 4)), (Pool((3, 4)), (1, 2, 3, 4, 5)), (nn.AdaptiveAvgPool2d(1), SHAPE)],
    ids=["kept already", "rank 3", "rank 5", "pooling"],
)
def test_leaves_others_alone(model, shape):
    done = rewrite(RULE, model, noise(*shape))
    assert_untouched(done)
    assert done.report.skips == ()


@pytest.mark.parametrize(
    ("dim", "axes"),
    [((1, 2), [1, 2]), ((3,), [3]), (-1, [3]), ((1,), [1]), ((0, 2, 3), [0, 2, 3]), ((), [0, 1, 2, 3])],
    ids=["channels and rows", "columns", "last", "channels", "images too", "all"],
)
def test_other_axes_are_refused(dim, axes):
    done = rewrite(RULE, Pool(dim), noise(*SHAPE))
    assert_untouched(done)
    (reason,) = done.reasons
    assert f"axes {axes}" in reason
    assert "not over rows and columns" in reason


def test_the_last_node_of_a_program():
    class OnlyMean(nn.Module):
        def forward(self, x):
            return x.mean((2, 3))

    x = noise(*SHAPE)
    done = rewrite(RULE, OnlyMean(), x)
    assert len(done.report.sites) == 1
    assert torch.equal(done.after.module()(x), x.mean((2, 3)))
