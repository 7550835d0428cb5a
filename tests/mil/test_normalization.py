import numpy as np
import pytest
import torch
from building import computed
from torch.nn import functional as F

from edgekit.mil.operators.context import OperatorError
from edgekit.mil.operators.registry import OPERATORS

RANDOM = np.random.default_rng(0)
GAMMA, BETA, MEAN = (RANDOM.standard_normal(3).astype(np.float32) for _ in range(3))
VARIANCE = np.array([0.5, 2.0, 1e-4], np.float32)
SHAPES = [(2, 3, 5), (2, 3, 4, 5), (1, 3, 2, 3, 2)]


def numbers(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32) * 2 + 1


def along(values, x):
    return values.reshape(1, -1, *[1] * (x.ndim - 2))


def standardized(x, axes, epsilon):
    x = x.astype(np.float64)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm(shape):
    x = numbers(*shape)
    plain, scaled = computed(
        lambda mb, x: (
            mb.batch_norm(x=x, mean=MEAN, variance=VARIANCE),
            mb.batch_norm(x=x, mean=MEAN, variance=VARIANCE, gamma=GAMMA, beta=BETA, epsilon=np.float32(0.1)),
        ),
        {"x": x},
    )
    np.testing.assert_allclose(plain, (x - along(MEAN, x)) / np.sqrt(along(VARIANCE, x) + 1e-5), rtol=2e-6, atol=1e-4)
    expected = along(GAMMA, x) * (x - along(MEAN, x)) / np.sqrt(along(VARIANCE, x) + 0.1) + along(BETA, x)
    np.testing.assert_allclose(scaled, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_instance_norm(shape):
    x = numbers(*shape)
    plain, scaled = computed(lambda mb, x: (mb.instance_norm(x=x), mb.instance_norm(x=x, gamma=GAMMA, beta=BETA, epsilon=np.float32(0.1))), {"x": x})
    axes = tuple(range(2, x.ndim))
    np.testing.assert_allclose(plain, standardized(x, axes, 1e-5), rtol=0, atol=1e-5)
    np.testing.assert_allclose(scaled, along(GAMMA, x) * standardized(x, axes, 0.1) + along(BETA, x), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("axes", "over"), [([0, 1, 2, 3], (0, 1, 2, 3)), ([-1], (3,)), ([1, 3], (1, 3)), ([-1, -2], (2, 3))])
def test_layer_norm(axes, over):
    x = numbers(2, 3, 4, 5)
    shape = [x.shape[axis] for axis in over]
    gamma, beta = numbers(*shape), numbers(*shape)
    plain, scaled = computed(
        lambda mb, x: (mb.layer_norm(x=x, axes=axes), mb.layer_norm(x=x, axes=axes, gamma=gamma, beta=beta, epsilon=np.float32(0.1))), {"x": x}
    )
    np.testing.assert_allclose(plain, standardized(x, over, 1e-5), rtol=0, atol=1e-5)
    spots = [size if axis in over else 1 for axis, size in enumerate(x.shape)]
    np.testing.assert_allclose(scaled, gamma.reshape(spots) * standardized(x, over, 0.1) + beta.reshape(spots), rtol=0, atol=3e-5)


def test_layer_norm_is_over_all_axes_by_default():
    """Core ML Tools' builder cannot write the default (9.0)."""
    x = numbers(2, 3, 4)
    got = OPERATORS["layer_norm"].compute(x=torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(got, standardized(x, (0, 1, 2), 1e-5), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 2, 4), (2, 3, 2, 4), (2, 2, 3, 2, 2)])
def test_l2_norm_is_over_the_last_three_axes(shape):
    x = numbers(*shape)
    plain, other = computed(lambda mb, x: (mb.l2_norm(x=x), mb.l2_norm(x=x, epsilon=np.float32(2.0))), {"x": x})
    rows = x.reshape(-1, int(np.prod(shape[-3:])))
    for got, epsilon in ((plain, 1e-6), (other, 2.0)):
        expected = np.stack([row / np.sqrt(row @ row + epsilon) for row in rows]).reshape(shape)
        np.testing.assert_allclose(got, expected, rtol=2e-6)


@pytest.mark.parametrize(
    ("size", "parameters"), [(3, {}), (5, {"alpha": np.float32(0.3), "beta": np.float32(0.5), "k": np.float32(2.0)}), (1, {"alpha": np.float32(1.0)})]
)
def test_local_response_norm(size, parameters):
    x = numbers(2, 6, 3, 2) * 3
    (got,) = computed(lambda mb, x: mb.local_response_norm(x=x, size=size, **parameters), {"x": x})
    alpha, beta, k = (float(parameters.get(name, default)) for name, default in (("alpha", 1e-4), ("beta", 0.75), ("k", 1.0)))
    expected = np.empty_like(x)
    for c in range(6):
        around = (x[:, max(0, c - size // 2) : c + size // 2 + 1] ** 2).sum(1)
        expected[:, c] = x[:, c] / (k + alpha / size * around) ** beta
    np.testing.assert_allclose(got, expected, rtol=2e-6)
    np.testing.assert_allclose(got, F.local_response_norm(torch.from_numpy(x), size, alpha, beta, k).numpy(), rtol=2e-6)


@pytest.mark.parametrize(
    ("operator", "arguments", "reason"),
    [
        ("local_response_norm", {"x": torch.zeros(1, 3, 2, 2), "size": torch.tensor(2)}, "size 2 on an input of rank 4"),
        ("local_response_norm", {"x": torch.zeros(1, 3, 2), "size": torch.tensor(3)}, "size 3 on an input of rank 3"),
        ("instance_norm", {"x": torch.zeros(1, 3, 2, 2, 2)}, "rank 5"),
        ("l2_norm", {"x": torch.zeros(3, 2)}, "rank 2"),
    ],
)
def test_what_is_not_clear_is_refused(operator, arguments, reason):
    with pytest.raises(OperatorError, match=reason):
        OPERATORS[operator].compute(**arguments)
