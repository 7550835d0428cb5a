"""Pooling over one to three spatial axes."""

import math

import torch
from attrs import frozen
from torch.nn import functional as F

from edgekit.mil.operators.context import OperatorError, Tensor, flag, integers
from edgekit.mil.operators.windows import Pads, padded, paddings, per_axis, spatial_axes

_MEAN = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_MAXIMUM = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


@frozen
class _Windows:
    """Where the windows lie; ``overhang`` is how far the last one reaches over the padding (``ceil_mode``), per axis."""

    kernel: list[int]
    strides: list[int]
    pads: Pads
    overhang: Pads
    counts: list[int]

    @property
    def around(self) -> Pads:
        """Padding and overhang together."""
        return [(before, after + over) for (before, after), (_, over) in zip(self.pads, self.overhang, strict=True)]

    def require_cells(self, sizes: torch.Size, *, padding_counts: bool) -> None:
        """Refuse a window that covers no cell: what it gives is not defined."""
        for axis, size in enumerate(sizes):
            before, after = self.pads[axis]
            start, end = (0, before + size + after) if padding_counts else (before, before + size)
            if self.kernel[axis] <= start or (self.counts[axis] - 1) * self.strides[axis] >= end:
                raise OperatorError(f"a window along spatial axis {axis} covers no cell")


def avg_pool(
    *,
    x: Tensor,
    kernel_sizes: Tensor,
    pad_type: str,
    strides: Tensor | None = None,
    pad: Tensor | None = None,
    exclude_padding_from_average: Tensor | bool = False,
    ceil_mode: Tensor | bool = False,
) -> Tensor:
    """Mean of each window, padding counted as zeros or not at all; cells beyond the padding (``ceil_mode``) never count."""
    windows = _windows(x, kernel_sizes, strides, pad_type, pad, ceil=flag(ceil_mode))
    padding_counts = not flag(exclude_padding_from_average)
    windows.require_cells(x.shape[2:], padding_counts=padding_counts)
    ones = torch.ones(1, 1, *x.shape[2:])
    counted = padded(padded(ones, windows.pads, 1.0), windows.overhang) if padding_counts else padded(ones, windows.around)
    mean = _MEAN[x.ndim - 2]
    return mean(padded(x, windows.around), windows.kernel, windows.strides) / mean(counted, windows.kernel, windows.strides)


def l2_pool(
    *,
    x: Tensor,
    kernel_sizes: Tensor,
    pad_type: str,
    strides: Tensor | None = None,
    pad: Tensor | None = None,
    ceil_mode: Tensor | bool = False,
) -> Tensor:
    """``sqrt(sum(x * x))`` of each window."""
    if x.ndim == 5:
        raise OperatorError("three spatial axes")
    windows = _windows(x, kernel_sizes, strides, pad_type, pad, ceil=flag(ceil_mode))
    windows.require_cells(x.shape[2:], padding_counts=True)
    mean = _MEAN[x.ndim - 2](padded(x * x, windows.around), windows.kernel, windows.strides)
    return torch.sqrt(mean * math.prod(windows.kernel))


def max_pool(
    *,
    x: Tensor,
    kernel_sizes: Tensor,
    pad_type: str,
    strides: Tensor | None = None,
    pad: Tensor | None = None,
    ceil_mode: Tensor | bool = False,
) -> Tensor:
    """Largest element of each window; padding never wins."""
    windows = _windows(x, kernel_sizes, strides, pad_type, pad, ceil=flag(ceil_mode))
    windows.require_cells(x.shape[2:], padding_counts=False)
    return _MAXIMUM[x.ndim - 2](padded(x, windows.around, -math.inf), windows.kernel, windows.strides)


def _windows(x: Tensor, kernel_sizes: Tensor, strides: Tensor | None, pad_type: str, pad: Tensor | None, *, ceil: bool) -> _Windows:
    axes, sizes = spatial_axes(x), x.shape[2:]
    kernel, steps = integers(kernel_sizes), per_axis(strides, axes)
    kind = pad_type.lower()
    pads = paddings(kind, pad, sizes=sizes, extents=kernel, strides=steps)
    if ceil and (kind not in ("valid", "custom") or axes > 2 or any(before != after for before, after in pads)):
        raise OperatorError(f"ceil_mode with pad_type {pad_type!r}, {axes} spatial axes and padding {pads}")
    counts = [_count(*entry, ceil=ceil) for entry in zip(sizes, pads, kernel, steps, strict=True)]
    overhang = [
        (0, max(0, (count - 1) * step + extent - before - size - after))
        for count, step, extent, size, (before, after) in zip(counts, steps, kernel, sizes, pads, strict=True)
    ]
    return _Windows(kernel, steps, pads, overhang, counts)


def _count(size: int, pads: tuple[int, int], extent: int, stride: int, *, ceil: bool) -> int:
    """Return how many windows lie along an axis; with ``ceil`` the last may reach over the end, but not begin behind it."""
    before, after = pads
    room = size + before + after - extent
    if not ceil:
        return room // stride + 1
    count = -(-room // stride) + 1
    # Without padding the reference keeps such a window; it covers no cell and is refused.
    return count - 1 if before + after > 0 and (count - 1) * stride >= size + before else count


OPERATORS = {"avg_pool": avg_pool, "l2_pool": l2_pool, "max_pool": max_pool}
