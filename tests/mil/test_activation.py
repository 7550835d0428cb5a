import numpy as np
import pytest
import torch
from building import computed

X = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32) * 3


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
