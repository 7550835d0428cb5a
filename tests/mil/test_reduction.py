import numpy as np
import pytest
import torch
from building import computed

from edgekit.mil.operators.context import OperatorError
from edgekit.mil.operators.registry import OPERATORS

X = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32) * 2
POSITIVE = np.abs(X) + 0.5
WHOLE = np.array([[3, -4, 2], [5, 1, -9]], np.int32)

OVER_AXES = {
    "reduce_l1_norm": lambda x, **over: np.sum(np.abs(x), **over),
    "reduce_l2_norm": lambda x, **over: np.sqrt(np.sum(x * x, **over)),
    "reduce_log_sum": lambda x, **over: np.log(np.sum(x, **over)),
    "reduce_log_sum_exp": lambda x, **over: np.log(np.sum(np.exp(x), **over)),
    "reduce_max": np.max,
    "reduce_mean": np.mean,
    "reduce_min": np.min,
    "reduce_prod": np.prod,
    "reduce_sum": np.sum,
    "reduce_sum_square": lambda x, **over: np.sum(x * x, **over),
}


@pytest.mark.parametrize("keep_dims", [False, True])
@pytest.mark.parametrize("axes", [None, [1], [-1, 0], [0, 1, 2]])
def test_reductions_over_axes(axes, keep_dims):
    given = {"keep_dims": keep_dims} | ({} if axes is None else {"axes": axes})

    def build(mb, x, positive):
        return tuple(getattr(mb, operator)(x=positive if operator == "reduce_log_sum" else x, **given) for operator in OVER_AXES)

    for (operator, reference), got in zip(OVER_AXES.items(), computed(build, {"x": X, "positive": POSITIVE}), strict=True):
        x = (POSITIVE if operator == "reduce_log_sum" else X).astype(np.float64)
        expected = reference(x, axis=None if axes is None else tuple(axes), keepdims=keep_dims)
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5, err_msg=operator)


def test_reductions_of_integers_are_truncated_to_integers():
    expected = {
        "reduce_l1_norm": [9, 15],
        "reduce_l2_norm": [5, 10],  # sqrt(29), sqrt(107)
        "reduce_log_sum_exp": [3, 5],  # 3.31, 5.02
        "reduce_max": [3, 5],
        "reduce_mean": [0, -1],  # 1/3, -1
        "reduce_min": [-4, -9],
        "reduce_prod": [-24, -45],
        "reduce_sum": [1, -3],
        "reduce_sum_square": [29, 107],
    }
    results = computed(lambda mb, x: tuple(getattr(mb, operator)(x=x, axes=[1]) for operator in expected), {"x": WHOLE})
    for operator, got in zip(expected, results, strict=True):
        assert got.dtype == np.int32
        assert got.tolist() == expected[operator], operator
    (log_sum,) = computed(lambda mb, x: mb.reduce_log_sum(x=x, axes=[0]), {"x": np.abs(WHOLE)})
    assert log_sum.tolist() == [2, 1, 2]  # ln 8, ln 5, ln 11


def test_no_axes_at_all_reduce_nothing():
    got = OPERATORS["reduce_sum_square"].compute(x=torch.tensor([2.0, 3.0]), axes=torch.zeros(0, dtype=torch.int32))
    assert got.tolist() == [4, 9]


def test_log_sum_exp_does_not_overflow():
    (got,) = computed(lambda mb, x: mb.reduce_log_sum_exp(x=x), {"x": np.array([1000.0, 1000.0], np.float32)})
    assert float(got) == pytest.approx(1000 + np.log(2))


@pytest.mark.parametrize(("operator", "reference"), [("reduce_argmax", np.argmax), ("reduce_argmin", np.argmin)])
def test_places(operator, reference):
    def build(mb, x, whole):
        place = getattr(mb, operator)
        return (
            place(x=x),
            place(x=x, axis=1, keep_dims=True),
            place(x=whole, axis=0),
            mb.cast(x=place(x=x, axis=0, output_dtype="uint16"), dtype="int32"),
        )

    last, kept, first, small = computed(build, {"x": X, "whole": WHOLE})
    assert last.dtype == np.int32
    np.testing.assert_array_equal(last, reference(X, -1))
    np.testing.assert_array_equal(kept, reference(X, 1)[:, None])
    np.testing.assert_array_equal(first, reference(WHOLE, 0))
    np.testing.assert_array_equal(small, reference(X, 0))


def test_another_type_of_places_is_refused():
    with pytest.raises(OperatorError, match="output_dtype 'int64'"):
        OPERATORS["reduce_argmax"].compute(x=torch.zeros(2), output_dtype="int64")
