"""Batch normalisation, then convolutions without padding: only the convolutions."""

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

from edgekit.rewrites.fold_batch_norm_forward import FoldBatchNormForward

RULE = FoldBatchNormForward()


class TwoReaders(nn.Module):
    """The usual attention layout: one norm, several projections of it."""

    def __init__(self):
        super().__init__()
        self.bn, self.q, self.k = nn.BatchNorm2d(4), nn.Conv2d(4, 6, 1), nn.Conv2d(4, 6, 3, bias=False)

    def forward(self, x):
        normed = self.bn(x)
        return self.q(normed), self.k(normed)


MODELS = {
    "pointwise": (lambda: nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 1)), (2, 4, 8, 9), 1),
    "no bias": (lambda: nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 1, bias=False)), (2, 4, 8, 9), 1),
    "patches, grouped": (lambda: nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, 2, groups=2)), (2, 4, 8, 9), 1),
    "depth-wise": (lambda: nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 8, 3, groups=4)), (2, 4, 8, 9), 1),
    "no affine": (lambda: nn.Sequential(nn.BatchNorm2d(4, affine=False, eps=0.3), nn.Conv2d(4, 6, 2)), (2, 4, 8, 9), 1),
    "linear": (lambda: nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 6)), (3, 4), 1),
    "two readers": (TwoReaders, (2, 4, 8, 9), 2),
}
EACH_MODEL = pytest.mark.parametrize("name", MODELS)


def case(name, dtype=torch.float32):
    make, shape, _ = MODELS[name]
    return filled(make(), dtype), noise(*shape, dtype=dtype)


@EACH_MODEL
def test_fires(name):
    model, x = case(name)
    done = rewrite(RULE, model, x)
    assert done.report.sites == ("bn" if name == "two readers" else "0",)
    assert done.report.skips == ()
    assert count(done.before, BATCH_NORM) == 1
    assert count(done.after, BATCH_NORM) == 0
    assert count(done.after, CONV) + count(done.after, LINEAR) == MODELS[name][2]


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


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU()),
        nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 1)),
        nn.Sequential(nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 6, 1)),
    ],
    ids=["no reader folds", "relu between", "transposed"],
)
def test_leaves_others_alone(model):
    done = rewrite(RULE, filled(model), noise(1, 4, 8, 8))
    assert_untouched(done)
    assert done.report.skips == ()


class ReadByResidual(nn.Module):
    def __init__(self):
        super().__init__()
        self.bn, self.conv = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        normed = self.bn(x)
        return self.conv(normed) + normed


class ReturnsBoth(ReadByResidual):
    def forward(self, x):
        normed = self.bn(x)
        return self.conv(normed), normed


class OneReaderPads(TwoReaders):
    def __init__(self):
        super().__init__()
        self.k = nn.Conv2d(4, 6, 3, padding=1)


class ComputedWeight(nn.Module):
    def __init__(self):
        super().__init__()
        self.bn, self.weight = nn.BatchNorm2d(4), nn.Parameter(torch.zeros(6, 4, 1, 1))

    def forward(self, x):
        return F.conv2d(self.bn(x), torch.tanh(self.weight))


class ComputedShift(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.raw = nn.Conv2d(4, 6, 1), nn.BatchNorm2d(4), nn.Parameter(torch.zeros(4))

    def forward(self, x):
        return self.conv(F.batch_norm(x, self.bn.running_mean, self.bn.running_var, self.bn.weight, self.raw.sin()))


@pytest.mark.parametrize(
    ("model", "site", "words"),
    [
        (ReadByResidual(), "bn", ["add", "no convolution"]),
        (ReturnsBoth(), "bn", ["output", "no convolution"]),
        (nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, padding=1)), "0", ["1.weight", "pads with zeros", "border"]),
        (nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, padding=(0, 1))), "0", ["1.weight", "pads with zeros"]),
        (OneReaderPads(), "bn", ["k.weight", "pads with zeros"]),
        (ComputedWeight(), "bn", ["weight", "computed while the model runs"]),
        (ComputedShift(), "batch_norm", ["scale or shift", "computed while the model runs"]),
        (nn.Sequential(nn.BatchNorm2d(4, track_running_stats=False), nn.Conv2d(4, 6, 1)), "0", ["training mode"]),
    ],
    ids=["residual", "returned", "padded", "padded columns", "one pads", "computed weight", "computed shift", "batch statistics"],
)
def test_refusals(model, site, words):
    done = rewrite(RULE, filled(model), noise(2, 4, 8, 8))
    assert_untouched(done)
    (skip,) = done.report.skips
    assert skip.site == site
    for word in words:
        assert word in skip.reason


@pytest.mark.parametrize("shape", [(2, 4, 4), (2, 4, 5, 4)])
def test_a_linear_layer_over_another_axis_than_the_channels_is_refused(shape):
    norm = nn.BatchNorm1d(4) if len(shape) == 3 else nn.BatchNorm2d(4)
    done = rewrite(RULE, filled(nn.Sequential(norm, nn.Linear(4, 6))), noise(*shape))
    assert_untouched(done)
    assert "1.weight" in done.reasons[0]
    assert "other axis" in done.reasons[0]


NORMS = [nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 1)]


@pytest.mark.parametrize("norms", [2, 3])
@PRECISIONS
def test_norms_in_a_row_all_fold_in_one_run(norms, dtype, tolerance):
    model, x = filled(nn.Sequential(*NORMS[-norms - 1 :]), dtype), noise(2, 4, 8, 9, dtype=dtype)
    done = rewrite(RULE, model, x)
    assert done.report.sites == tuple(str(norm) for norm in reversed(range(norms)))
    assert done.report.skips == ()
    assert (count(done.after, BATCH_NORM), count(done.after, CONV)) == (0, 1)
    assert_same_numbers(done, noise(*x.shape, dtype=dtype, seed=1), tolerance=tolerance)
    assert_settled(RULE, done, x)


class Forked(nn.Module):
    """A norm that a convolution reads, and another norm with a convolution: the first waits for the second."""

    def __init__(self):
        super().__init__()
        self.outer, self.inner, self.a, self.b = nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 1), nn.Conv2d(4, 6, 1)

    def forward(self, x):
        normed = self.outer(x)
        return self.a(normed) + self.b(self.inner(normed))


def test_a_refusal_that_another_site_lifts_is_not_reported():
    x = noise(2, 4, 8, 9)
    done = rewrite(RULE, filled(Forked()), x)
    assert done.report.sites == ("inner", "outer")
    assert done.report.skips == ()
    assert count(done.after, BATCH_NORM) == 0
    assert_settled(RULE, done, x)
