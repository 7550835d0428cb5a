"""The range of a value: the least squared error of 256 levels, whatever the order of the samples."""

import numpy as np
import pytest

from edgekit.quantization.ranges import Histogram


def seen(*samples):
    histogram = Histogram()
    for sample in samples:
        histogram.add(np.asarray(sample, dtype=np.float32))
    return histogram


def error(values, low, high):
    scale = (high - low) / 255
    zero = round(-low / scale)
    return ((np.clip(np.round(values / scale) + zero, 0, 255) - zero) * scale - values).std()


def test_all_of_an_even_spread_is_kept():
    low, high = seen(np.linspace(-1, 3, 5000)).range()
    assert low == pytest.approx(-1, abs=0.02)
    assert high == pytest.approx(3, abs=0.04)


def test_a_long_tail_does_not_coarsen_all_others():
    rng = np.random.default_rng(0)
    samples = [rng.laplace(size=16_000).astype(np.float32) for _ in range(30)]
    histogram, values = seen(*samples), np.concatenate(samples)
    low, high = histogram.range()
    assert high < 0.95 * histogram.high
    assert error(values, low, high) < 0.95 * error(values, histogram.low, histogram.high)


def test_the_order_of_the_samples_does_not_matter():
    rng = np.random.default_rng(1)
    samples = [rng.normal(size=3000) * scale for scale in (0.001, 1, 30, 0.5)]
    assert seen(*samples).range() == seen(*reversed(samples)).range()


def test_zero_is_always_inside():
    assert seen([2.0, 3.0]).range()[0] == 0
    assert seen([-3.0, -2.0]).range()[1] == 0
    assert seen(np.zeros(5)).range() == (0.0, 0.0)


def test_what_is_no_number_is_left_out():
    assert seen([np.nan, np.inf, 1.0, -1.0]).range() == seen([1.0, -1.0]).range()


def test_extremes_between_the_counted_values_are_seen():
    values = np.zeros(1 << 16)
    values[12_345] = 7.0
    histogram = seen(values)
    assert (histogram.low, histogram.high) == (0.0, 7.0)
    assert histogram.range()[1] == pytest.approx(7, abs=0.1)
