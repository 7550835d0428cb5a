"""Tables: as good as the best there is, the same each time, and never a number that half precision does not hold."""

import numpy as np
import pytest

from edgekit.quantization.palettes import palettize

WEIGHTS = {
    "normal": np.random.default_rng(0).standard_normal((64, 48)),
    "heavy tails": np.random.default_rng(1).standard_t(3, size=(64, 48)),
    "one side": np.random.default_rng(2).exponential(size=(64, 48)),
    "far out": np.concatenate([np.random.default_rng(3).standard_normal((63, 48)), np.full((1, 48), 60.0)]),
}


def error(weights, palette):
    return float(((weights - palette.values) ** 2).sum())


def best_error(values, entries):
    """The least squared error of any table: dynamic programming over where sorted values are cut."""
    values = np.sort(values.ravel())
    sums, squares = (np.concatenate([[0.0], np.cumsum(values**power)]) for power in (1, 2))
    count = np.arange(len(values) + 1)
    least = np.full(len(values) + 1, np.inf)
    least[0] = 0.0
    for _ in range(entries):
        following = np.full_like(least, np.inf)
        for end in range(1, len(values) + 1):
            inside = sums[end] - sums[:end]
            following[end] = (least[:end] + squares[end] - squares[:end] - inside**2 / (end - count[:end])).min()
        least = following
    return float(least[-1])


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_table_is_within_a_twentieth_of_the_best_there_is(name):
    weights = (WEIGHTS[name][:, :16] * 0.02).astype(np.float16).astype(np.float32)
    best = best_error(weights.astype(np.float64), 16)
    assert error(weights, palettize(weights, 4)) <= 1.05 * best


@pytest.mark.parametrize(("bits", "least_db"), [(8, 42.5), (6, 31), (4, 19.5)])
def test_more_bits_are_closer(bits, least_db):
    weights = WEIGHTS["normal"].astype(np.float32)
    assert 10 * np.log10((weights**2).sum() / error(weights, palettize(weights, bits))) > least_db


@pytest.mark.parametrize("bits", [8, 6, 4])
def test_each_weight_gets_the_nearest_entry_and_entries_are_halves(bits):
    weights = (WEIGHTS["heavy tails"] * 1e-3).astype(np.float32)
    palette = palettize(weights, bits)
    assert palette.tables.shape == (1, 1 << bits)
    assert palette.indices.dtype == np.uint8
    assert palette.indices.max() < 1 << bits
    np.testing.assert_array_equal(palette.tables, palette.tables.astype(np.float16))
    nearest = np.abs(weights[..., None] - palette.tables[0]).min(axis=-1)
    np.testing.assert_allclose(np.abs(weights - palette.values), nearest, rtol=0, atol=1e-9)


def test_few_different_values_are_kept_as_they_are():
    weights = np.array([[0.5, -0.25, 0.5], [0.125, 0.5, -0.25]], np.float32)
    np.testing.assert_array_equal(palettize(weights, 4).values, weights)
    np.testing.assert_array_equal(palettize(np.zeros((4, 4), np.float32), 8).values, 0)


def test_groups_of_rows_have_tables_of_their_own():
    small, large = np.random.default_rng(4).standard_normal((2, 4, 100)).astype(np.float32)
    weights = np.concatenate([small * 1e-3, large])
    one, two = (palettize(weights, 4, groups=groups) for groups in (1, 2))
    assert two.tables.shape == (2, 16)
    assert np.abs(two.tables[0]).max() < 1e-2
    assert ((weights - two.values)[:4] ** 2).sum() < 1e-2 * ((weights - one.values)[:4] ** 2).sum()
    with pytest.raises(ValueError, match="8 rows in 3 groups"):
        palettize(weights, 4, groups=3)


def test_the_same_weights_give_the_same_bytes():
    weights = WEIGHTS["heavy tails"].astype(np.float32)
    first, second = palettize(weights, 8), palettize(weights.copy(), 8)
    assert (first.tables.tobytes(), first.indices.tobytes()) == (second.tables.tobytes(), second.indices.tobytes())
