"""The mask above a percentile: how many it keeps, and what happens at every edge."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import UsageError
from edgekit.ops.percentile_selection import PercentileSelection, kept_count


def distinct(n: int, seed: int = 0) -> torch.Tensor:
    """Scores far apart, in no order."""
    return torch.linspace(0.01, 0.99, max(n, 1))[torch.randperm(n, generator=torch.Generator().manual_seed(seed))]


@settings(max_examples=300, deadline=None)
@given(regions=st.integers(1, 400), beta=st.one_of(st.floats(0.001, 1), st.integers(0, 100).map(lambda percent: percent / 100)))
def test_keeps_the_highest_and_as_many_as_the_formula(regions, beta):
    try:
        count = kept_count(regions, beta)
    except UsageError:
        position = (regions - 1) * beta
        assert abs(position - round(position)) < 1e-3
        return
    assert count == (regions if beta == 0 else regions - 1 - math.floor(round((regions - 1) * beta, 4)))
    scores = distinct(regions, seed=regions)
    mask = PercentileSelection(beta)(scores[None])[0]
    assert set(mask.nonzero().flatten().tolist()) == set(scores.topk(count).indices.tolist())


def test_the_counts_of_the_paper():
    assert [kept_count(196, beta) for beta in (0, 0.25, 0.5, 0.75)] == [196, 147, 98, 49]
    assert [kept_count(147, 1 / 3), kept_count(98, 0.5)] == [98, 49]


def test_a_small_case_by_hand():
    """The 0.4-quantile of 1, 2, 3, 4 lies at position 1.2: 2.2."""
    mask = PercentileSelection(0.4)(torch.tensor([[3.0, 1.0, 2.0, 4.0], [10.0, 20.0, 40.0, 30.0]]))
    assert mask.tolist() == [[True, False, False, True], [False, False, True, True]]


@pytest.mark.parametrize(("beta", "kept"), [(0, 5), (1e-9, 4), (0.25, 3), (1, 0)])
def test_the_ends_of_the_range(beta, kept):
    assert int(PercentileSelection(beta)(distinct(5)[None]).sum()) == kept == kept_count(5, beta)


@pytest.mark.parametrize(("beta", "kept"), [(0, 1), (0.5, 0), (1, 0)])
def test_one_region_is_its_own_percentile(beta, kept):
    assert int(PercentileSelection(beta)(torch.tensor([[0.3]])).sum()) == kept == kept_count(1, beta)


@pytest.mark.parametrize("beta", [0, 0.5, 1])
def test_no_region(beta):
    mask = PercentileSelection(beta)(torch.empty(2, 0))
    assert mask.shape == (2, 0)
    assert mask.dtype == torch.bool
    assert kept_count(0, beta) == 0


def test_ties_at_the_threshold_go_together():
    """Positions 1.5 of (1, 2, 2, 3): the threshold is 2, and neither 2 is above it; without the tie 2 would be kept."""
    assert PercentileSelection(0.5)(torch.tensor([[2.0, 1.0, 2.0, 3.0]])).tolist() == [[False, False, False, True]]
    assert kept_count(4, 0.5) == 2
    assert not PercentileSelection(0.5)(torch.ones(1, 9)).any()


def test_ties_elsewhere_are_harmless():
    assert int(PercentileSelection(0.5)(torch.tensor([[1.0, 1.0, 2.0, 3.0]])).sum()) == 2
    assert int(PercentileSelection(0.5)(torch.tensor([[1.0, 2.0, 3.0, 3.0]])).sum()) == 2


def test_scores_one_rounding_apart_may_act_as_a_tie():
    upper = torch.nextafter(torch.tensor(0.5), torch.tensor(1.0)).item()
    scores = torch.tensor([[0.5, upper]])
    assert int(PercentileSelection(0.75)(scores).sum()) == 0 != kept_count(2, 0.75)


@pytest.mark.parametrize("nan_at", [0, 3])
def test_a_nan_takes_its_row_and_no_other(nan_at):
    scores = distinct(8).repeat(2, 1)
    scores[0, nan_at] = math.nan
    mask = PercentileSelection(0.5)(scores)
    assert mask.sum(dim=1).tolist() == [0, 4]
    assert PercentileSelection(0)(scores).all()


@pytest.mark.parametrize("beta", [-0.1, 1.0001, 25, math.nan, math.inf])
def test_what_is_no_share_is_refused(beta):
    with pytest.raises(UsageError, match="a percentile is given as a share from 0 to 1"):
        PercentileSelection(beta)
    with pytest.raises(UsageError, match="from 0 to 1"):
        kept_count(4, beta)


def test_a_count_that_hangs_on_rounding_is_refused():
    assert 100 * 0.29 < 29
    with pytest.raises(UsageError, match=r"how many of 101 regions lie above the percentile 0.29 depends on rounding") as caught:
        kept_count(101, 0.29)
    assert "number 29" in caught.value.why
    assert kept_count(101, 0.28) == 72  # 28.000000000000004: beside the score, on the safe side


def test_the_threshold_passes_no_gradient_and_double_works():
    scores = distinct(9).double().requires_grad_()
    mask = PercentileSelection(0.5)(scores[None])
    assert not mask.requires_grad
    assert int(mask.sum()) == 4
    assert str(PercentileSelection(0.5)) == "PercentileSelection(beta=0.5)"
