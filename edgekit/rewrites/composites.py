"""Operators that some converters do not know, written by operators that all of them do.

Each function has its operator's arguments and values, ties, infinities and NaN included. It raises :class:`NotApart` with the reason in words where
it cannot. Exact but for the order of sums, unless its docstring says otherwise. Values of tensors must not be read: shapes may.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_ATEN = torch.ops.aten
_MAP = 4
"""Axes of maps: batch, channels, rows, columns."""
_MOST = 2**22
"""Values of the largest tensor in between; 16 MB."""


class NotApart(Exception):  # noqa: N818  it is an answer, not a failure
    """Why a call of an operator stays as it is."""


def take_along_dim(x: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """``gather`` of an index that is as large as the values; a negative place counts from the end."""
    if dim is None:
        return take_along_dim(x.reshape(-1), indices.reshape(-1), 0)
    dim %= x.dim()
    shape = torch.broadcast_shapes(*((*value.shape[:dim], 1, *value.shape[dim + 1 :]) for value in (x, indices)))
    along = [*shape[:dim], indices.shape[dim], *shape[dim + 1 :]]
    whole = [*shape[:dim], x.shape[dim], *shape[dim + 1 :]]
    return torch.gather(x.expand(whole), dim, torch.where(indices < 0, indices + x.shape[dim], indices).expand(along))


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """A transposition of groups and what is in them."""
    batch, channels, *rest = x.shape
    return x.reshape(batch, groups, channels // groups, -1).transpose(1, 2).reshape(batch, channels, *rest)


def rot90(x: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """A transposition and a flip for a quarter, two flips for half a turn."""
    one, other = dims
    k %= 4
    if k == 0:
        return x.clone()
    if k == 2:
        return x.flip((one, other))
    return x.flip((other,)).transpose(one, other) if k == 1 else x.transpose(one, other).flip((other,))


def circular_pad(x: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """What lies at the other end, put in front and behind by ``cat``."""
    del value
    if mode != "circular":
        raise NotApart(f"a pad of mode {mode} stays")
    for position in range(len(pad) // 2):
        axis, before, after = x.dim() - 1 - position, pad[2 * position], pad[2 * position + 1]
        size = x.shape[axis]
        if min(before, after) < 0 or max(before, after) > size:
            raise NotApart("it cuts off, or goes round more than once")
        parts = [x.narrow(axis, size - before, before)] * (before > 0) + [x] + [x.narrow(axis, 0, after)] * (after > 0)
        x = torch.cat(parts, axis) if len(parts) > 1 else x
    return x


def diagonal(x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """Every (columns + 1)th value of rows and columns as one axis."""
    one, other = dim1 % x.dim(), dim2 % x.dim()
    order = [axis for axis in range(x.dim()) if axis not in (one, other)] + [one, other]
    x = x.permute(order)
    rows, columns = x.shape[-2:]
    first, count = (offset, min(rows, columns - offset)) if offset >= 0 else (-offset * columns, min(rows + offset, columns))
    if count < 1:
        raise NotApart("there is nothing on that diagonal")
    return x.flatten(-2)[..., first : first + (count - 1) * (columns + 1) + 1 : columns + 1]


def einsum_with_diagonals(equation: str, operands: Sequence[Tensor], *, path: Any = None) -> Tensor:
    """A letter that a factor has twice: its diagonal first, then the product without it."""
    del path
    taken, arrow, given = equation.replace(" ", "").partition("->")
    parts = taken.split(",")
    if all(len(set(part)) == len(part) for part in parts) or "." in equation or not arrow:
        raise NotApart("no factor has an axis twice")
    narrowed = []
    for number, operand in enumerate(operands):
        part, x = parts[number], operand
        while (twice := next((letter for letter in part if part.count(letter) > 1), None)) is not None:
            x = diagonal(x, 0, part.index(twice), part.rindex(twice))
            part = part.replace(twice, "", 1)
            part = part[: (place := part.index(twice))] + part[place + 1 :] + twice
        parts[number] = part
        narrowed.append(x)
    return torch.einsum(f"{','.join(parts)}->{given}", *narrowed)


def rms_norm(x: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    """Values over the root of their mean square."""
    axes = [-1 - axis for axis in range(len(normalized_shape))]
    y = x * torch.rsqrt((x * x).mean(axes, keepdim=True) + (torch.finfo(x.dtype).eps if eps is None else eps))
    return y if weight is None else y * weight


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Each over its length, no shorter than ``eps``, then the sum of products."""
    one, other = (x / torch.clamp((x * x).sum(dim, keepdim=True).sqrt(), min=eps) for x in (x1, x2))
    return (one * other).sum(dim)


