"""Convolutions against loops over cells; the padding that each ``pad_type`` means is written out."""

import itertools

import numpy as np
import pytest
import torch
from building import computed

from edgekit.mil.operators.context import OperatorError
from edgekit.mil.operators.registry import OPERATORS

RANDOM = np.random.default_rng(0)


def numbers(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def looped(x, weight, *, pads, strides, dilations, groups=1):
    """Return the convolution as nested sums, from its definition."""
    batch, outputs, kernel = x.shape[0], weight.shape[0], weight.shape[2:]
    grown = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *pads])
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    counts = [(n - e) // s + 1 for n, e, s in zip(grown.shape[2:], extents, strides, strict=True)]
    result = np.zeros((batch, outputs, *counts))
    per_group, inner = outputs // groups, weight.shape[1]
    for n, o, c in itertools.product(range(batch), range(outputs), range(inner)):
        channel = grown[n, o // per_group * inner + c]
        for place in np.ndindex(*counts):
            for k in np.ndindex(*kernel):
                cell = tuple(p * s + i * d for p, s, i, d in zip(place, strides, k, dilations, strict=True))
                result[n, o, *place] += channel[cell] * weight[o, c, *k]
    return result


def spread(x, weight, *, strides, dilations, groups=1):
    """Return the whole transposed convolution: each input cell adds its multiple of the kernel."""
    batch, channels, kernel = x.shape[0], x.shape[1], weight.shape[2:]
    per_group = weight.shape[1]
    sizes = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(x.shape[2:], strides, kernel, dilations, strict=True)]
    result = np.zeros((batch, per_group * groups, *sizes))
    for n, c, o in itertools.product(range(batch), range(channels), range(per_group)):
        for place in np.ndindex(*x.shape[2:]):
            for k in np.ndindex(*kernel):
                cell = tuple(p * s + i * d for p, s, i, d in zip(place, strides, k, dilations, strict=True))
                result[n, c // (channels // groups) * per_group + o, *cell] += float(x[n, c, *place]) * weight[c, o, *k]
    return result


@pytest.mark.parametrize(
    ("x", "weight", "parameters", "pads"),
    [
        ((2, 3, 7), (4, 3, 2), {}, [(0, 0)]),
        ((1, 2, 8), (2, 2, 3), {"strides": [2], "dilations": [2], "pad_type": "custom", "pad": [3, 1]}, [(3, 1)]),
        ((1, 4, 6, 5), (6, 2, 3, 2), {"groups": 2, "pad_type": "valid", "pad": [9, 9, 9, 9]}, [(0, 0), (0, 0)]),
        ((1, 3, 6, 5), (6, 1, 3, 3), {"groups": 3, "pad_type": "custom", "pad": [1, 0, 2, 3], "strides": [2, 1]}, [(1, 0), (2, 3)]),
        ((1, 2, 6, 5), (3, 2, 2, 4), {"pad_type": "same"}, [(0, 1), (1, 2)]),
        ((1, 2, 6, 5), (3, 2, 2, 4), {"pad_type": "same_lower"}, [(1, 0), (2, 1)]),
        ((1, 2, 6, 5), (3, 2, 3, 3), {"pad_type": "same", "strides": [2, 2]}, [(0, 1), (1, 1)]),
        ((1, 2, 6, 5), (3, 2, 3, 3), {"pad_type": "same_lower", "strides": [2, 3]}, [(1, 0), (1, 0)]),
        ((1, 2, 6, 5), (3, 2, 1, 2), {"pad_type": "same", "strides": [3, 1], "dilations": [1, 3]}, [(0, 0), (1, 2)]),
        ((1, 2, 4, 3, 4), (2, 2, 2, 3, 1), {"pad_type": "same", "strides": [1, 1, 2]}, [(0, 1), (1, 1), (0, 0)]),
        ((1, 2, 4, 3, 4), (2, 1, 2, 1, 3), {"groups": 2, "pad_type": "custom", "pad": [1, 0, 0, 0, 0, 2]}, [(1, 0), (0, 0), (0, 2)]),
    ],
)
def test_convolution(x, weight, parameters, pads):
    values, kernel, bias = numbers(*x), numbers(*weight), numbers(weight[0])
    plain, biased = computed(
        lambda mb, x: (mb.conv(x=x, weight=kernel, **parameters), mb.conv(x=x, weight=kernel, bias=bias, **parameters)), {"x": values}
    )
    ones = [1] * (len(x) - 2)
    expected = looped(
        values,
        kernel,
        pads=pads,
        strides=parameters.get("strides", ones),
        dilations=parameters.get("dilations", ones),
        groups=parameters.get("groups", 1),
    )
    np.testing.assert_allclose(plain, expected, rtol=0, atol=2e-5)
    np.testing.assert_allclose(biased, expected + bias.reshape(1, -1, *ones), rtol=0, atol=2e-5)


def test_a_weight_may_be_computed():
    x, weight = numbers(1, 2, 5, 5), numbers(3, 2, 2, 2)
    (got,) = computed(lambda mb, x, weight: mb.conv(x=x, weight=weight), {"x": x, "weight": weight})
    np.testing.assert_allclose(got, looped(x, weight, pads=[(0, 0)] * 2, strides=[1, 1], dilations=[1, 1]), rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("x", "weight", "parameters", "kept"),
    [
        # kept: first cell of the whole result, and count
        ((2, 3, 4), (3, 2, 3), {"strides": [2]}, [(0, 9)]),
        ((1, 4, 3, 4), (4, 2, 3, 2), {"groups": 2, "dilations": [2, 1]}, [(0, 7), (0, 5)]),
        ((1, 2, 3, 4), (2, 3, 3, 4), {"strides": [2, 3], "pad_type": "custom", "pad": [1, 0, 2, 1]}, [(1, 6), (2, 10)]),
        ((1, 2, 3, 4), (2, 3, 3, 4), {"strides": [2, 1], "pad_type": "same"}, [(0, 6), (1, 4)]),
        ((1, 2, 3, 4), (2, 3, 2, 1), {"strides": [3, 2], "pad_type": "same"}, [(0, 9), (0, 8)]),
        ((1, 2, 3, 4), (2, 3, 3, 4), {"strides": [2, 2], "pad_type": "same", "output_shape": [1, 3, 5, 7]}, [(1, 5), (1, 7)]),
        ((1, 2, 3, 4), (2, 3, 3, 4), {"strides": [3, 2], "output_shape": [1, 3, 11, 11]}, [(0, 11), (0, 11)]),
        ((1, 2, 4), (2, 2, 3), {"strides": [2], "pad_type": "custom", "pad": [1, 0], "output_shape": [1, 2, 9]}, [(1, 9)]),
        ((1, 2, 2, 3, 2), (2, 2, 2, 1, 3), {"strides": [2, 1, 2], "pad_type": "custom", "pad": [0, 1, 0, 0, 1, 1]}, [(0, 3), (0, 3), (1, 3)]),
    ],
)
def test_transposed_convolution(x, weight, parameters, kept):
    groups = parameters.get("groups", 1)
    values, kernel, bias = numbers(*x), numbers(*weight), numbers(weight[1] * groups)
    plain, biased = computed(
        lambda mb, x: (mb.conv_transpose(x=x, weight=kernel, **parameters), mb.conv_transpose(x=x, weight=kernel, bias=bias, **parameters)),
        {"x": values},
    )
    ones = [1] * (len(x) - 2)
    whole = spread(values, kernel, strides=parameters.get("strides", ones), dilations=parameters.get("dilations", ones), groups=groups)
    room = np.pad(whole, [(0, 0), (0, 0), *[(0, 5)] * len(ones)])
    expected = room[(slice(None), slice(None), *(slice(first, first + count) for first, count in kept))]
    np.testing.assert_allclose(plain, expected, rtol=0, atol=2e-5)
    np.testing.assert_allclose(biased, expected + bias.reshape(1, -1, *ones), rtol=0, atol=2e-5)


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("parameters", [{"pad_type": "same"}, {"pad_type": "valid"}, {"pad_type": "custom", "pad": [2, 1]}])
def test_output_shape_makes_it_the_adjoint_of_conv(size, parameters):
    """``<conv(u), v> == <u, conv_transpose(v)>`` for every u and v."""
    u, weight = numbers(1, 2, size), numbers(3, 2, 3)
    (mapped,) = computed(lambda mb, x: mb.conv(x=x, weight=weight, strides=[2], **parameters), {"x": u})
    v = numbers(*mapped.shape)
    (back,) = computed(lambda mb, x: mb.conv_transpose(x=x, weight=weight, strides=[2], output_shape=u.shape, **parameters), {"x": v})
    assert (mapped * v).sum() == pytest.approx((u * back).sum(), abs=1e-5)


def values(*entries):
    return torch.tensor(entries, dtype=torch.int32)


@pytest.mark.parametrize(
    ("operator", "arguments", "reason"),
    [
        ("conv", {"pad_type": "reflect"}, "pad_type 'reflect'"),
        ("conv", {"pad_type": "custom", "pad": values(-1, 0)}, r"pad \[-1, 0\]"),
        ("conv", {"x": torch.zeros(4, 4)}, "rank 2"),
        ("conv_transpose", {"pad_type": "same_lower"}, "pad_type 'same_lower'"),
        ("conv_transpose", {"output_shape": values(1, 1, 4)}, r"output_shape \[4\]: no conv"),
        ("conv_transpose", {"output_shape": values(1, 1, 8)}, r"output_shape \[8\]: no conv"),
    ],
)
def test_what_is_not_defined_is_refused(operator, arguments, reason):
    with pytest.raises(OperatorError, match=reason):
        OPERATORS[operator].compute(**({"x": torch.zeros(1, 1, 5), "weight": torch.zeros(1, 1, 3)} | arguments))
