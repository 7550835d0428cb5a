"""Operators on single elements; NumPy is the reference, except where its meaning differs from MIL's."""

import math

import numpy as np
import pytest
import torch
from building import computed

from edgekit.mil.operators.context import Context, OperatorError
from edgekit.mil.operators.registry import OPERATORS
from edgekit.mil.types import TensorType

WITHIN = np.linspace(-0.95, 0.95, 12, dtype=np.float32).reshape(3, 4)
ANY = np.array([[-3.5, -2.5, -1.5, -0.5], [0.5, 1.5, 2.5, 0.0], [-0.2, 7.7, -9.1, 3.0]], np.float32)
POSITIVE = np.abs(ANY) + 0.125
WHOLE = np.array([[-7, -2, 0, 3], [5, 6, -1, 2]], np.int32)
ALONG = np.array([2, 3, -4, -3], np.int32)


def applied(operator, x, **parameters):
    return computed(lambda mb, x: getattr(mb, operator)(x=x, **parameters), {"x": x})[0]


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (WITHIN, {"acos": np.arccos, "asin": np.arcsin, "atanh": np.arctanh, "tan": np.tan}),
        (
            ANY,
            {
                "abs": np.abs,
                "atan": np.arctan,
                "ceil": np.ceil,
                "cos": np.cos,
                "cosh": np.cosh,
                "erf": np.vectorize(math.erf),
                "exp": np.exp,
                "exp2": np.exp2,
                "floor": np.floor,
                "round": lambda x: np.array([[-4, -2, -2, 0], [0, 2, 2, 0], [0, 8, -9, 3]]),
                "sign": np.sign,
                "sin": np.sin,
                "sinh": np.sinh,
                "square": np.square,
                "tanh": np.tanh,
            },
        ),
        (POSITIVE, {"sqrt": np.sqrt, "log": np.log, "rsqrt": lambda x: x**-0.5, "inverse": lambda x: 1 / (x + 1e-4)}),
    ],
    ids=["within", "any", "positive"],
)
def test_functions_of_a_float(x, expected):
    results = computed(lambda mb, x: tuple(getattr(mb, operator)(x=x) for operator in expected), {"x": x})
    for operator, got in zip(expected, results, strict=True):
        np.testing.assert_allclose(got, expected[operator](x.astype(np.float64)), rtol=3e-6, atol=3e-7, err_msg=operator)


def test_functions_of_an_integer():
    expected = {"abs": np.abs(WHOLE), "exp2": np.floor(2.0**WHOLE), "sign": np.sign(WHOLE), "square": WHOLE * WHOLE}
    results = computed(lambda mb, x: tuple(getattr(mb, operator)(x=x) for operator in expected), {"x": WHOLE})
    for operator, got in zip(expected, results, strict=True):
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, expected[operator], err_msg=operator)


@pytest.mark.parametrize(
    ("operator", "x", "parameters", "expected"),
    [
        ("clip", ANY, {"alpha": -1.0, "beta": 2.0}, np.minimum(np.maximum(ANY, -1), 2)),
        ("inverse", ANY, {"epsilon": 0.25}, 1 / (ANY + 0.25)),
        ("log", POSITIVE, {"epsilon": 0.5}, np.log(POSITIVE + 0.5)),
        ("rsqrt", POSITIVE, {"epsilon": 0.5}, 1 / np.sqrt(POSITIVE + 0.5)),
        ("threshold", ANY, {"alpha": 0.75}, np.maximum(ANY, 0.75)),
        ("threshold", WHOLE, {"alpha": np.int32(2)}, np.maximum(WHOLE, 2)),
        ("logical_not", WHOLE > 0, {}, WHOLE <= 0),
    ],
)
def test_functions_with_parameters(operator, x, parameters, expected):
    if x.dtype == bool:  # Core ML has no inputs of truth values
        (got,) = computed(lambda mb, x: mb.cast(x=mb.logical_not(x=mb.cast(x=x, dtype="bool")), dtype="int32"), {"x": x.astype(np.int32)})
    else:
        got = applied(operator, x, **parameters)
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=0)


