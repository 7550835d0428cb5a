"""How many distinct scores are beyond an order statistic: against PyTorch, on scores in any order."""

import pytest
import torch

from edgekit.masks.thresholds import Threshold, quantile_threshold

COMPARISONS = {"gt": torch.gt, "ge": torch.ge, "lt": torch.lt, "le": torch.le}
SIZES = (1, 2, 3, 4, 5, 9, 16, 49, 196)
QUANTILES = (0.0, 0.1, 0.2, 0.25, 1 / 3, 0.5, 0.6, 0.75, 0.9, 0.99, 1.0)
INTERPOLATIONS = ("linear", "lower", "higher", "nearest", "midpoint")


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_counted_is_what_is_kept(interpolation, dtype):
    generator = torch.Generator().manual_seed(0)
    told = 0
    for count in SIZES:
        for q in QUANTILES:
            threshold = quantile_threshold(count, q, interpolation)
            for name, compare in COMPARISONS.items():
                kept = None if threshold is None else threshold.kept(name)
                if kept is None:
                    continue
                told += 1
                for _ in range(5):
                    scores = torch.randperm(count, generator=generator).to(dtype) * 0.37 - 3
                    found = compare(scores, torch.quantile(scores, q, interpolation=interpolation)).sum()
                    assert found == kept, (count, q, name)
    assert told >= 0.8 * len(SIZES) * len(QUANTILES) * len(COMPARISONS)


def test_a_percentile_on_a_score_but_for_rounding_is_not_counted():
    assert quantile_threshold(101, 0.29, "linear") is None  # 28.999999999999996
    assert quantile_threshold(101, 0.29, "lower") is None
    assert quantile_threshold(101, 0.29, "nearest") == Threshold(101, 29, exact=True)


def test_a_hair_above_a_score_only_says_what_is_above():
    assert 10 * 0.3 == 3.0
    assert 30 * 0.1 == 3.0
    threshold = quantile_threshold(11, 0.7 + 1e-9, "linear")
    assert threshold == Threshold(11, 7, exact=None)
    assert (threshold.kept("gt"), threshold.kept("le"), threshold.kept("ge"), threshold.kept("lt")) == (3, 8, None, None)


def test_an_exact_half_is_rounded_to_the_even_score():
    assert quantile_threshold(6, 0.5, "nearest") == Threshold(6, 2, exact=True)
    assert quantile_threshold(8, 0.5, "nearest") == Threshold(8, 4, exact=True)
    assert quantile_threshold(8, 0.5 + 1e-9, "nearest") is None
