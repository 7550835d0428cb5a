import numpy as np
import pytest
import torch
from building import computed
from torch.nn import functional as F

from edgekit.mil.operators.context import Context, OperatorError
from edgekit.mil.operators.registry import OPERATORS
from edgekit.mil.types import TensorType

RANDOM = np.random.default_rng(0)


def numbers(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
def test_linear(shape):
    x, weight, bias = numbers(*shape), numbers(5, 4), numbers(5)
    plain, biased = computed(lambda mb, x: (mb.linear(x=x, weight=weight), mb.linear(x=x, weight=weight, bias=bias)), {"x": x})
    expected = (x[..., None, :] * weight).sum(-1)
    np.testing.assert_allclose(plain, expected, rtol=0, atol=2e-6)
    np.testing.assert_allclose(biased, expected + bias, rtol=0, atol=2e-6)


def test_a_weight_of_integers():
    x, weight, bias = numbers(3, 4), np.arange(8, dtype=np.int32).reshape(2, 4), np.array([5, -5], np.int32)
    linear, product = computed(lambda mb, x: (mb.linear(x=x, weight=weight, bias=bias), mb.matmul(x=x, y=weight, transpose_y=True)), {"x": x})
    np.testing.assert_allclose(linear, np.matmul(x, weight.T) + bias, rtol=0, atol=1e-5)
    np.testing.assert_allclose(product, np.matmul(x, weight.T), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("x", "y", "transpose"),
    [
        ((4, 3), (3, 2), {}),
        ((10, 4, 3), (5, 10, 3, 2), {}),
        ((2, 3, 4), (2, 3, 5), {"transpose_x": True}),
        ((2, 4, 3), (5, 3), {"transpose_y": True}),
        ((3, 4), (2, 5, 3), {"transpose_x": True, "transpose_y": True}),
        ((4,), (4, 3), {}),
        ((4,), (3, 4), {"transpose_y": True}),
    ],
)
def test_matmul(x, y, transpose):
    left, right = numbers(*x), numbers(*y)
    (got,) = computed(lambda mb, x, y: mb.matmul(x=x, y=y, **transpose), {"x": left, "y": right})
    a = left.swapaxes(-1, -2) if transpose.get("transpose_x") else left
    b = right.swapaxes(-1, -2) if transpose.get("transpose_y") else right
    # Written as a sum of products, with a row put before a vector.
    rows = a if a.ndim > 1 else a[None]
    expected = (rows[..., :, :, None] * b[..., None, :, :]).sum(-2)
    np.testing.assert_allclose(got, expected if a.ndim > 1 else expected[..., 0, :], rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([1.0, 2], [3.0, 4], 11),
        ([[1.0, 2], [3, 4]], [5.0, 6], [17, 39]),
        ([1.0, 2], [[[1.0, 2], [3, 4]], [[5, 6], [7, 8]]], [[7, 10], [19, 22]]),
    ],
)
def test_products_with_a_vector_that_cannot_be_built(x, y, expected):
    """As the reference describes them: Core ML Tools 9.0 stops at the first two and declares a wrong shape for the third."""
    context = Context(outputs=(TensorType("fp32"),), opset="CoreML7")
    assert OPERATORS["matmul"].compute(context, x=torch.tensor(x), y=torch.tensor(y)).tolist() == expected


def test_a_vector_is_never_transposed():
    context = Context(outputs=(TensorType("fp32"),), opset="CoreML7")
    vector = torch.tensor([1.0, 2])
    assert float(OPERATORS["matmul"].compute(context, x=vector, y=vector, transpose_x=True, transpose_y=True)) == 5


def test_matmul_of_integers():
    x, y = np.array([[2, -3], [4, 5]], np.int32), np.array([[1, 7], [-2, 3]], np.int32)
    (got,) = computed(lambda mb, x, y: mb.matmul(x=x, y=y), {"x": x, "y": y})
    assert got.tolist() == [[8, 5], [-6, 43]]
    assert got.dtype == np.int32


@pytest.mark.parametrize(
    ("equation", "x", "y"),
    [
        ("nchw,nwhu->nchu", (2, 3, 4, 5), (2, 5, 4, 6)),
        ("aipk,akpq->aipq", (1, 3, 4, 5), (2, 5, 1, 6)),
        ("chw,whr->chr", (3, 4, 5), (5, 4, 6)),
        ("bij,jik->bik", (3, 1, 5), (5, 4, 6)),
    ],
)
def test_einsum(equation, x, y):
    left, right = numbers(*x), numbers(*y)
    (got,) = computed(lambda mb, x, y: mb.einsum(values=(x, y), equation=equation), {"x": left, "y": right})
    expected = np.matmul(left.swapaxes(-3, -2), right.swapaxes(-3, -2)).swapaxes(-3, -2)
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6)


TRUTH = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 1, 1], [1, 1, 1, 0, 0]], np.int32)


@pytest.mark.parametrize("mask", [None, TRUTH, numbers(3, 5), numbers(2, 1, 3, 5)], ids=["none", "truth", "numbers", "broadcast"])
def test_attention(mask):
    query, key, value = numbers(2, 2, 3, 4), numbers(2, 2, 5, 4), numbers(2, 2, 5, 6)
    inputs = {"query": query, "key": key, "value": value} | ({} if mask is None else {"attn_mask": mask})

    def build(mb, query, key, value, attn_mask=None):
        if attn_mask is None:
            return mb.scaled_dot_product_attention(query=query, key=key, value=value)
        given = mb.cast(x=attn_mask, dtype="bool") if mask.dtype == np.int32 else attn_mask
        return mb.scaled_dot_product_attention(query=query, key=key, value=value, attn_mask=given)

    (got,) = computed(build, inputs, ios=18)
    added = 0 if mask is None else np.where(mask == 1, 0, -np.inf) if mask.dtype == np.int32 else mask
    weights = np.exp(np.einsum("bhle,bhse->bhls", query, key) / 2 + added)  # E is 4
    expected = np.einsum("bhls,bhsv->bhlv", weights / weights.sum(-1, keepdims=True), value)
    np.testing.assert_allclose(got, expected, rtol=0, atol=3e-6)
    tensors = [torch.from_numpy(entry) for entry in (query, key, value)]
    given = None if mask is None else torch.from_numpy(mask.astype(bool) if mask.dtype == np.int32 else mask)
    np.testing.assert_allclose(got, F.scaled_dot_product_attention(*tensors, given).numpy(), rtol=0, atol=3e-6)


def test_what_is_not_defined_is_refused():
    with pytest.raises(OperatorError, match="equation 'ij,jk->ik'"):
        OPERATORS["einsum"].compute(values=(torch.zeros(2, 2), torch.zeros(2, 2)), equation="ij,jk->ik")
    context = Context(outputs=(TensorType("int32", (1, 1)),), opset="CoreML7")
    with pytest.raises(OperatorError, match=r"a product of torch.int32 and torch.float32 as int32"):
        OPERATORS["linear"].compute(context, x=torch.ones(1, 2, dtype=torch.int32), weight=torch.ones(1, 2))
