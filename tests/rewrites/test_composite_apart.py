"""Operators written by others: every spelling gives its operator's values, and what is refused stays as it is."""

import pytest
import torch
from rewriting import assert_settled, assert_untouched, count, interface, noise, relative_error, rewrite
from torch import nn
from torch.nn import functional as F

from edgekit.rewrites.composite_apart import CompositeApart
from edgekit.rewrites.composites import COMPOSITES

EXACT, SUMS = 0.0, 2e-6
"""Values that are moved, and sums of up to a hundred terms in another order."""


RAMP, RAMPS = torch.arange(4.0) + 1, torch.arange(30.0).reshape(5, 6) / 9
KERNEL = torch.arange(4.0 * 2 * 3 * 3).reshape(4, 2, 3, 3).sin()


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


CASES = {
    "take_along_dim": (lambda x: torch.take_along_dim(x, x.argsort(-1)[:1, :, :, :3] - 3, -1), EXACT),
    "channel_shuffle": (lambda x: F.channel_shuffle(x, 2), EXACT),
    "rot90": (lambda x: x.rot90(1, (2, 3)).rot90(2, (1, 3)).rot90(-1, (0, 1)).rot90(4, (0, 1)) * 2, EXACT),
    "circular_pad": (lambda x: F.pad(x, (2, 1, 0, 3), mode="circular"), EXACT),
    "diagonal": (lambda x: torch.cat([x.diagonal(0, 2, 3), x.diagonal(2, 3, -2), x.diagonal(-3, 2, 3)], -1), EXACT),
    "einsum_with_diagonals": (lambda x: torch.einsum("bcqq,bcqk->bk", x[..., :5, :5], x[..., :5, :5]), SUMS),
    "rms_norm": (lambda x: F.rms_norm(x, (5, 6), RAMPS), SUMS),
    "cosine_similarity": (lambda x: F.cosine_similarity(x, x.roll(1, 1), -1), SUMS),
    "batch_statistics": (lambda x: torch.batch_norm(x, RAMP, None, None, None, True, 0.1, 1e-5, False), SUMS),
    "variance": (lambda x: torch.var(x, (2, -1), correction=0), SUMS),
    "deviation": (lambda x: torch.std(x, (0, 1), correction=3, keepdim=True), SUMS),
    "unbiased_variance": (lambda x: x.var([1], True, True), SUMS),
    "unbiased_deviation": (lambda x: x.std([1], False), SUMS),
    "cdist": (lambda x: torch.cdist(x, x + 1), SUMS),
    "celu": (lambda x: F.celu(x * 9, 0.5), SUMS),
    "elu": (lambda x: F.elu(x * 9, 0.7), SUMS),
    "selu": (lambda x: F.selu(x * 9), SUMS),
    "log_sigmoid": (lambda x: F.logsigmoid(x * 9), SUMS),
    "where_other": (lambda x: torch.where(x > 0, x, -2.0), EXACT),
    "where_self": (lambda x: torch.where(x > 0, 3.0, x), EXACT),
    "argmin": (lambda x: (x * 2).round().argmin(-1, keepdim=True) + x, EXACT),
    "max_values": (lambda x: x.max(3).values + x.max(1, keepdim=True)[0][:, :, :, 0], EXACT),
    "grid_sampler": (
        lambda x: (
            F.grid_sample(x, x[:, 1:3].permute(0, 2, 3, 1) * 1.5, align_corners=False)
            + F.grid_sample(x, x[:, 1:3].permute(0, 2, 3, 1) * 1.5, padding_mode="border", align_corners=True)
        ),
        SUMS,
    ),
    "volume_avg_pool": (lambda x: F.local_response_norm(x, 3), SUMS),
    "adaptive_max_pool": (lambda x: F.adaptive_max_pool2d(x, (3, 4)) * 2, EXACT),
    "padded_transposed_conv": (
        lambda x: F.conv_transpose2d(x, KERNEL, RAMP, stride=(3, 2), padding=(1, 0), output_padding=(2, 1), groups=2),
        SUMS,
    ),
    "ceil_avg_pool": (lambda x: F.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False), SUMS),
}


