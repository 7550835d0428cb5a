"""Integers with a scale, as a file is given and answers them."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from edgekit.errors import ArtifactError
from edgekit.interface import TensorSpec
from edgekit.manifest import methods_from_json

IMAGE = TensorSpec(name="image", dtype="int8", shape=(4,), scale=0.5, zero_point=-3)


@given(st.lists(st.floats(-62.0, 64.0, width=32), min_size=1, max_size=20))
def test_what_is_stored_is_the_nearest_of_what_it_can_stand_for(values):
    real = np.asarray(values, np.float32)
    stored = IMAGE.stored(real)
    assert stored.dtype == np.int8
    assert np.abs(IMAGE.real(stored) - real).max() <= 0.25
    assert (IMAGE.stored(IMAGE.real(stored)) == stored).all()


def test_what_is_out_of_range_is_clipped():
    assert IMAGE.stored(np.float32([-1e6, -62.5, 65.0, 1e6])).tolist() == [-128, -128, 127, 127]
    unsigned = TensorSpec(name="image", dtype="uint8", shape=(2,), scale=1.0, zero_point=10)
    assert unsigned.stored(np.float32([-11.0, 250.0])).tolist() == [0, 255]
    assert unsigned.real(np.uint8([0, 255])).tolist() == [-10.0, 245.0]


def test_without_a_scale_nothing_is_converted():
    values = np.float32([0.1, 2.0])
    plain = TensorSpec(name="image", dtype="float32", shape=(2,))
    assert plain.stored(values) is values
    assert plain.real(values) is values


ROW = {"name": "image", "dtype": "int8", "shape": [4], "layout": "other", "scale": 0.5, "zero_point": -3}


def test_a_manifest_keeps_the_scale():
    (method,) = methods_from_json([{"name": "forward", "inputs": [ROW], "outputs": []}])
    assert method.inputs == (IMAGE,)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan"), "1", True])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(ArtifactError, match="methods cannot be read"):
        methods_from_json([{"name": "forward", "inputs": [{**ROW, "scale": scale}], "outputs": []}])
