"""How two values of an operator are compared that hold infinities."""

import numpy as np
import pytest

from edgekit.verification.divergence import _sqnr_of_finite

INF = float("inf")


@pytest.mark.parametrize(
    ("got", "equal"),
    [([1.0, -INF, 2.0], True), ([1.0, INF, 2.0], False), ([1.0, -3e38, 2.0], False), ([-INF, -INF, 2.0], False), ([1.0, float("nan"), 2.0], False)],
)
def test_infinities_have_to_be_the_same(got, equal):
    assert _sqnr_of_finite(np.array([1.0, -INF, 2.0]), np.array(got)) == (200.0 if equal else -INF)


def test_the_rest_is_compared_by_its_size():
    want = np.array([1.0, -INF, 2.0])
    assert _sqnr_of_finite(want, want + np.array([0.0, 0.0, 0.1])) == pytest.approx(10 * np.log10(5 / 0.01))
