"""Convolution times a constant per channel: one convolution."""

import pytest
import torch
from rewriting import (
    CONV,
    LINEAR,
    MUL,
    PRECISIONS,
    assert_same_numbers,
    assert_settled,
    assert_untouched,
    count,
    filled,
    interface,
    noise,
    rewrite,
)
from torch import nn
from torch.nn import functional as F

from edgekit.ops.layer_scale import LayerScale
from edgekit.rewrites.fold_channel_scale import FoldChannelScale

RULE = FoldChannelScale()


class Scaled(nn.Module):
    """A projection and what is done with it."""

    def __init__(self, projection, use, shape=None):
        super().__init__()
        self.projection, self.use = projection, use
        self.gamma = nn.Parameter(torch.ones(())) if shape is None else nn.Parameter(torch.ones(shape))

    def forward(self, x):
        return self.use(self.projection(x), self.gamma, x)


def right(y, gamma, x):
    return y * gamma


def left(y, gamma, x):
    return gamma * y


def conv(**options):
    return nn.Conv2d(4, 6, 3, **options)


IMAGE, ROWS, TOKENS = (2, 4, 8, 9), (3, 4), (2, 5, 4)
MODELS = {
    "layer scale": (lambda: nn.Sequential(conv(padding=1), LayerScale(6)), IMAGE),
    "tensor on the right": (lambda: Scaled(conv(bias=False), right, (6, 1, 1)), IMAGE),
    "tensor on the left": (lambda: Scaled(conv(groups=2, stride=2), left, (1, 6, 1, 1)), IMAGE),
    "python float": (lambda: Scaled(conv(), lambda y, g, x: y * 0.37), IMAGE),
    "python int on the left": (lambda: Scaled(conv(), lambda y, g, x: -3 * y), IMAGE),
    "one learned number": (lambda: Scaled(conv(), left), IMAGE),
    "one value of rank 4": (lambda: Scaled(conv(), right, (1, 1, 1, 1)), IMAGE),
    "linear": (lambda: Scaled(nn.Linear(4, 6), right, (6,)), ROWS),
    "linear on tokens": (lambda: Scaled(nn.Linear(4, 6, bias=False), left, (1, 1, 6)), TOKENS),
}
EACH_MODEL = pytest.mark.parametrize("name", MODELS)


def case(name, dtype=torch.float32):
    make, shape = MODELS[name]
    return filled(make(), dtype), noise(*shape, dtype=dtype)


@EACH_MODEL
def test_fires(name):
    model, x = case(name)
    done = rewrite(RULE, model, x)
    assert len(done.report.sites) == 1
    assert done.report.skips == ()
    assert count(done.before, MUL) == 1
    assert count(done.after, MUL) == 0
    assert count(done.after, CONV) + count(done.after, LINEAR) == 1


@EACH_MODEL
@PRECISIONS
def test_same_numbers(name, dtype, tolerance):
    model, x = case(name, dtype)
    done = rewrite(RULE, model, x)
    assert done.report.sites
    assert done.report.max_error <= tolerance
    assert_same_numbers(done, noise(*x.shape, dtype=dtype, seed=1), tolerance=tolerance)


@EACH_MODEL
def test_second_run_changes_nothing(name):
    model, x = case(name)
    assert_settled(RULE, rewrite(RULE, model, x), x)


@EACH_MODEL
def test_names_shapes_dtypes_unchanged(name):
    model, x = case(name)
    done = rewrite(RULE, model, x)
    assert done.report.sites
    assert interface(done.after) == interface(done.before)


def test_the_site_is_the_module_that_scales():
    assert rewrite(RULE, filled(nn.Sequential(conv(), LayerScale(6))), noise(*IMAGE)).report.sites == ("1",)


def test_two_factors_in_a_row():
    model = filled(Scaled(conv(), lambda y, g, x: (y * g) * 0.5, (6, 1, 1)))
    done = rewrite(RULE, model, noise(*IMAGE))
    assert len(done.report.sites) == 2
    assert count(done.after, MUL) == 0
    assert_same_numbers(done, noise(*IMAGE, seed=1), tolerance=1e-5)


@pytest.mark.parametrize(
    "use",
    [
        lambda y, g, x: y * y.mean(dim=(2, 3), keepdim=True),
        lambda y, g, x: y * y,
        lambda y, g, x: F.relu(y) * g,
        lambda y, g, x: y * float("inf"),
        lambda y, g, x: y + g,
        lambda y, g, x: g * 2.0 * x.sum() + y,
    ],
    ids=["computed gate", "square", "relu between", "infinite", "sum", "two constants"],
)
def test_leaves_others_alone(use):
    done = rewrite(RULE, filled(Scaled(conv(), use)), noise(*IMAGE))
    assert_untouched(done)
    assert done.report.skips == ()


class ComputedWeight(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.scale = nn.Parameter(torch.zeros(6, 4, 1, 1)), LayerScale(6)

    def forward(self, x):
        return self.scale(F.conv2d(x, torch.tanh(self.weight)))


@pytest.mark.parametrize(
    ("model", "shape", "words"),
    [
        (Scaled(conv(), right, (7,)), IMAGE, ["(7,)", "6 channels"]),  # one value a column
        (Scaled(nn.Conv2d(4, 7, 3), right, (7,)), IMAGE, ["(7,)", "7 channels"]),  # as many columns as channels
        (Scaled(nn.Conv2d(4, 6, 3), right, (6, 1)), IMAGE, ["(6, 1)", "6 channels"]),  # as many rows as channels
        (Scaled(conv(), right, (1, 1, 6, 7)), IMAGE, ["(1, 1, 6, 7)", "6 channels"]),
        (Scaled(nn.Linear(4, 5), right, (5, 1)), TOKENS, ["(5, 1)", "5 channels"]),  # one value a token
        (Scaled(conv(), right, (1, 1, 6, 1, 1)), IMAGE, ["(1, 1, 6, 1, 1)", "another shape"]),
        (Scaled(conv(), right, (1, 1, 1, 1, 1)), IMAGE, ["another shape"]),
        (Scaled(nn.Conv2d(4, 1, 3), right, (1, 6, 1, 1)), IMAGE, ["(1, 6, 1, 1)", "1 channels"]),
        (Scaled(conv(), lambda y, g, x: y * g + y, (6, 1, 1)), IMAGE, ["projection.weight", "also read without the factor", "twice"]),
        (Scaled(conv(), lambda y, g, x: (y * g, y), (6, 1, 1)), IMAGE, ["projection.weight", "also read without the factor"]),
        (ComputedWeight(), IMAGE, ["weight", "computed while the model runs"]),
    ],
    ids=[
        "columns",
        "columns equal channels",
        "rows equal channels",
        "map",
        "tokens",
        "rank 5",
        "rank 5 of one",
        "widens",
        "read",
        "returned",
        "computed",
    ],
)
def test_refusals(model, shape, words):
    done = rewrite(RULE, filled(model), noise(*shape))
    assert_untouched(done)
    (skip,) = done.report.skips
    for word in words:
        assert word in skip.reason


def test_a_factor_that_widens_the_dtype_is_refused():
    model = filled(Scaled(conv(), right, (6, 1, 1)))
    model.gamma = nn.Parameter(model.gamma.double())
    done = rewrite(RULE, model, noise(*IMAGE))
    assert_untouched(done)
    assert "torch.float64" in done.reasons[0]
