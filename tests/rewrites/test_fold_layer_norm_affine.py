"""Layer norm's scale and shift: part of the projections behind it."""

import pytest
import torch
from rewriting import (
    CONV,
    LAYER_NORM,
    LINEAR,
    PERMUTE,
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

from edgekit.ops.layer_norm import LayerNorm2d
from edgekit.rewrites.fold_layer_norm_affine import FoldLayerNormAffine

RULE = FoldLayerNormAffine()


class Normed(nn.Module):
    """A norm, and a way from it to the layers ``one`` and ``two``."""

    def __init__(self, norm, one, use, two=None):
        super().__init__()
        self.norm, self.one, self.two, self.use = norm, one, two or nn.Identity(), use

    def forward(self, x):
        return self.use(self, self.norm(x))


def read(m, y):
    return m.one(y)


def both(m, y):
    return m.one(y), m.two(y)


def pooled(m, y):
    return m.one(y.mean(dim=(2, 3)))


TOKENS, IMAGE = (2, 5, 6), (2, 6, 8, 7)
MODELS = {
    "tokens": (lambda: Normed(nn.LayerNorm(6, eps=1e-3), nn.Linear(6, 4), read), TOKENS),
    "no projection bias": (lambda: Normed(nn.LayerNorm(6), nn.Linear(6, 4, bias=False), read), TOKENS),
    "scale only": (lambda: Normed(nn.LayerNorm(6, bias=False), nn.Linear(6, 4), read), TOKENS),
    "two readers": (lambda: Normed(nn.LayerNorm(6), nn.Linear(6, 4), both, nn.Linear(6, 3, bias=False)), TOKENS),
    "mean of tokens": (lambda: Normed(nn.LayerNorm(6), nn.Linear(6, 4), lambda m, y: m.one(y.mean(1))), TOKENS),
    "mean after turning": (lambda: Normed(nn.LayerNorm(6), nn.Linear(6, 4), lambda m, y: m.one(y.permute(0, 2, 1).mean(-1))), TOKENS),
    "pointwise": (lambda: Normed(LayerNorm2d(6), nn.Conv2d(6, 4, 1), read), IMAGE),
    "patches, grouped": (lambda: Normed(LayerNorm2d(6), nn.Conv2d(6, 4, 2, 2, groups=2), read), IMAGE),
    "head": (lambda: Normed(LayerNorm2d(6), nn.Linear(6, 4), pooled), IMAGE),
    "squeeze": (lambda: Normed(LayerNorm2d(6), nn.Conv2d(6, 4, 1), lambda m, y: m.one(y.mean(dim=(2, 3), keepdim=True))), IMAGE),
    "map and its mean": (
        lambda: Normed(LayerNorm2d(6), nn.Conv2d(6, 4, 1), lambda m, y: (m.one(y), m.two(y.mean(dim=(-2, -1)))), nn.Linear(6, 3)),
        IMAGE,
    ),
    "tokens made of a map": (lambda: Normed(LayerNorm2d(6), nn.Linear(6, 4), lambda m, y: m.one(y.permute(0, 2, 3, 1))), IMAGE),
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
    assert done.report.sites[0].startswith("norm")
    assert done.report.skips == ()
    (norm,) = (node for node in done.after.graph.nodes if node.target == LAYER_NORM)
    assert norm.args[2:4] == (None, None)
    for op in (LAYER_NORM, CONV, LINEAR, PERMUTE, torch.ops.aten.mean.dim):
        assert count(done.after, op) == count(done.before, op)


@EACH_MODEL
def test_the_norms_parameters_are_gone(name):
    model, x = case(name)
    done = rewrite(RULE, model, x)
    assert not [key for key in done.after.state_dict if key.startswith("norm")]


@EACH_MODEL
@PRECISIONS
def test_same_numbers(name, dtype, tolerance):
    model, x = case(name, dtype)
    done = rewrite(RULE, model, x)
    assert done.report.sites
    assert done.report.max_error <= tolerance
    assert_same_numbers(done, noise(*x.shape, dtype=dtype, seed=1), tolerance=tolerance)


def test_eps_stays():
    # The map is so flat that its variance is of the size of eps: a lost eps changes the result.
    model = filled(Normed(nn.LayerNorm(6, eps=0.25), nn.Linear(6, 4), read))
    x = 0.5 * noise(*TOKENS)
    done = rewrite(RULE, model, x)
    assert done.report.sites
    assert_same_numbers(done, 0.5 * noise(*TOKENS, seed=1), tolerance=1e-5)


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


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Sequential(nn.LayerNorm(6, elementwise_affine=False), nn.Linear(6, 4)), TOKENS),
        (nn.Sequential(nn.GroupNorm(2, 6), nn.Conv2d(6, 4, 1)), IMAGE),
        (nn.Sequential(nn.RMSNorm(6), nn.Linear(6, 4)), TOKENS),
    ],
    ids=["no affine", "group norm", "RMS norm"],
)
def test_leaves_others_alone(model, shape):
    done = rewrite(RULE, filled(model), noise(*shape))
    assert_untouched(done)
    assert done.report.skips == ()


class ComputedScale(nn.Module):
    def __init__(self):
        super().__init__()
        self.log, self.linear = nn.Parameter(torch.zeros(6)), nn.Linear(6, 4)

    def forward(self, x):
        return self.linear(F.layer_norm(x, (6,), self.log.exp()))


