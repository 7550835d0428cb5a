"""Two convolutions in a row, the second pointwise: one convolution."""

import pytest
import torch
from rewriting import CONV, PRECISIONS, assert_same_numbers, assert_settled, assert_untouched, count, filled, interface, noise, rewrite
from torch import nn
from torch.nn import functional as F

from edgekit.rewrites.merge_projections import MergeProjections

RULE = MergeProjections()

PAIRS = {
    "padded, then pointwise": lambda: [nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 1)],
    "strided, no first bias": lambda: [nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.Conv2d(8, 4, 1)],
    "dilated, no second bias": lambda: [nn.Conv2d(3, 8, 3, dilation=2), nn.Conv2d(8, 4, 1, bias=False)],
    "pointwise, then pointwise": lambda: [nn.Conv2d(3, 8, 1), nn.Conv2d(8, 6, 1)],
    "no bias": lambda: [nn.Conv2d(3, 8, (1, 3), bias=False), nn.Conv2d(8, 4, 1, bias=False)],
}
EACH_PAIR = pytest.mark.parametrize("name", PAIRS)
SHAPE = (2, 3, 8, 9)


def case(name, dtype=torch.float32):
    return filled(nn.Sequential(*PAIRS[name]()), dtype), noise(*SHAPE, dtype=dtype)


@EACH_PAIR
def test_fires(name):
    model, x = case(name)
    done = rewrite(RULE, model, x)
    assert done.report.sites == ("1",)
    assert done.report.skips == ()
    assert count(done.before, CONV) == 2
    assert count(done.after, CONV) == 1


@EACH_PAIR
@PRECISIONS
def test_same_numbers(name, dtype, tolerance):
    model, x = case(name, dtype)
    done = rewrite(RULE, model, x)
    assert done.report.sites
    assert done.report.max_error <= tolerance
    assert_same_numbers(done, noise(*SHAPE, dtype=dtype, seed=1), tolerance=tolerance)


@EACH_PAIR
def test_second_run_changes_nothing(name):
    model, x = case(name)
    assert_settled(RULE, rewrite(RULE, model, x), x)


@EACH_PAIR
def test_names_shapes_dtypes_unchanged(name):
    model, x = case(name)
    done = rewrite(RULE, model, x)
    assert done.report.sites
    assert interface(done.after) == interface(done.before)


def test_three_in_a_row_become_one():
    model = filled(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 1), nn.Conv2d(6, 4, 1)))
    done = rewrite(RULE, model, noise(*SHAPE))
    assert done.report.sites == ("1", "2")
    assert count(done.after, CONV) == 1
    assert_same_numbers(done, noise(*SHAPE, seed=1), tolerance=1e-5)


def test_no_bias_stays_no_bias():
    model, x = case("no bias")
    after = rewrite(RULE, model, x).after
    (conv,) = (node for node in after.graph.nodes if node.target == CONV)
    assert conv.args[2] is None
    assert [tuple(value.shape) for value in after.state_dict.values()] == [(4, 3, 1, 3)]


class ComputedSecond(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.weight = nn.Conv2d(3, 8, 1), nn.Parameter(torch.zeros(4, 8, 1, 1))

    def forward(self, x):
        return F.conv2d(self.first(x), torch.tanh(self.weight))


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1)),
        nn.Sequential(nn.ConvTranspose2d(3, 8, 3), nn.Conv2d(8, 4, 1)),
        nn.Sequential(nn.Linear(9, 8), nn.Linear(8, 2)),
        ComputedSecond(),
    ],
    ids=["relu between", "transposed", "linear", "second computed"],
)
def test_leaves_others_alone(model):
    done = rewrite(RULE, filled(model), noise(*SHAPE))
    assert_untouched(done)
    assert done.report.skips == ()


class ReadTwice(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        y = self.first(x)
        return y + self.second(y)


class ReadByTwo(ReadTwice):
    def forward(self, x):
        y = self.first(x)
        return self.second(y) * F.conv2d(y, self.second.weight).sigmoid()


class ComputedFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.second = nn.Parameter(torch.zeros(8, 3, 1, 1)), nn.Conv2d(8, 4, 1)

    def forward(self, x):
        return self.second(F.conv2d(x, torch.tanh(self.weight)))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)), ["1.weight", "no plain 1x1"]),
        (nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1, stride=2)), ["1.weight", "no plain 1x1"]),
        (nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1, padding=1)), ["1.weight", "no plain 1x1"]),
        (nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1, groups=2)), ["1.weight", "no plain 1x1"]),
        (nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.Conv2d(6, 4, 1)), ["0.weight", "grouped", "cost more"]),
        (ReadTwice(), ["first.weight", "read elsewhere"]),
        (ComputedFirst(), ["weight", "computed while the model runs"]),
        # 3x3 to 2 channels, then widened to 64: 18 * 3 + 64 * 2 values against 64 * 27.
        (nn.Sequential(nn.Conv2d(3, 2, 3), nn.Conv2d(2, 64, 1)), ["1728", "182"]),
    ],
    ids=["3x3", "strided", "padded", "grouped second", "grouped first", "read", "computed", "bottleneck"],
)
def test_refusals(model, words):
    done = rewrite(RULE, filled(model), noise(*SHAPE))
    assert_untouched(done)
    (skip,) = done.report.skips
    assert skip.site in ("1", "second")
    for word in words:
        assert word in skip.reason


def test_read_by_two_convolutions_is_refused_for_both():
    done = rewrite(RULE, filled(ReadByTwo()), noise(*SHAPE))
    assert_untouched(done)
    assert len(done.report.skips) == 2
    assert all("read elsewhere" in reason for reason in done.reasons)
