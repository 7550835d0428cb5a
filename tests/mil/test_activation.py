import numpy as np
import pytest
import torch
from building import computed

from edgekit.mil.operators.context import OperatorError
from edgekit.mil.operators.registry import OPERATORS

X = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32) * 3
PER_CHANNEL = np.array([0.5, -1.0, 2.0], np.float32)
ALPHA, BETA = PER_CHANNEL[:, None], np.array([[1.0], [0.25], [-2.0]], np.float32)
IMAGE = X.reshape(1, 3, 4, 2)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("EXACT", X * 0.5 * (1 + torch.erf(torch.from_numpy(X) / 2**0.5).numpy())),
        ("TANH_APPROXIMATION", 0.5 * X * (1 + np.tanh((2 / np.pi) ** 0.5 * (X + 0.044715 * X**3)))),
        ("SIGMOID_APPROXIMATION", X / (1 + np.exp(-1.702 * X))),
    ],
)
def test_gelu_in_each_mode(mode, expected):
    (got,) = computed(lambda mb, x: mb.gelu(x=x, mode=mode), {"x": X})
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("operator", "parameters", "expected"),
    [
        ("clamped_relu", {"alpha": 0.25, "beta": 1.5}, np.minimum(1.5, np.where(X >= 0, X, 0.25 * X))),
        # A negative bound holds on both sides of 0, as the reference says; Core ML Tools' own constant folding adds it up twice.
        ("clamped_relu", {"alpha": 0.25, "beta": -0.5}, np.minimum(-0.5, np.where(X >= 0, X, 0.25 * X))),
        ("elu", {"alpha": 0.7}, np.where(X > 0, X, 0.7 * (np.exp(X) - 1))),
        ("leaky_relu", {"alpha": 0.2}, np.where(X >= 0, X, 0.2 * X)),
        ("linear_activation", {"alpha": -1.5, "beta": 0.5}, -1.5 * X + 0.5),
        ("prelu", {"alpha": np.full(3, 0.3, np.float32)}, np.where(X > 0, X, 0.3 * X)),
        ("relu", {}, np.where(X > 0, X, 0)),
        ("relu6", {}, np.where(X > 6, 6, np.where(X > 0, X, 0))),
        ("scaled_tanh", {"alpha": 1.7, "beta": 0.3}, 1.7 * np.tanh(0.3 * X)),
        ("sigmoid", {}, 1 / (1 + np.exp(-X))),
        ("sigmoid_hard", {"alpha": 0.2, "beta": 0.4}, np.minimum(np.maximum(0.2 * X + 0.4, 0), 1)),
        ("silu", {}, X / (1 + np.exp(-X))),
        ("softmax", {}, np.exp(X) / np.exp(X).sum(-1, keepdims=True)),
        ("softmax", {"axis": 1}, np.exp(X) / np.exp(X).sum(1, keepdims=True)),
        ("softplus", {}, np.log(1 + np.exp(X))),
        ("softplus_parametric", {"alpha": PER_CHANNEL, "beta": BETA[:, 0]}, ALPHA * np.log(1 + np.exp(BETA * X))),
        ("softsign", {}, X / (1 + np.abs(X))),
        ("thresholded_relu", {"alpha": 1.1}, np.where(X >= 1.1, X, 0)),
    ],
)
def test_its_formula(operator, parameters, expected):
    (got,) = computed(lambda mb, x: getattr(mb, operator)(x=x, **parameters), {"x": X})
    np.testing.assert_allclose(got, expected, rtol=0, atol=3e-6)


def test_prelu_has_one_slope_per_channel():
    (got,) = computed(lambda mb, x: mb.prelu(x=x, alpha=PER_CHANNEL), {"x": IMAGE})
    np.testing.assert_allclose(
        got, np.stack([np.where(c > 0, c, a * c) for c, a in zip(IMAGE[0], PER_CHANNEL, strict=True)])[None], rtol=0, atol=1e-6
    )


def test_softplus_neither_overflows_nor_loses_small_values():
    (got,) = computed(lambda mb, x: mb.softplus(x=x), {"x": np.array([-80.0, 0.0, 200.0], np.float32)})
    np.testing.assert_allclose(got, [np.exp(-80.0), np.log(2), 200], rtol=1e-5)


def test_an_unknown_mode_is_refused():
    with pytest.raises(OperatorError, match="mode 'FAST'"):
        OPERATORS["gelu"].compute(x=torch.zeros(1), mode="FAST")