def batch_statistics(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    training: bool,  # noqa: FBT001
    momentum: float,
    eps: float,
    cudnn: bool,  # noqa: FBT001
) -> Tensor:
    """A batch norm by the statistics of what it is given."""
    del momentum, cudnn
    if mean is not None or var is not None or not training:
        raise NotApart("a batch norm with running statistics stays")
    axes = [0, *range(2, x.dim())]
    centred = x - x.mean(axes, keepdim=True)
    y = centred * torch.rsqrt((centred * centred).mean(axes, keepdim=True) + eps)
    shape = [1, -1, *([1] * (x.dim() - 2))]
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def variance(x: Tensor, dim: Any = None, *, correction: float | None = 1, keepdim: bool = False) -> Tensor:
    """The mean square of what differs from the mean, over one value less."""
    axes = [axis % x.dim() for axis in (range(x.dim()) if dim is None else [dim] if isinstance(dim, int) else dim)] or list(range(x.dim()))
    count = math.prod(x.shape[axis] for axis in axes)
    less = 1 if correction is None else correction
    if count <= less:
        raise NotApart("it divides by nothing")
    centred = x - x.mean(axes, keepdim=True)
    return (centred * centred).sum(axes, keepdim=keepdim) * (1 / (count - less))


def deviation(x: Tensor, dim: Any = None, *, correction: float | None = 1, keepdim: bool = False) -> Tensor:
    """The root of the variance."""
    return variance(x, dim, correction=correction, keepdim=keepdim).sqrt()


def unbiased_variance(x: Tensor, dim: Any, unbiased: bool = True, keepdim: bool = False) -> Tensor:  # noqa: FBT001, FBT002
    """The same, asked for by a truth value."""
    return variance(x, dim, correction=int(unbiased), keepdim=keepdim)


def unbiased_deviation(x: Tensor, dim: Any, unbiased: bool = True, keepdim: bool = False) -> Tensor:  # noqa: FBT001, FBT002
    """Its root."""
    return variance(x, dim, correction=int(unbiased), keepdim=keepdim).sqrt()


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: int | None = None) -> Tensor:
    """Roots of sums of squared differences, of every pair. Torch may multiply instead, which is less exact for points that lie close."""
    del compute_mode
    if p != 2.0:
        raise NotApart(f"it measures by powers of {p}")
    size = math.prod(torch.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])) * x1.shape[-2] * x2.shape[-2] * x1.shape[-1]
    if size > _MOST:
        raise NotApart(f"it would hold {size} differences; up to {_MOST} it is done")
    apart = x1.unsqueeze(-2) - x2.unsqueeze(-3)
    return (apart * apart).sum(-1).sqrt()


def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """``max(x, 0) + alpha * (exp(min(x, 0) / alpha) - 1)``."""
    return torch.relu(x) + alpha * (torch.exp(-torch.relu(-x) / alpha) - 1)


def elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    """Likewise, each part with a factor of its own."""
    return scale * (torch.relu(x) + alpha * (torch.exp(-torch.relu(-x) * input_scale) - 1))


def selu(x: Tensor) -> Tensor:
    """ELU with the two constants of its paper."""
    return elu(x, 1.6732632423543772, 1.0507009873554805)


def log_sigmoid(x: Tensor) -> Tensor:
    """``-softplus(-x)``."""
    return -F.softplus(-x)


def where_other(condition: Tensor, x: Tensor, other: float) -> Tensor:
    """A number as a tensor."""
    return torch.where(condition, x, torch.full((1,) * x.dim(), other, dtype=x.dtype))


