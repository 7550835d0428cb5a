"""Convolution, then batch normalisation: one convolution."""

import pytest
import torch
from rewriting import (
    BATCH_NORM,
    CONV,
    LINEAR,
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

from edgekit.rewrites.fold_batch_norm import FoldBatchNorm

RULE = FoldBatchNorm()

MODELS = {
    "padded": (lambda: nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)), (2, 3, 9, 8)),
    "no bias": (lambda: nn.Sequential(nn.Conv2d(3, 6, 1, bias=False), nn.BatchNorm2d(6)), (2, 3, 9, 8)),
    "grouped, strided, dilated": (lambda: nn.Sequential(nn.Conv2d(4, 6, 3, 2, 2, 2, groups=2), nn.BatchNorm2d(6)), (1, 4, 9, 8)),
    "depth-wise": (lambda: nn.Sequential(nn.Conv2d(4, 4, 5, padding=2, groups=4, bias=False), nn.BatchNorm2d(4)), (1, 4, 9, 8)),
    "no affine": (lambda: nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, affine=False)), (1, 3, 9, 8)),
    "large eps": (lambda: nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, eps=0.5)), (1, 3, 9, 8)),
    "linear": (lambda: nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7)), (4, 5)),
    "linear, no bias": (lambda: nn.Sequential(nn.Linear(5, 7, bias=False), nn.BatchNorm1d(7)), (4, 5)),
}
EACH_MODEL = pytest.mark.parametrize("name", MODELS)


def case(name, dtype=torch.float32):
    make, shape = MODELS[name]
    return filled(make(), dtype), noise(*shape, dtype=dtype)


@EACH_MODEL
def test_fires(name):
    model, x = case(name)
    done = rewrite(RULE, model, x)
    assert done.report.sites == ("1",)
    assert done.report.skips == ()
    assert count(done.before, BATCH_NORM) == 1
    assert count(done.after, BATCH_NORM) == 0
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


def test_folds_every_pair_and_two_normalisations_in_a_row():
    model = filled(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5)),
    )
    done = rewrite(RULE, model, noise(1, 3, 8, 8))
    assert done.report.sites == ("1", "2", "5")
    assert count(done.after, BATCH_NORM) == 0
    assert count(done.after, CONV) == 2
    assert_same_numbers(done, noise(1, 3, 8, 8, seed=1), tolerance=1e-5)


def test_one_convolution_before_two_normalisations():
    class Shared(nn.Module):
        """One set of weights, used twice, normalised differently: two convolutions with weights of their own."""

        def __init__(self):
            super().__init__()
            self.conv, self.one, self.two = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

        def forward(self, x):
            return self.one(self.conv(x)) - self.two(self.conv(x.flip(3)))

    done = rewrite(RULE, filled(Shared()), noise(1, 3, 8, 8))
    assert done.report.sites == ("one", "two")
    assert len({name for name in done.after.state_dict if "weight" in name}) == 2
    assert_same_numbers(done, noise(1, 3, 8, 8, seed=1), tolerance=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)),
        nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1)),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)),
        nn.Sequential(nn.ConvTranspose2d(3, 4, 3), nn.BatchNorm2d(4)),
    ],
    ids=["relu between", "normalised first", "group norm", "transposed"],
)
def test_leaves_others_alone(model):
    done = rewrite(RULE, filled(model), noise(1, 3, 8, 8))
    assert_untouched(done)
    assert done.report.skips == ()


class ComputedWeight(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.bn = nn.Parameter(torch.zeros(4, 3, 1, 1)), nn.BatchNorm2d(4)

    def forward(self, x):
        return self.bn(F.conv2d(x, torch.tanh(self.weight)))


class ComputedScale(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.log, self.bn = nn.Conv2d(3, 4, 1), nn.Parameter(torch.zeros(4)), nn.BatchNorm2d(4)

    def forward(self, x):
        return F.batch_norm(self.conv(x), self.bn.running_mean, self.bn.running_var, self.log.exp(), self.bn.bias)


class ComputedStatistics(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        y = self.conv(x)
        return F.batch_norm(y, x.mean(dim=(0, 2, 3)).sum().expand(4), y.square().mean(dim=(0, 2, 3)))


class ReadTwice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.conv(x)
        return y + self.bn(y)


class ReturnsBoth(ReadTwice):
    def forward(self, x):
        y = self.conv(x)
        return self.bn(y), y


@pytest.mark.parametrize(
    ("model", "site", "words"),
    [
        (ComputedWeight(), "bn", ["weight", "computed while the model runs"]),
        (ComputedScale(), "batch_norm", ["scale or shift", "computed while the model runs"]),
        (ComputedStatistics(), "batch_norm", ["running statistics"]),
        (ReadTwice(), "bn", ["conv.weight", "also read without the normalisation", "computed twice"]),
        (ReturnsBoth(), "bn", ["conv.weight", "also read without the normalisation"]),
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)), "1", ["training mode", "batch"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_refusals(model, site, words):
    done = rewrite(RULE, filled(model), noise(2, 3, 8, 8))
    assert_untouched(done)
    (skip,) = done.report.skips
    assert skip.site == site
    for word in words:
        assert word in skip.reason


def test_training_mode_is_refused():
    model = filled(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))).train()
    done = rewrite(RULE, model, noise(2, 3, 8, 8))
    assert_untouched(done)
    assert "training mode" in done.reasons[0]


def test_a_norm_over_tokens_behind_a_linear_layer_is_refused():
    # On (B, 6, features) batch norm takes the 6 tokens for its channels, the linear layer maps the features.
    model = filled(nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6)))
    done = rewrite(RULE, model, noise(2, 6, 5))
    assert_untouched(done)
    assert "other axis" in done.reasons[0]
