"""A linear layer on a mean over rows and columns: a 1x1 convolution."""

import pytest
import torch
from rewriting import assert_same_numbers, assert_settled, assert_untouched, count, filled, interface, noise, rewrite
from torch import nn

from edgekit.rewrites.convolution import CONV, LINEAR
from edgekit.rewrites.linear_as_conv import LinearAsConv

RULE = LinearAsConv()
SHAPE = (2, 6, 4, 5)


class Head(nn.Module):
    """Channels second, or last behind a norm over them."""

    def __init__(self, axes=(2, 3), *, bias=True, norm=False, **options):
        super().__init__()
        self.axes, self.options = axes, options
        self.norm = nn.LayerNorm(6) if norm else None
        self.head = nn.Linear(6, 3, bias=bias)

    def forward(self, x):
        if self.norm is not None:
            x = self.norm(x.permute(0, 2, 3, 1))
        return self.head(x.mean(self.axes, **self.options))


CASES = {
    "channels second": lambda: filled(Head()),
    "counted from the end": lambda: filled(Head((-1, -2))),
    "without bias": lambda: filled(Head(bias=False)),
    "channels last": lambda: filled(Head((1, 2), norm=True)),
}
EACH_CASE = pytest.mark.parametrize("name", CASES)


@EACH_CASE
def test_fires_with_the_same_numbers(name):
    done = rewrite(RULE, CASES[name](), noise(*SHAPE))
    assert (len(done.report.sites), done.report.skips) == (1, ())
    assert (count(done.after, LINEAR), count(done.after, CONV)) == (0, 1)
    assert_same_numbers(done, noise(*SHAPE, seed=1), tolerance=1e-6)


@EACH_CASE
def test_second_run_changes_nothing(name):
    assert_settled(RULE, rewrite(RULE, CASES[name](), noise(*SHAPE)), noise(*SHAPE))


@EACH_CASE
def test_names_shapes_dtypes_unchanged(name):
    done = rewrite(RULE, CASES[name](), noise(*SHAPE))
    assert interface(done.after) == interface(done.before)


class Computed(Head):
    def forward(self, x):
        return nn.functional.linear(x.mean((2, 3)), self.head.weight * x.sum(), None)


class Shared(Head):
    def forward(self, x):
        mean = x.mean((2, 3))
        return self.head(mean), mean


@pytest.mark.parametrize(
    ("model", "shape", "reason"),
    [
        (lambda: Head((1, 3)), (2, 4, 6, 5), "a mean over axes [1, 3]"),
        (lambda: Head(dtype=torch.float32), SHAPE, "in a type of its own"),
        (Computed, SHAPE, "computed while the model runs"),
        (Shared, SHAPE, "read elsewhere"),
    ],
)
def test_refusals(model, shape, reason):
    done = rewrite(RULE, filled(model()), noise(*shape))
    assert_untouched(done)
    (found,) = done.reasons
    assert reason in found


@pytest.mark.parametrize(("model", "shape"), [(nn.Linear(6, 3), (2, 6)), (Head((1,)), (2, 4, 6)), (Head((2, 3), keepdim=True), (2, 4, 4, 6))])
def test_leaves_others_alone(model, shape):
    if isinstance(model, Head) and model.options:
        model.head = nn.Linear(1, 3)
    done = rewrite(RULE, model, noise(*shape))
    assert_untouched(done)
    assert done.report.skips == ()