def where_self(condition: Tensor, x: float, other: Tensor) -> Tensor:
    """A number as a tensor."""
    return torch.where(condition, torch.full((1,) * other.dim(), x, dtype=other.dtype), other)


def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:  # noqa: FBT001, FBT002
    """The place of the largest of the negated."""
    if not x.is_floating_point():
        raise NotApart("the least whole number has no negative")
    return torch.argmax(-x, dim, keepdim)


def max_values(x: Tensor, dim: int, keepdim: bool = False) -> Tensor:  # noqa: FBT001, FBT002
    """The largest with its axis kept, then without it, and without its place. To the bit."""
    y = torch.amax(x, dim, keepdim=True)
    return y if keepdim else y.reshape([size for axis, size in enumerate(x.shape) if axis != dim % x.dim()])


def grid_sampler(x: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Tensor:  # noqa: FBT001
    """The four values around each place, each by its share; outside are zeros, or the border. For finite places."""
    if x.dim() != _MAP or interpolation_mode != 0 or padding_mode not in (0, 1):
        raise NotApart("it samples a volume, the nearest value or a cubic, or mirrors at the border")
    batch, channels, *sizes = x.shape
    places = []
    for size, axis in zip(sizes, (1, 0), strict=True):  # the grid has columns first
        place = (grid[..., axis] + 1) * ((size - 1) / 2) if align_corners else (grid[..., axis] + 1) * (size / 2) - 0.5
        places.append(place.clamp(0, size - 1) if padding_mode == 1 else place)
    flat, first = x.reshape(batch, channels, -1), [place.floor() for place in places]
    total = torch.zeros_like(x[:, :1, :1, :1])
    for steps in ((0, 0), (0, 1), (1, 0), (1, 1)):
        corner = [start + step for start, step in zip(first, steps, strict=True)]
        share = (1 - (places[0] - corner[0]).abs()) * (1 - (places[1] - corner[1]).abs())
        within = [value.clamp(0, size - 1) for value, size in zip(corner, sizes, strict=True)]
        for value, held in zip(corner, within, strict=True):
            share = share * (value == held).to(x.dtype)
        index = (within[0] * sizes[1] + within[1]).to(torch.int64).reshape(batch, 1, -1).expand(batch, channels, -1)
        total = total + torch.gather(flat, 2, index).reshape(batch, channels, *share.shape[1:]) * share[:, None]
    return total


def adaptive_max_pool(x: Tensor, output_size: Sequence[int]) -> Tensor:
    """The largest of each window's rows, then of its columns; windows differ in size and overlap. Without the places."""
    for axis, wanted in ((-2, output_size[0]), (-1, output_size[1])):
        size = x.shape[axis]
        windows = [(place * size // wanted, -((place + 1) * size // -wanted)) for place in range(wanted)]
        x = torch.cat([x.narrow(axis, start, end - start).amax(axis, keepdim=True) for start, end in windows], axis)
    return x


def ceil_avg_pool(
    x: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    ceil_mode: bool = False,  # noqa: FBT001, FBT002
    count_include_pad: bool = True,  # noqa: FBT001, FBT002
    divisor_override: int | None = None,
) -> Tensor:
    """Zeros where windows reach out, then one factor a row and a column: how much of a window lies inside."""
    kernel, padding = [*kernel_size, *kernel_size][:2], [*padding, *padding][:2]
    stride = [*stride, *stride][:2] or kernel
    if not ceil_mode:
        raise NotApart("it does not round up")
    sizes = list(x.shape[-2:])
    shape = F.avg_pool2d(x, kernel, stride, padding, True, count_include_pad, divisor_override).shape[-2:]
    more = [(n - 1) * t + k - s - 2 * p for n, t, k, s, p in zip(shape, stride, kernel, sizes, padding, strict=True)]
    if max(more) <= 0:
        return F.avg_pool2d(x, kernel, stride, padding, False, count_include_pad, divisor_override)
    if any(padding) or divisor_override is not None:
        raise NotApart("it rounds up with padding of its own")
    y = F.avg_pool2d(F.pad(x, (0, max(more[1], 0), 0, max(more[0], 0))), kernel, stride)
    for axis, (n, t, k, s) in zip((-2, -1), zip(shape, stride, kernel, sizes, strict=True), strict=True):
        inside = torch.clamp(s - t * torch.arange(n, dtype=x.dtype), max=k)
        y = y * (k / inside).reshape([-1, 1] if axis == -2 else [-1])
    return y


def volume_avg_pool(
    x: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0, 0),
    ceil_mode: bool = False,  # noqa: FBT001, FBT002
    count_include_pad: bool = True,  # noqa: FBT001, FBT002
    divisor_override: int | None = None,
) -> Tensor:
    """Means along the first of three axes only, as a response norm over channels takes them: of a plane."""
    depth, *plane = kernel_size
    steps, pads = list(stride) or list(kernel_size), list(padding)
    if plane != [1, 1] or steps[1:] != [1, 1] or any(pads[1:]):
        raise NotApart("it pools rows and columns, too")
    flat = x.flatten(-2)
    pooled = F.avg_pool2d(flat, (depth, 1), (steps[0], 1), (pads[0], 0), ceil_mode, count_include_pad, divisor_override)
    return pooled.reshape([*pooled.shape[:-1], *x.shape[-2:]])


def padded_transposed_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    output_padding: Sequence[int] = (0, 0),
    groups: int = 1,
    dilation: Sequence[int] = (1, 1),
) -> Tensor:
    """All that the kernels reach, of which the padding is cut off, and what is asked for beyond filled up."""
    if not any(padding) and not any(output_padding):
        raise NotApart("it pads nothing")
    y = F.conv_transpose2d(x, weight, None, list(stride), 0, 0, groups, list(dilation))
    for axis, before, more in zip((-2, -1), [*padding, *padding][:2], [*output_padding, *output_padding][:2], strict=True):
        y = F.pad(y, (0, 0, 0, max(more - before, 0)) if axis == -2 else (0, max(more - before, 0)))
        y = y.narrow(axis, before, y.shape[axis] - 2 * before + min(more, before))
    return y if bias is None else y + bias.reshape(-1, 1, 1)


COMPOSITES: dict[str, tuple[Any, Callable[..., Tensor]]] = {
    "take_along_dim": (_ATEN.take_along_dim.default, take_along_dim),
    "channel_shuffle": (_ATEN.channel_shuffle.default, channel_shuffle),
    "rot90": (_ATEN.rot90.default, rot90),
    "circular_pad": (_ATEN.pad.default, circular_pad),
    "einsum_with_diagonals": (_ATEN.einsum.default, einsum_with_diagonals),
    "diagonal": (_ATEN.diagonal.default, diagonal),
    "rms_norm": (_ATEN.rms_norm.default, rms_norm),
    "cosine_similarity": (_ATEN.cosine_similarity.default, cosine_similarity),
    "batch_statistics": (_ATEN.batch_norm.default, batch_statistics),
    "variance": (_ATEN.var.correction, variance),
    "deviation": (_ATEN.std.correction, deviation),
    "unbiased_variance": (_ATEN.var.dim, unbiased_variance),
    "unbiased_deviation": (_ATEN.std.dim, unbiased_deviation),
    "cdist": (_ATEN.cdist.default, cdist),
    "celu": (_ATEN.celu.default, celu),
    "elu": (_ATEN.elu.default, elu),
    "selu": (_ATEN.selu.default, selu),
    "log_sigmoid": (_ATEN.log_sigmoid.default, log_sigmoid),
    "where_other": (_ATEN.where.ScalarOther, where_other),
    "where_self": (_ATEN.where.ScalarSelf, where_self),
    "argmin": (_ATEN.argmin.default, argmin),
    "max_values": (_ATEN.max.dim, max_values),
    "grid_sampler": (_ATEN.grid_sampler.default, grid_sampler),
    "volume_avg_pool": (_ATEN.avg_pool3d.default, volume_avg_pool),
    "adaptive_max_pool": (_ATEN.adaptive_max_pool2d.default, adaptive_max_pool),
    "padded_transposed_conv": (_ATEN.conv_transpose2d.input, padded_transposed_conv),
    "ceil_avg_pool": (_ATEN.avg_pool2d.default, ceil_avg_pool),
}
"""By name: the operator, and what computes the same."""
