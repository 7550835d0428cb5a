"""The collector is slow only while an export runs."""

import gc

import pytest

from edgekit.collecting import RARELY, rarely_collected


def test_the_thresholds_come_back_even_from_an_error():
    before = gc.get_threshold()
    with pytest.raises(ValueError, match="inside"), rarely_collected():
        assert gc.get_threshold() == RARELY
        raise ValueError("inside")
    assert gc.get_threshold() == before