@pytest.mark.parametrize(("dtype", "of_zero"), [("fp32", math.log(2**-149)), ("fp16", -math.inf)])
def test_the_default_epsilon_of_log_has_the_type_of_the_result(dtype, of_zero):
    context = Context(outputs=(TensorType(dtype, (1,)),), opset="CoreML7")
    assert float(OPERATORS["log"].compute(context, x=torch.zeros(1))) == pytest.approx(of_zero, rel=1e-6)


def test_sign_keeps_what_is_no_number():
    assert math.isnan(OPERATORS["sign"].compute(x=torch.tensor(math.nan)))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32"])
def test_a_float_becomes_an_integer_towards_zero(dtype):
    x = np.array([0.0, 1.9, 2.5, 99.99], np.float32)
    x = x if dtype[0] == "u" else np.concatenate([x, -x])
    (got,) = computed(lambda mb, x: mb.cast(x=mb.cast(x=x, dtype=dtype), dtype="int32"), {"x": x})
    np.testing.assert_array_equal(got, [0, 1, 2, 99] if dtype[0] == "u" else [0, 1, 2, 99, 0, -1, -2, -99])


def test_cast_to_and_from_truth_values_and_floats():
    truth, whole, half = computed(
        lambda mb, x: (
            mb.cast(x=mb.cast(x=x, dtype="bool"), dtype="fp32"),
            mb.cast(x=mb.cast(x=mb.cast(x=x, dtype="bool"), dtype="int32"), dtype="fp32"),
            mb.cast(x=mb.cast(x=mb.cast(x=x, dtype="int32"), dtype="fp16"), dtype="fp32"),
        ),
        {"x": np.array([0.0, 0.25, -3.0], np.float32)},
    )
    np.testing.assert_array_equal(truth, [0, 1, 1])
    np.testing.assert_array_equal(whole, [0, 1, 1])
    np.testing.assert_array_equal(half, [0, 0, -3])


@pytest.mark.parametrize(
    ("value", "dtype"), [(2.0**31, "int32"), (-1.0, "uint8"), (128.0, "int8"), (65536.0, "uint16"), (40000.0, "int16"), (math.nan, "int32")]
)
def test_cast_refuses_what_an_integer_cannot_hold(value, dtype):
    with pytest.raises(OperatorError, match=f"a value outside {dtype}"):
        OPERATORS["cast"].compute(x=torch.tensor([0.0, value]), dtype=dtype)


NUMBERS = {
    "add": lambda x, y: x + y,
    "floor_div": lambda x, y: np.floor(x / y),
    "maximum": np.maximum,
    "minimum": np.minimum,
    "mod": lambda x, y: x - y * np.floor(x / y),
    "mul": lambda x, y: x * y,
    "sub": lambda x, y: x - y,
}
COMPARISONS = {"equal": np.equal, "greater": np.greater, "greater_equal": np.greater_equal, "less": np.less, "less_equal": np.less_equal}
COMPARISONS["not_equal"] = np.not_equal


@pytest.mark.parametrize(
    ("x", "y"), [(WHOLE, ALONG), (ALONG, WHOLE[:, ::-1] + 10), (ANY[:, None], ANY[:2] + 0.3), (WITHIN, np.float32(0.5) + ANY[2])]
)
def test_two_numbers_broadcast(x, y):
    expected = NUMBERS | COMPARISONS | {"real_div": lambda x, y: np.trunc(x / y) if x.dtype == np.int32 else x / y}

    def build(mb, x, y):
        results = [getattr(mb, operator)(x=x, y=y) for operator in NUMBERS]
        results += [mb.cast(x=getattr(mb, operator)(x=x, y=y), dtype="int32") for operator in COMPARISONS]
        return (*results, mb.real_div(x=x, y=y))

    for (operator, reference), got in zip(expected.items(), computed(build, {"x": x, "y": y}), strict=True):
        # In double precision: 3 / 0.3 is 10 once rounded to single, though the quotient of these two numbers is less than 10.
        wanted = reference(*(entry if entry.dtype == np.int32 else entry.astype(np.float64) for entry in (x, y)))
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=2e-6, atol=1e-6, err_msg=operator)


