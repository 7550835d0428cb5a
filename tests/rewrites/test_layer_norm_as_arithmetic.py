"""Layer norm as means, differences and a square root."""

import pytest
import torch
from rewriting import LAYER_NORM, PRECISIONS, assert_same_numbers, assert_settled, assert_untouched, count, filled, interface, noise, rewrite
from torch import nn

from edgekit.ops.layer_norm import LayerNorm2d
from edgekit.rewrites.layer_norm_as_arithmetic import LayerNormAsArithmetic

RULE = LayerNormAsArithmetic()
MODELS = {
    "tokens": (lambda: nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 4)), (2, 5, 6)),
    "no affine": (lambda: nn.Sequential(nn.LayerNorm(6, elementwise_affine=False), nn.Linear(6, 4)), (2, 5, 6)),
    "scale only": (lambda: nn.Sequential(nn.LayerNorm(6, bias=False), nn.Linear(6, 4)), (2, 5, 6)),
    "map": (lambda: nn.Sequential(LayerNorm2d(6), nn.Conv2d(6, 4, 3)), (1, 6, 8, 7)),
    "two": (lambda: nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 5), nn.LayerNorm(5)), (3, 6)),
}
EACH_MODEL = pytest.mark.parametrize("name", MODELS)


@EACH_MODEL
def test_no_layer_norm_is_left_and_no_axis_is_dropped(name):
    make, shape = MODELS[name]
    done = rewrite(RULE, filled(make()), noise(*shape))
    assert len(done.report.sites) == count(done.before, LAYER_NORM) > 0
    assert count(done.after, LAYER_NORM) == 0
    means = [node for node in done.after.graph.nodes if node.target == torch.ops.aten.mean.dim]
    assert len(means) == 2 * len(done.report.sites)
    assert all(mean.meta["val"].dim() == mean.args[0].meta["val"].dim() for mean in means)


@EACH_MODEL
@PRECISIONS
def test_same_numbers(name, dtype, tolerance):
    make, shape = MODELS[name]
    done = rewrite(RULE, filled(make(), dtype), noise(*shape, dtype=dtype))
    assert done.report.max_error <= tolerance
    # Far from zero and nearly flat, where a lost eps or a variance as a difference of squares would show.
    assert_same_numbers(done, 0.01 * noise(*shape, dtype=dtype, seed=1) + 0.3, tolerance=100 * tolerance)
    assert_same_numbers(done, noise(*shape, dtype=dtype, seed=2), tolerance=tolerance)


def test_eps_counts():
    done = rewrite(RULE, filled(nn.Sequential(nn.LayerNorm(6, eps=0.25))), noise(2, 6))
    assert_same_numbers(done, 0.1 * noise(2, 6, seed=3), tolerance=1e-5)


@EACH_MODEL
def test_interface_and_second_run(name):
    make, shape = MODELS[name]
    done = rewrite(RULE, filled(make()), noise(*shape))
    assert interface(done.after) == interface(done.before)
    assert_settled(RULE, done, noise(*shape))


def test_several_axes_are_refused():
    done = rewrite(RULE, filled(nn.Sequential(nn.LayerNorm((5, 6)))), noise(2, 5, 6))
    assert_untouched(done)
    assert "2 axes" in done.report.skips[0].reason
