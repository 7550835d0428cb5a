"""A quantile along a static axis: its neighbours by counting, without a sort."""

import pytest
import torch
from rewriting import PRECISIONS, assert_settled, assert_untouched, count, noise, rewrite
from torch import nn

from edgekit.rewrites.quantile_by_counting import QuantileByCounting

EACH = pytest.mark.parametrize("rule", [QuantileByCounting(), QuantileByCounting(compare=True)], ids=lambda rule: rule.name)
QUANTILES = (torch.ops.aten.quantile.scalar, torch.ops.aten.quantile.default)


class Quantile(nn.Module):
    def __init__(self, *args, **kwargs):
        super().__init__()
        self.args, self.kwargs = args, kwargs

    def forward(self, x):
        return torch.quantile(x, *self.args, **self.kwargs)


def left(done):
    return sum(count(done.after, op) for op in QUANTILES)


@EACH
@PRECISIONS
@pytest.mark.parametrize("q", [0.0, 0.1, 0.25, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("interpolation", ["linear", "lower", "higher", "nearest", "midpoint"])
def test_same_numbers(rule, dtype, tolerance, q, interpolation):
    model = Quantile(q, dim=-1, keepdim=True, interpolation=interpolation)
    done = rewrite(rule, model, noise(3, 15, dtype=dtype))
    assert (len(done.report.sites), left(done)) == (1, 0)
    other = noise(3, 15, dtype=dtype, seed=1)
    # The values found are bits of the input; only the interpolation rounds.
    assert (done.after.module()(other) - model(other)).abs().max() <= (tolerance if interpolation in ("linear", "midpoint") else 0)


@EACH
@pytest.mark.parametrize(
    "model",
    [
        Quantile(0.3),
        Quantile(0.3, dim=1),
        Quantile(0.3, dim=0, keepdim=True),
        Quantile(0.3, dim=-2),
        Quantile(torch.tensor(0.3), dim=2),
        Quantile(torch.tensor([0.25, 0.5, 0.9]), dim=1),
        Quantile(torch.tensor([0.25, 0.5]), dim=2, keepdim=True),
    ],
)
def test_every_axis_and_several_quantiles(rule, model):
    done = rewrite(rule, model, noise(2, 5, 7))
    other = noise(2, 5, 7, seed=1)
    assert left(done) == 0
    assert done.after.module()(other).shape == model(other).shape
    assert torch.allclose(done.after.module()(other), model(other), rtol=0, atol=1e-6)


@EACH
def test_ties_are_exact(rule):
    model = Quantile(0.4, dim=1)
    done = rewrite(rule, model, noise(1, 6))
    for values in ([1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 2, 2], [3, 3, 0, 0, 3, 3], [5e-8, 0, 0, -5e-8, 1e4, -1e4]):
        x = torch.tensor([values], dtype=torch.float32)
        assert torch.equal(done.after.module()(x), model(x))


@pytest.mark.parametrize("values", [[1e30, -1e30, 3e37, 0.0, 1e-20]])
@EACH
def test_very_large_and_small_values(rule, values):
    model = Quantile(0.5, dim=1)
    done = rewrite(rule, model, noise(1, 5))
    x = torch.tensor([values])
    assert torch.equal(done.after.module()(x), model(x))


def test_a_nan_stays_one():
    done = rewrite(QuantileByCounting(), Quantile(0.4, dim=1), noise(2, 6))
    x = noise(2, 6, seed=1)
    x[0, 3] = float("nan")
    assert done.after.module()(x).isnan().tolist() == [True, False]


def test_one_value():
    done = rewrite(QuantileByCounting(), Quantile(0.4, dim=1), noise(2, 1))
    x = noise(2, 1, seed=1)
    assert torch.equal(done.after.module()(x), x[:, 0])


@EACH
def test_nothing_the_size_of_all_pairs_is_stored(rule):
    done = rewrite(rule, Quantile(0.4, dim=1), noise(1, 100))
    stored = [value.numel() for value in (*done.after.state_dict.values(), *done.after.constants.values())]
    assert max(stored) == 100


@EACH
def test_second_run_changes_nothing(rule):
    x = noise(2, 6)
    assert_settled(rule, rewrite(rule, Quantile(0.4, dim=1), x), x)


def test_a_long_axis_is_refused():
    done = rewrite(QuantileByCounting(), Quantile(0.4, dim=1), noise(1, 1025))
    assert_untouched(done)
    assert done.reasons == ["it is taken of 1025 values, and counting would compare 1025 x 1025 pairs; up to 1024 it is done"]


def test_a_quantile_computed_at_run_time_is_refused():
    class Computed(nn.Module):
        def forward(self, x):
            return torch.quantile(x, x.mean().sigmoid(), dim=1)

    done = rewrite(QuantileByCounting(), Computed(), noise(1, 9))
    assert_untouched(done)
    assert done.reasons == ["which quantile it is, is computed while the model runs; only a constant one has a static form"]


def test_leaves_other_statistics_alone():
    class Others(nn.Module):
        def forward(self, x):
            return x.mean(1) + x.amax(1)

    done = rewrite(QuantileByCounting(), Others(), noise(1, 9))
    assert_untouched(done)
    assert done.reasons == []
