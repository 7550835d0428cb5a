"""Pooling against loops over the cells of each window, Core ML Tools' own examples, and PyTorch's ceil mode."""

import numpy as np
import pytest
import torch
from building import computed
from torch.nn import functional as F

from edgekit.mil.operators.context import OperatorError
from edgekit.mil.operators.registry import OPERATORS

RANDOM = np.random.default_rng(0)


def numbers(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32) - 2  # mostly negative: a padding of zeros would win a maximum


def pooled(x, kernel, strides, pads, reduce):
    """Return ``reduce(cells, size)`` of each window: its cells inside ``x``, and how many it has with padding."""
    spatial = x.shape[2:]
    counts = [(n + b + a - k) // s + 1 for n, (b, a), k, s in zip(spatial, pads, kernel, strides, strict=True)]
    result = np.zeros((*x.shape[:2], *counts))
    for place in np.ndindex(*result.shape):
        starts = [p * s - b for p, s, (b, _) in zip(place[2:], strides, pads, strict=True)]
        window = tuple(slice(max(start, 0), max(start + k, 0)) for start, k in zip(starts, kernel, strict=True))
        result[place] = reduce(x[place[:2]][window].astype(np.float64), np.prod(kernel))
    return result


@pytest.mark.parametrize(
    ("shape", "kernel", "parameters", "pads"),
    [
        ((1, 2, 7), [2], {"pad_type": "valid"}, [(0, 0)]),
        ((2, 2, 7), [3], {"pad_type": "custom", "pad": [2, 1], "strides": [2]}, [(2, 1)]),
        ((1, 2, 6, 5), [2, 4], {"pad_type": "same"}, [(0, 1), (1, 2)]),
        ((1, 2, 6, 5), [2, 4], {"pad_type": "same_lower"}, [(1, 0), (2, 1)]),
        ((1, 2, 6, 5), [3, 3], {"pad_type": "same", "strides": [2, 2]}, [(0, 1), (1, 1)]),
        ((1, 2, 6, 5), [3, 2], {"pad_type": "custom", "pad": [1, 0, 0, 1], "strides": [2, 3]}, [(1, 0), (0, 1)]),
        ((1, 2, 3, 4, 3), [2, 1, 2], {"pad_type": "same_lower", "strides": [1, 2, 1]}, [(1, 0), (0, 0), (1, 0)]),
        ((1, 1, 3, 4, 3), [2, 2, 3], {"pad_type": "custom", "pad": [1, 0, 0, 1, 1, 1]}, [(1, 0), (0, 1), (1, 1)]),
    ],
)
def test_each_kind_of_padding(shape, kernel, parameters, pads):
    x = numbers(*shape)
    means = {
        "max_pool": lambda cells, size: cells.max(),
        "avg_pool": lambda cells, size: cells.sum() / size,
        "l2_pool": lambda cells, size: np.sqrt((cells**2).sum()),
    }
    if len(shape) == 5:
        del means["l2_pool"]

    def build(mb, x):
        all_padding = [getattr(mb, operator)(x=x, kernel_sizes=kernel, **parameters) for operator in means]
        return (*all_padding, mb.avg_pool(x=x, kernel_sizes=kernel, exclude_padding_from_average=True, **parameters))

    strides = parameters.get("strides", [1] * len(kernel))
    for got, reduce in zip(computed(build, {"x": x}), [*means.values(), lambda cells, size: cells.mean()], strict=True):
        np.testing.assert_allclose(got, pooled(x, kernel, strides, pads, reduce), rtol=0, atol=2e-6)


def test_core_ml_tools_examples():
    """Values from the tests of Core ML Tools (``test_pool.py``), which Apple runs on Core ML itself."""
    line, square = np.arange(1, 8, dtype=np.float32)[None, None], np.arange(1, 5, dtype=np.float32).reshape(1, 1, 2, 2)
    mean, root, lower_mean, lower_root = computed(
        lambda mb, line, square: (
            mb.avg_pool(x=line, kernel_sizes=[3], strides=[3], pad_type="same", exclude_padding_from_average=True),
            mb.l2_pool(x=line, kernel_sizes=[3], strides=[3], pad_type="same"),
            mb.avg_pool(x=square, kernel_sizes=[2, 2], pad_type="same_lower"),
            mb.l2_pool(x=square, kernel_sizes=[2, 2], pad_type="same_lower"),
        ),
        {"line": line, "square": square},
    )
    np.testing.assert_allclose(mean.ravel(), [1.5, 4.0, 6.5], rtol=1e-6)
    np.testing.assert_allclose(root.ravel(), [2.236068, 7.071068, 9.219544], rtol=1e-6)
    np.testing.assert_allclose(lower_mean.ravel(), [0.25, 0.75, 1, 2.5], rtol=1e-6)
    np.testing.assert_allclose(lower_root.ravel(), [1, 2.236068, 3.162278, 5.477226], rtol=1e-6)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pad"),
    [(6, 3, 2, 0), (6, 3, 2, 1), (7, 2, 3, 1), (8, 3, 3, 1), (5, 2, 2, 0), (7, 4, 3, 2)],
)
@pytest.mark.parametrize("axes", [1, 2])
def test_ceil_mode_is_that_of_pytorch(size, kernel, stride, pad, axes):
    x = numbers(1, 2, *[size] * axes)
    parameters = {"kernel_sizes": [kernel] * axes, "strides": [stride] * axes, "ceil_mode": True}
    parameters |= {"pad_type": "custom", "pad": [pad] * 2 * axes} if pad else {"pad_type": "valid"}
    largest, mean, inner, root = computed(
        lambda mb, x: (
            mb.max_pool(x=x, **parameters),
            mb.avg_pool(x=x, **parameters),
            mb.avg_pool(x=x, exclude_padding_from_average=True, **parameters),
            mb.l2_pool(x=x, **parameters),
        ),
        {"x": x},
    )
    max_pool, avg_pool = [(F.max_pool1d, F.avg_pool1d), (F.max_pool2d, F.avg_pool2d)][axes - 1]
    given, common = torch.from_numpy(x), {"padding": pad, "ceil_mode": True}
    np.testing.assert_array_equal(largest, max_pool(given, kernel, stride, **common).numpy())
    np.testing.assert_allclose(mean, avg_pool(given, kernel, stride, **common).numpy(), rtol=2e-6)
    excluded = avg_pool(given, kernel, stride, count_include_pad=False, **common).numpy()
    np.testing.assert_allclose(inner, excluded, rtol=2e-6)
    lp_pool = [F.lp_pool1d, F.lp_pool2d][axes - 1]
    grown = F.pad(given, [pad, pad + kernel] * axes)  # lp_pool knows no padding; more of it than needed gives more windows at the end
    np.testing.assert_allclose(root, lp_pool(grown, 2.0, kernel, stride).numpy()[(..., *[slice(root.shape[-1])] * axes)], rtol=2e-6)


