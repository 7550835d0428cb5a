import numpy as np
import pytest

from edgekit.quantization.integers import to_integers

WEIGHTS = np.random.default_rng(0).standard_normal((8, 64, 3, 3)).astype(np.float32)


def test_eight_bits_cut_nothing_off_and_are_within_half_a_step():
    found = to_integers(WEIGHTS, 8)
    assert found.scales.shape == (8, 1, 1, 1)
    assert np.abs(found.integers).max() <= 127
    np.testing.assert_array_equal(found.scales, found.scales.astype(np.float16))
    assert (np.abs(found.values - WEIGHTS) <= found.scales / 2 * (1 + 1e-6)).all()
    assert (np.abs(found.integers).reshape(8, -1).max(axis=1) >= 126).all()  # and no step is wider than it has to be


def test_scales_of_blocks_by_hand():
    weights = np.array([[7, -3, 1, 0, 0.7, 0.1, -0.3, 0.2]], np.float32)
    found = to_integers(weights, 4, blocks=2)
    assert found.scales.shape == (1, 2)
    np.testing.assert_array_equal(found.integers, [[7, -3, 1, 0, 7, 1, -3, 2]])
    np.testing.assert_allclose(found.scales, [[1, 0.1]], rtol=1e-3)
    np.testing.assert_allclose(found.values, found.integers * found.scales.repeat(4, axis=1))


def test_blocks_run_along_the_second_axis():
    weights = np.ones((2, 6, 1, 1), np.float32)
    weights[:, 3:] = 100
    found = to_integers(weights, 4, blocks=2)
    assert found.scales.shape == (2, 2, 1, 1)
    np.testing.assert_allclose(found.values, weights, rtol=1e-3)
    with pytest.raises(ValueError, match="4 blocks in 6 weights"):
        to_integers(weights, 4, blocks=4)


def test_of_four_bits_one_weight_far_out_is_cut_off():
    weights = np.random.default_rng(1).standard_normal((1, 512)).astype(np.float32)
    weights[0, 0] = 6
    found = to_integers(weights, 4)
    fitting = np.abs(weights).max() / 7
    plain = np.rint(weights / fitting) * fitting
    assert ((found.values - weights) ** 2).sum() < 0.8 * ((plain - weights) ** 2).sum()


@pytest.mark.parametrize("bits", [8, 4])
def test_rows_of_zeros_and_of_almost_nothing(bits):
    weights = np.zeros((3, 32), np.float32)
    weights[1] = 3e-8  # half precision's smallest step is 6e-8
    weights[2] = 1
    found = to_integers(weights, bits)
    assert np.isfinite(found.values).all()
    assert (found.scales > 0).all()
    np.testing.assert_allclose(found.values, weights, rtol=1e-3, atol=6e-8)