@pytest.mark.parametrize("name", CASES)
def test_same_values(name):
    function, tolerance = CASES[name]
    rule, x = CompositeApart(name), noise(2, 4, 5, 6)
    done = rewrite(rule, Function(function), x)
    assert len(done.report.sites) == {"rot90": 4, "diagonal": 3, "grid_sampler": 2, "max_values": 2}.get(name, 1), done.reasons
    assert interface(done.after) == interface(done.before)
    other = noise(2, 4, 5, 6, seed=1)
    with torch.no_grad():
        assert relative_error(function(other), done.after.module()(other)) <= tolerance


def test_every_spelling_has_a_case():
    assert CASES.keys() == COMPOSITES.keys()


@pytest.mark.parametrize(
    ("name", "function", "reason"),
    [
        ("circular_pad", lambda x: F.pad(x, (-1, 1, 0, 0), mode="circular"), "it cuts off"),
        ("diagonal", lambda x: x.diagonal(6, 2, 3).sum() + x, "there is nothing on that diagonal"),
        ("einsum_with_diagonals", lambda x: torch.einsum("bchw,bdhw->bcd", x, x), "no factor has an axis twice"),
        ("cdist", lambda x: torch.cdist(x, x, p=1.0), "it measures by powers of 1.0"),
        ("argmin", lambda x: x.long().argmin(-1) + x.sum(-1), "the least whole number has no negative"),
        ("ceil_avg_pool", lambda x: F.avg_pool2d(x, 2, 2), "it does not round up"),
        ("ceil_avg_pool", lambda x: F.avg_pool2d(x, 3, 2, padding=1, ceil_mode=True), "it rounds up with padding of its own"),
        ("volume_avg_pool", lambda x: F.avg_pool3d(x, 2), "it pools rows and columns"),
        ("padded_transposed_conv", lambda x: F.conv_transpose2d(x, KERNEL), "it pads nothing"),
        (
            "grid_sampler",
            lambda x: F.grid_sample(x, x[:, :2].movedim(1, -1), mode="nearest", align_corners=False),
            "it samples a volume",
        ),
        ("variance", lambda x: x.var((0, 1, 2, 3), correction=240) * 0 + x, "it divides by nothing"),
        ("batch_statistics", lambda x: F.batch_norm(x, RAMP, RAMP), "a batch norm with running statistics stays"),
        ("max_values", lambda x: sum(x.max(-1)), "the places of the largest are read"),
        ("adaptive_max_pool", lambda x: F.adaptive_max_pool2d(x, 3, return_indices=True), "the places of the largest are read"),
    ],
)
def test_refusals(name, function, reason):
    done = rewrite(CompositeApart(name), Function(function), noise(2, 4, 5, 6))
    assert_untouched(done)
    assert done.reasons
    assert done.reasons[0].startswith(reason)


def test_other_pads_are_no_sites():
    done = rewrite(CompositeApart("circular_pad"), Function(lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect")), noise(1, 2, 4, 4))
    assert_untouched(done)
    assert not done.reasons


NOT_A_NUMBER = {
    "celu": F.celu,
    "elu": F.elu,
    "where_other": lambda x: torch.where(x > 0, 2 * x, 0.0) + x,
    "argmin": lambda x: x.argmin(-1) + x,
}


@pytest.mark.parametrize("name", NOT_A_NUMBER)
def test_not_a_number_stays(name):
    x, function = torch.tensor([[float("nan"), 1.0, -1.0]]), NOT_A_NUMBER[name]
    done = rewrite(CompositeApart(name), Function(function), noise(1, 3))
    assert done.report.sites
    torch.testing.assert_close(done.after.module()(x), function(x), rtol=1e-6, atol=0, equal_nan=True)


def test_second_run_changes_nothing():
    x = noise(2, 4, 5, 6)
    for name in ("rot90", "argmin"):
        done = rewrite(CompositeApart(name), Function(lambda x: x.rot90(1, (2, 3)).argmin(1)), x)
        assert_settled(CompositeApart(name), done, x)
        assert count(done.after, COMPOSITES["rot90"][0]) == (name != "rot90")
