"""What is said of samples."""

import numpy as np
import pytest

from edgekit.bench.machine import is_noisy, spread_of
from edgekit.bench.statistics import has_settled, percentile, ratio_of


def test_percentiles_are_those_of_numpy():
    samples = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert (percentile(samples, 50), percentile(samples, 0), percentile(samples, 100)) == (3.0, 1.0, 5.0)


@pytest.mark.parametrize(
    ("samples", "settled"),
    [
        ([1.0] * 9, False),  # too few to say
        ([1.0] * 10, True),
        ([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], False),  # getting faster
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], True),  # slower is no reason to wait on
        ([1.0] * 5 + [0.97] * 5, False),
        ([1.0] * 5 + [0.985] * 5, True),
    ],
)
def test_warm_up_lasts_until_nothing_gets_faster(samples, settled):
    assert has_settled(samples) is settled


def test_a_ratio_has_an_interval_that_holds_it():
    draw = np.random.default_rng(1)
    base = draw.normal(10, 0.1, 40)
    ratio = ratio_of(list(base * 0.8 + draw.normal(0, 0.05, 40)), list(base))
    assert ratio.value == pytest.approx(0.8, abs=0.01)
    assert ratio.low <= ratio.value <= ratio.high
    assert ratio.high - ratio.low < 0.02
    assert ratio.differs


def test_equal_variants_do_not_differ():
    draw = np.random.default_rng(2)
    assert not ratio_of(list(draw.normal(10, 1, 40)), list(draw.normal(10, 1, 40))).differs


def test_the_same_samples_give_the_same_interval():
    samples = [list(np.random.default_rng(seed).normal(10, 1, 20)) for seed in (3, 4)]
    assert ratio_of(*samples) == ratio_of(*samples)


def test_what_disturbs_a_round_disturbs_its_ratio_little():
    slow = np.where(np.arange(40) % 4 == 0, 5.0, 1.0)  # every fourth round takes five times as long, for both
    ratio = ratio_of(list(8 * slow), list(10 * slow))
    assert (ratio.low, ratio.high) == (pytest.approx(0.8), pytest.approx(0.8))


def test_a_machine_is_noisy_where_the_slowest_tenth_takes_a_quarter_longer():
    steady, busy = [1.0] * 40, [1.0] * 34 + [1.3] * 6
    assert (spread_of(steady), is_noisy(steady)) == (1.0, False)
    assert (spread_of(busy), is_noisy(busy)) == (1.3, True)