def values(*entries):
    return torch.tensor(entries, dtype=torch.int32)


@pytest.mark.parametrize(
    ("operator", "arguments", "reason"),
    [
        ("avg_pool", {"pad_type": "mirror"}, "pad_type 'mirror'"),
        ("avg_pool", {"pad_type": "same", "ceil_mode": True}, "ceil_mode with pad_type 'same'"),
        ("max_pool", {"pad_type": "custom", "pad": values(1, 0), "ceil_mode": True}, "ceil_mode with"),
        ("max_pool", {"pad_type": "custom", "pad": values(2, 0)}, "axis 0 covers no cell"),
        ("max_pool", {"pad_type": "custom", "pad": values(0, 3)}, "axis 0 covers no cell"),
        ("avg_pool", {"pad_type": "custom", "pad": values(2, 2), "exclude_padding_from_average": True}, "axis 0 covers no cell"),
        ("avg_pool", {"pad_type": "valid", "kernel_sizes": values(1), "strides": values(6), "ceil_mode": True}, "axis 0 covers no cell"),
        ("l2_pool", {"pad_type": "valid", "x": torch.zeros(1, 1, 2, 2, 2)}, "three spatial axes"),
        ("max_pool", {"pad_type": "valid", "x": torch.zeros(1, 1, 2, 2, 2), "kernel_sizes": values(1, 1, 1), "ceil_mode": True}, "3 spatial axes"),
    ],
)
def test_what_is_not_defined_is_refused(operator, arguments, reason):
    with pytest.raises(OperatorError, match=reason):
        OPERATORS[operator].compute(**({"x": torch.zeros(1, 1, 6), "kernel_sizes": values(2)} | arguments))


def test_a_mean_may_be_of_padding_only():
    got = OPERATORS["avg_pool"].compute(x=torch.ones(1, 1, 2), kernel_sizes=values(2), pad_type="custom", pad=values(2, 0))
    assert got.tolist() == [[[0, 0.5, 1]]]
