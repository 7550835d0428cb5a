"""Confidences in NumPy are eager's, and micro-units decide as float32 does."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import BadInputError
from edgekit.ops.confidence import CONFIDENCES
from edgekit.policy.confidences import CONFIDENCE_KINDS, MICRO, as_float32, confidence, named, to_micro
from edgekit.policy.integers import micro_of_bits

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize("kind", CONFIDENCE_KINDS)
@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("temperature", [None, 0.37])
def test_equal_to_eagers_but_for_its_rounding(kind, classes, temperature):
    logits = np.random.default_rng(classes).standard_normal((500, classes), dtype=np.float32) * 4
    eager = CONFIDENCES[kind](torch.from_numpy(logits if temperature is None else logits / np.float32(temperature)))
    assert np.abs(confidence(kind, logits, temperature) - eager.numpy()).max() < 1e-6


@pytest.mark.parametrize("kind", CONFIDENCE_KINDS)
def test_odd_logits_as_in_eager(kind):
    logits = np.array([[1, NAN, 2], [INF, 0, 0], [-INF, 1, 2], [-INF] * 3, [50, 0, 0], [1, 1, 1], [3, 3, 0]], dtype=np.float32)
    assert confidence(kind, logits) == pytest.approx(CONFIDENCES[kind](torch.from_numpy(logits)).numpy(), abs=2e-7, nan_ok=True)


def test_worked_by_hand():
    logits = np.log(np.array([[0.5, 0.3, 0.2]]))
    assert confidence("max_softmax", logits) == pytest.approx([0.5])
    assert confidence("margin", logits) == pytest.approx([0.2])
    bits = 0.5 * math.log(2) + 0.3 * math.log(1 / 0.3) + 0.2 * math.log(5)
    assert confidence("entropy", logits) == pytest.approx([1 - bits / math.log(3)])


def test_half_precision_logits_and_more_rows_than_a_chunk():
    logits = np.random.default_rng(0).standard_normal((300, 1000)).astype(np.float16)
    whole = confidence("max_softmax", logits)
    assert np.array_equal(whole, confidence("max_softmax", logits.astype(np.float32)))
    assert np.array_equal(whole[200:], confidence("max_softmax", logits[200:]))


@pytest.mark.parametrize("shape", [(5,), (5, 1), (2, 5, 3)])
def test_what_is_no_table_of_classes_is_refused(shape):
    with pytest.raises(BadInputError, match="no confidence"):
        confidence("margin", np.zeros(shape, dtype=np.float32))


def test_named_classes():
    assert named(np.array([[1, 5, 5], [NAN, 9, 0], [0, 1, NAN], [INF, 0, 0], [0, -INF, 2]])).tolist() == [1, -1, -1, 0, 2]


def test_micro_units_floor_and_stay_in_range():
    values = np.array([0, 1, 0.5, np.float32(0.9), -6e-8, 1 + 1.2e-7, NAN, INF], dtype=np.float32)
    assert to_micro(values).tolist() == [0, 1_000_000, 500_000, 899_999, 0, 1_000_000, -1, 1_000_000]


@given(st.integers(0, MICRO))
def test_a_threshold_as_float32_is_the_smallest_that_is_not_below(micro):
    value = np.float32(as_float32(micro))
    assert Fraction(float(value)) >= Fraction(micro, MICRO)
    assert micro == 0 or Fraction(float(np.nextafter(value, np.float32(-1)))) < Fraction(micro, MICRO)


@given(st.integers(1, MICRO), st.integers(-3, 3), st.floats(0, 1, width=32))
def test_integers_decide_as_float32_does(micro, steps, anywhere):
    near = np.float32(as_float32(micro))
    for _ in range(abs(steps)):
        near = np.nextafter(near, np.float32(math.copysign(2, steps)))
    for value in (near, np.float32(anywhere)):
        assert (to_micro(np.array([value]))[0] >= micro) == (value >= np.float32(as_float32(micro)))


@given(st.floats(width=32))
def test_bits_give_the_same_micro_units(value):
    bits = int(np.float32(value).view(np.uint32))
    assert (-1 if (found := micro_of_bits(bits)) is None else found) == to_micro(np.array([value], dtype=np.float32))[0]
