"""Layer norm over the channels of a map: two convolutions and a square root."""

import pytest
import torch
from rewriting import (
    ADD,
    CONV,
    LAYER_NORM,
    MUL,
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
from edgekit.rewrites.layer_norm_as_convs import LayerNormAsConvs

RULE = LayerNormAsConvs()
RSQRT = torch.ops.aten.rsqrt.default


class ChannelsLast(nn.Module):
    """The same norm written by somebody else, around ``nn.LayerNorm``."""

    def __init__(self, norm):
        super().__init__()
        self.norm = norm

    def forward(self, x):
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


# Model, multiplications and additions after it: the square, the deviation, the scale; the shift.
MODELS = {
    "scale and shift": (lambda: LayerNorm2d(6), 3, 1),
    "large eps": (lambda: LayerNorm2d(6, eps=0.25), 3, 1),
    "nn.LayerNorm": (lambda: ChannelsLast(nn.LayerNorm(6)), 3, 1),
    "scale only": (lambda: ChannelsLast(nn.LayerNorm(6, bias=False)), 3, 0),
    "neither": (lambda: ChannelsLast(nn.LayerNorm(6, elementwise_affine=False, eps=1e-3)), 2, 0),
}
EACH_MODEL = pytest.mark.parametrize("name", MODELS)
SHAPE = (2, 6, 8, 7)


def case(name, dtype=torch.float32):
    return filled(MODELS[name][0](), dtype), 0.7 * noise(*SHAPE, dtype=dtype) + 0.5


@EACH_MODEL
def test_fires(name):
    model, x = case(name)
    done = rewrite(RULE, model, x)
    assert len(done.report.sites) == 1
    assert done.report.skips == ()
    assert (count(done.before, LAYER_NORM), count(done.before, PERMUTE)) == (1, 2)
    assert (count(done.after, LAYER_NORM), count(done.after, PERMUTE)) == (0, 0)
    assert (count(done.after, CONV), count(done.after, RSQRT)) == (2, 1)
    assert (count(done.after, MUL), count(done.after, ADD)) == MODELS[name][1:]


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


def test_two_norms_have_weights_of_their_own():
    model = filled(nn.Sequential(LayerNorm2d(6), nn.Conv2d(6, 4, 3), LayerNorm2d(4, eps=0.1)))
    done = rewrite(RULE, model, noise(*SHAPE))
    assert done.report.sites == ("0", "2")
    assert count(done.after, CONV) == 5
    assert_same_numbers(done, noise(*SHAPE, seed=1), tolerance=1e-5)


class Otherwise(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.norm, self.use = nn.LayerNorm(6), forward

    def forward(self, x):
        return self.use(self.norm, x)


def read_before_turning_back(norm, x):
    y = norm(x.permute(0, 2, 3, 1))
    return y.permute(0, 3, 1, 2), y.mean(dim=(1, 2))


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.LayerNorm(6), (2, 5, 6)),
        (Otherwise(lambda norm, x: norm(x.permute(0, 2, 3, 1))), SHAPE),
        (Otherwise(lambda norm, x: norm(x).permute(0, 3, 1, 2)), (2, 8, 7, 6)),
        (Otherwise(lambda norm, x: norm(x.permute(0, 3, 2, 1)).permute(0, 3, 1, 2)), SHAPE),
        (Otherwise(lambda norm, x: norm(x.permute(0, 2, 3, 1)).permute(0, 3, 2, 1)), SHAPE),
        (Otherwise(read_before_turning_back), SHAPE),
        (Otherwise(lambda norm, x: F.layer_norm(x.permute(0, 2, 3, 1), (6,), norm.weight.exp()).permute(0, 3, 1, 2)), SHAPE),
        (ChannelsLast(nn.LayerNorm((7, 6))), SHAPE),
        (nn.GroupNorm(2, 6), SHAPE),
    ],
    ids=[
        "tokens",
        "not turned back",
        "not turned",
        "turned otherwise",
        "turned back otherwise",
        "read before",
        "computed scale",
        "two axes",
        "group norm",
    ],
)
def test_leaves_others_alone(model, shape):
    done = rewrite(RULE, filled(model), noise(*shape))
    assert_untouched(done)
    assert done.report.skips == ()