class ComputedProjection(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.weight = nn.LayerNorm(6), nn.Parameter(torch.zeros(4, 6))

    def forward(self, x):
        return F.linear(self.norm(x), torch.tanh(self.weight))


def conv_norm(one, use):
    return Normed(LayerNorm2d(6), one, use)


@pytest.mark.parametrize(
    ("model", "shape", "words"),
    [
        (Normed(nn.LayerNorm((5, 6)), nn.Linear(6, 4), read), TOKENS, ["several axes"]),
        (ComputedScale(), TOKENS, ["scale or shift", "computed while the model runs"]),
        (ComputedProjection(), TOKENS, ["weight", "computed while the model runs"]),
        (Normed(nn.LayerNorm(6), nn.Linear(6, 4), lambda m, y: m.one(F.gelu(y))), TOKENS, ["gelu", "does not commute"]),
        (Normed(nn.LayerNorm(6), nn.Linear(6, 6), lambda m, y: m.one(y) + y), TOKENS, ["add", "does not commute"]),
        (Normed(nn.LayerNorm(6), nn.Linear(6, 4), lambda m, y: (m.one(y), y)), TOKENS, ["output", "does not commute"]),
        (
            Normed(nn.LayerNorm(6), nn.Linear(5, 4), lambda m, y: m.one(y.permute(0, 2, 1))),
            TOKENS,
            ["one.weight", "does not read the normalised channels"],
        ),
        (Normed(nn.LayerNorm(6), nn.Linear(5, 4), lambda m, y: m.one(y.mean(2))), TOKENS, ["mean", "does not commute"]),
        (conv_norm(nn.Linear(7, 4), read), IMAGE, ["one.weight", "does not read the normalised channels"]),
        (conv_norm(nn.Conv2d(6, 4, 3, padding=1), read), IMAGE, ["one.weight", "pads with zeros", "border"]),
        (conv_norm(nn.Conv2d(6, 4, 3, padding=(1, 0)), read), IMAGE, ["one.weight", "pads with zeros"]),
        (conv_norm(nn.Conv2d(6, 4, 3), lambda m, y: m.one(F.pad(y, (0, 1, 0, 1), value=0.5))), IMAGE, ["pad", "does not commute"]),
        (conv_norm(nn.Conv2d(6, 4, 3), lambda m, y: m.one(F.pad(y, (1, 1, 1, 1), mode="reflect"))), IMAGE, ["pad", "does not commute"]),
        (conv_norm(nn.Conv2d(7, 4, 3), lambda m, y: m.one(F.pad(y, (0, 0, 0, 0, 0, 1)))), IMAGE, ["pad", "does not commute"]),
        (Normed(nn.LayerNorm(6), nn.Conv2d(8, 4, 1), lambda m, y: m.one(y)), (2, 8, 5, 6), ["one.weight", "does not read the normalised channels"]),
        # One image without a batch axis: the norm is over its columns.
        (Normed(nn.LayerNorm(6), nn.Conv2d(6, 4, 1), lambda m, y: m.one(y)), (6, 5, 6), ["one.weight", "does not read the normalised channels"]),
    ],
)
def test_refusals(model, shape, words):
    done = rewrite(RULE, filled(model), noise(*shape))
    assert_untouched(done)
    (skip,) = done.report.skips
    for word in words:
        assert word in skip.reason


def padded_map(m, y):
    return m.one(F.pad(y, (0, 1, 0, 2)))


def padded_tokens(m, y):
    return m.one(F.pad(y.permute(0, 2, 3, 1), (0, 0, 1, 0, 0, 2)))


def padded_and_not(m, y):
    return m.one(F.pad(y, (0, 1, 0, 2))), m.two(y)


PADDED = {
    "map": lambda: Normed(LayerNorm2d(6), nn.Conv2d(6, 4, 3), padded_map),
    "no projection bias": lambda: Normed(LayerNorm2d(6), nn.Conv2d(6, 4, 1, bias=False), padded_map),
    "tokens": lambda: Normed(LayerNorm2d(6), nn.Linear(6, 4), padded_tokens),
    "one padded, one not": lambda: Normed(LayerNorm2d(6), nn.Conv2d(6, 4, 1), padded_and_not, nn.Conv2d(6, 3, 1)),
}


@pytest.mark.parametrize("name", PADDED)
@PRECISIONS
def test_padded_zeros_let_the_scale_through_and_keep_the_shift_in_front(name, dtype, tolerance):
    done = rewrite(RULE, filled(PADDED[name](), dtype), noise(*IMAGE, dtype=dtype))
    assert len(done.report.sites) == 1
    assert count(done.after, torch.ops.aten.add.Tensor) == count(done.before, torch.ops.aten.add.Tensor) + 1
    (norm,) = (node for node in done.after.graph.nodes if node.target == LAYER_NORM)
    assert norm.args[2:4] == (None, None)
    assert_same_numbers(done, noise(*IMAGE, dtype=dtype, seed=1), tolerance=tolerance)
    assert_settled(RULE, done, noise(*IMAGE, dtype=dtype))
    assert interface(done.after) == interface(done.before)


def test_a_projection_without_bias_gets_none_behind_padding():
    done = rewrite(RULE, filled(PADDED["no projection bias"]()), noise(*IMAGE))
    (conv,) = (node for node in done.after.graph.nodes if node.target == CONV)
    assert conv.args[2] is None


def test_a_scale_of_zero_cannot_be_divided_by():
    model = filled(PADDED["map"]())
    with torch.no_grad():
        model.norm.norm.weight[2] = 0
    done = rewrite(RULE, model, noise(*IMAGE))
    assert_untouched(done)
    assert "too close to zero" in done.report.skips[0].reason