def test_remainder_and_quotients_of_negative_numbers():
    x, y = np.array([7, -7, 7, -7], np.int32), np.array([3, 3, -3, -3], np.int32)
    floored, remainder, divided = computed(lambda mb, x, y: (mb.floor_div(x=x, y=y), mb.mod(x=x, y=y), mb.real_div(x=x, y=y)), {"x": x, "y": y})
    assert floored.tolist() == [2, -3, -3, 2]
    assert remainder.tolist() == [1, 2, -2, -1]
    assert divided.tolist() == [2, -2, -2, 2]


def test_powers():
    whole, real = computed(
        lambda mb, x, y: (mb.pow(x=x, y=np.array([3, 0, 2, 1], np.int32)), mb.pow(x=y, y=np.float32(-1.5))), {"x": WHOLE, "y": POSITIVE}
    )
    assert whole.tolist() == [[-343, 1, 0, 3], [125, 1, 1, 2]]
    np.testing.assert_allclose(real, POSITIVE.astype(np.float64) ** -1.5, rtol=1e-6)


def test_truth_values():
    def build(mb, x, y):
        a, b = mb.cast(x=x, dtype="bool"), mb.cast(x=y, dtype="bool")
        return tuple(mb.cast(x=getattr(mb, f"logical_{name}")(x=a, y=b), dtype="int32") for name in ("and", "or", "xor"))

    both, either, one = computed(build, {"x": np.array([[0], [1]], np.int32), "y": np.array([0, 1], np.int32)})
    assert (both.tolist(), either.tolist(), one.tolist()) == ([[0, 0], [0, 1]], [[0, 1], [1, 1]], [[0, 1], [1, 0]])


@pytest.mark.parametrize("values", [ANY, (ANY * 10).astype(np.int32)])
def test_select_broadcasts(values):
    other = values[:1] * 2 + 1

    def build(mb, condition, a, b):
        return mb.select(cond=mb.cast(x=condition, dtype="bool"), a=a, b=b)

    condition = np.array([[1], [0], [1]], np.int32)
    (got,) = computed(build, {"condition": condition, "a": values, "b": other})
    np.testing.assert_array_equal(got, [values[0], other[0], values[2]])


CONTEXT = Context(outputs=(TensorType("fp32", (1,)),), opset="CoreML7")
TRUE, ONE, REAL = torch.ones(1, dtype=torch.bool), torch.ones(1, dtype=torch.int32), torch.ones(1)


@pytest.mark.parametrize(
    ("operator", "arguments", "reason"),
    [
        ("cos", {"x": ONE}, "floats are defined only"),
        ("log", {"x": ONE}, "floats are defined only"),
        ("clip", {"x": ONE, "alpha": REAL, "beta": REAL}, "floats are defined only"),
        ("add", {"x": ONE, "y": REAL}, "two floats or two int32"),
        ("mul", {"x": TRUE, "y": TRUE}, "two floats or two int32"),
        ("equal", {"x": ONE.to(torch.uint8), "y": ONE.to(torch.uint8)}, "two floats or two int32"),
        ("pow", {"x": ONE, "y": -ONE}, "a negative power of an integer"),
        ("logical_and", {"x": TRUE, "y": ONE}, "booleans are defined only"),
        ("logical_not", {"x": ONE}, "booleans are defined only"),
        ("select", {"cond": ONE, "a": ONE, "b": ONE}, "a condition of"),
        ("select", {"cond": TRUE, "a": ONE, "b": REAL}, "a condition of"),
        ("cast", {"x": ONE, "dtype": "fp64"}, "dtype 'fp64'"),
    ],
)
def test_what_is_not_defined_is_refused(operator, arguments, reason):
    entry = OPERATORS[operator]
    with pytest.raises(OperatorError, match=reason):
        entry.compute(*([CONTEXT] if entry.takes_context else []), **arguments)
