"""Layer norm before 1x1 convolutions: its centring in their weights, its scaling behind them."""

import pytest
import torch
from rewriting import (
    CONV,
    LAYER_NORM,
    MUL,
    PERMUTE,
    PRECISIONS,
    again,
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

from edgekit.rewrites.fold_layer_norm_affine import FoldLayerNormAffine
from edgekit.rewrites.post_scale_layer_norm import PostScaleLayerNorm

RULE = PostScaleLayerNorm()


class Normed(nn.Module):
    """A norm over channels without scale and shift of its own (unless given), and layers that read it."""

    def __init__(self, *layers, norm=None, use=None):
        super().__init__()
        self.norm, self.layers, self.use = norm or nn.LayerNorm(6, elementwise_affine=False, eps=1e-3), nn.ModuleList(layers), use

    def forward(self, x):
        y = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.use(self.layers, y) if self.use else tuple(layer(y) for layer in self.layers)


MODELS = {
    "one": lambda: Normed(nn.Conv2d(6, 4, 1)),
    "no bias": lambda: Normed(nn.Conv2d(6, 4, 1, bias=False)),
    "two": lambda: Normed(nn.Conv2d(6, 4, 1), nn.Conv2d(6, 9, 1, bias=False)),
    "large eps": lambda: Normed(nn.Conv2d(6, 4, 1), norm=nn.LayerNorm(6, elementwise_affine=False, eps=0.25)),
}
EACH_MODEL = pytest.mark.parametrize("name", MODELS)
SHAPE = (2, 6, 8, 7)


def case(name, dtype=torch.float32):
    return filled(MODELS[name](), dtype), 0.7 * noise(*SHAPE, dtype=dtype) + 0.5


@EACH_MODEL
def test_fires(name):
    model, x = case(name)
    done = rewrite(RULE, model, x)
    readers = len(model.layers)
    assert len(done.report.sites) == 1
    assert done.report.skips == ()
    assert (count(done.before, LAYER_NORM), count(done.before, PERMUTE), count(done.before, CONV)) == (1, 2, readers)
    assert (count(done.after, LAYER_NORM), count(done.after, PERMUTE)) == (0, 0)
    assert count(done.after, CONV) == readers + 2
    assert count(done.after, MUL) == readers + 1


@EACH_MODEL
@PRECISIONS
def test_same_numbers(name, dtype, tolerance):
    model, x = case(name, dtype)
    done = rewrite(RULE, model, x)
    assert done.report.sites
    assert done.report.max_error <= tolerance
    assert_same_numbers(done, noise(*SHAPE, dtype=dtype, seed=1) - 0.3, tolerance=tolerance)


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


def test_fires_once_the_scale_and_shift_are_folded():
    model, x = filled(Normed(nn.Conv2d(6, 4, 1), norm=nn.LayerNorm(6))), noise(*SHAPE)
    folded = rewrite(FoldLayerNormAffine(), model, x)
    done = again(RULE, folded.after, x)
    assert len(done.report.sites) == 1
    with torch.no_grad():
        torch.testing.assert_close(done.after.module()(x)[0], model(x)[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Sequential(nn.LayerNorm(6, elementwise_affine=False), nn.Linear(6, 4)), (2, 5, 6)),
        (nn.Sequential(nn.GroupNorm(2, 6), nn.Conv2d(6, 4, 1)), SHAPE),
    ],
    ids=["tokens", "group norm"],
)
def test_leaves_others_alone(model, shape):
    done = rewrite(RULE, filled(model), noise(*shape))
    assert_untouched(done)
    assert done.report.skips == ()


class ComputedWeight(Normed):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 6, 1, 1))

    def forward(self, x):
        return F.conv2d(self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), torch.tanh(self.weight))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Normed(nn.Conv2d(6, 4, 1), norm=nn.LayerNorm(6)), ["scale and shift", "could not be folded"]),
        (Normed(nn.Conv2d(6, 4, 1), norm=nn.LayerNorm(6, bias=False)), ["scale and shift", "could not be folded"]),
        (Normed(nn.Conv2d(6, 4, 3)), ["conv2d", "no plain 1x1"]),
        (Normed(nn.Conv2d(6, 4, 1, stride=2)), ["conv2d", "no plain 1x1"]),
        (Normed(nn.Conv2d(6, 4, 1, padding=1)), ["conv2d", "no plain 1x1"]),
        (Normed(nn.Conv2d(6, 4, 1, groups=2)), ["conv2d", "no plain 1x1"]),
        (Normed(nn.Conv2d(6, 4, 1), nn.ReLU()), ["relu", "no plain 1x1"]),
        (Normed(nn.Conv2d(6, 4, 1), nn.Identity()), ["output", "no plain 1x1"]),
        (Normed(nn.Conv2d(6, 4, 1), use=lambda layers, y: layers[0](F.pad(y, (0, 1, 0, 1)))), ["pad", "no plain 1x1"]),
        (Normed(nn.Linear(7, 4)), ["linear", "no plain 1x1"]),  # over columns, not channels
        (ComputedWeight(), ["weight", "computed while the model runs"]),
    ],
    ids=["scale and shift", "scale", "3x3", "strided", "padded", "grouped", "relu", "returned", "pad", "columns", "computed"],
)
def test_refusals(model, words):
    done = rewrite(RULE, filled(model), noise(*SHAPE))
    assert_untouched(done)
    (skip,) = done.report.skips
    for word in words:
        assert word in skip.reason
