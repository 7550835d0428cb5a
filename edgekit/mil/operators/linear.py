"""Products of matrices."""

import math

import torch

from edgekit.mil.operators.context import Context, OperatorError, Tensor, flag
from edgekit.mil.types import FLOATS

_EINSUMS = ("abcd,adce->abce", "abc,cbd->abd")


def linear(context: Context, *, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias``."""
    left, right = _alike(context, x, weight)
    product = torch.matmul(left, right.T)
    return product if bias is None else product + bias.to(product.dtype)


def matmul(context: Context, *, x: Tensor, y: Tensor, transpose_x: Tensor | bool = False, transpose_y: Tensor | bool = False) -> Tensor:
    """``x @ y`` as in NumPy; the last two axes exchanged before, which means nothing for a vector."""
    left, right = _alike(context, x, y)
    if flag(transpose_x) and left.ndim > 1:
        left = left.transpose(-1, -2)
    if flag(transpose_y) and right.ndim > 1:
        right = right.transpose(-1, -2)
    return torch.matmul(left, right)


def _alike(context: Context, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return both in the type to multiply in: since iOS 17 a constant may have another type than the other and the result."""
    if x.dtype == y.dtype:
        return x, y
    if context.dtype not in FLOATS:
        raise OperatorError(f"a product of {x.dtype} and {y.dtype} as {context.dtype}")
    return x.float(), y.float()


def einsum(*, values: tuple[Tensor, ...], equation: str) -> Tensor:
    """``nchw,nwhu->nchu`` or ``chw,whu->chu``, by whatever letters: a matrix product over axes -3 and -1, the others broadcast."""
    letters = dict.fromkeys(letter for letter in equation if letter.isalpha())
    renamed = equation.replace(" ", "").translate({ord(letter): chr(ord("a") + place) for place, letter in enumerate(letters)})
    if renamed not in _EINSUMS:
        raise OperatorError(f"equation {equation!r}")
    return torch.einsum(renamed, *values)


def scaled_dot_product_attention(*, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """``softmax(query @ key.T / sqrt(E) + mask) @ value``; a mask of truth values counts as 0 where true, else as minus infinity."""
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    return torch.softmax(scores, dim=-1) @ value


OPERATORS = {"einsum": einsum, "linear": linear, "matmul": matmul, "scaled_dot_product_attention": scaled_dot_product_attention}
