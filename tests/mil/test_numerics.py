"""What rounds and what does not, in the two numerics."""

import numpy as np
from building import computed

X = np.random.default_rng(0).standard_normal((2, 8)).astype(np.float16)
WEIGHT = np.random.default_rng(1).standard_normal((4, 8)).astype(np.float16)


def chain(mb, x):
    product = mb.linear(x=x, weight=WEIGHT)
    return product, mb.mul(x=product, y=np.float16(3.0))


def test_results_declared_half_are_rounded_in_fp16_only():
    wide = computed(chain, {"x": X}, half=True)
    half = computed(chain, {"x": X}, half=True, numerics="fp16")
    product = (X.astype(np.float32)[:, None] * WEIGHT.astype(np.float32)).sum(-1)

    np.testing.assert_allclose(wide[0], product, rtol=0, atol=2e-6)
    np.testing.assert_allclose(wide[1], product * 3, rtol=0, atol=6e-6)
    assert (wide[0] != wide[0].astype(np.float16)).any()

    # The second operator starts from the first one's rounded result, and is rounded again.
    np.testing.assert_array_equal(half[0], product.astype(np.float16))
    np.testing.assert_array_equal(half[1], (product.astype(np.float16).astype(np.float32) * 3).astype(np.float16))


def test_results_declared_single_are_never_rounded():
    def build(mb, x):
        return mb.mul(x=mb.cast(x=x, dtype="fp32"), y=np.float32(1 / 3))

    (got,) = computed(build, {"x": X}, half=True, numerics="fp16")
    np.testing.assert_array_equal(got, X.astype(np.float32) * np.float32(1 / 3))


def test_half_precision_overflows_to_infinity():
    inputs = {"x": np.array([300.0, -300.0], np.float16)}
    cube = lambda mb, x: mb.mul(x=mb.square(x=x), y=x)  # noqa: E731
    assert computed(cube, inputs, half=True, numerics="fp16")[0].tolist() == [np.inf, -np.inf]
    assert computed(cube, inputs, half=True)[0].tolist() == [300.0**3, -(300.0**3)]
