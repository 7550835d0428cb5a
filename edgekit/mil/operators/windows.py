"""Where windows lie on a padded tensor: what convolution and pooling share.

``sizes``, ``extents`` and ``strides`` have one entry per spatial axis; an extent is a kernel's size with its dilation.
"""

from collections.abc import Sequence

from torch.nn import functional as F

from edgekit.mil.operators.context import OperatorError, Tensor, integers

Pads = list[tuple[int, int]]
"""Cells added before and after, per spatial axis."""


def spatial_axes(x: Tensor) -> int:
    """Return how many axes follow batch and channels.

    :raises OperatorError: not one to three.
    """
    if not 3 <= x.ndim <= 5:
        raise OperatorError(f"an input of rank {x.ndim}, where 3 to 5 are defined")
    return x.ndim - 2


def per_axis(values: Tensor | None, axes: int) -> list[int]:
    """Read strides or dilations; 1 along every axis where they are not given."""
    return [1] * axes if values is None else integers(values)


def paddings(pad_type: str, pad: Tensor | None, *, sizes: Sequence[int], extents: Sequence[int], strides: Sequence[int]) -> Pads:
    """Return the padding that a ``pad_type`` means; ``pad`` counts for ``custom`` only.

    ``same`` gives ``ceil(size / stride)`` windows; an odd cell of it lies after, with ``same_lower`` before.

    :raises OperatorError: an unknown type, or a negative padding.
    """
    if pad_type == "valid" or (pad_type == "custom" and pad is None):
        return [(0, 0) for _ in sizes]
    if pad_type == "custom" and pad is not None:
        cells = integers(pad)
        if min(cells) < 0:
            raise OperatorError(f"pad {cells}")
        return list(zip(cells[::2], cells[1::2], strict=True))
    if pad_type not in ("same", "same_lower"):
        raise OperatorError(f"pad_type {pad_type!r}")
    totals = [max(0, (-(-size // stride) - 1) * stride + extent - size) for size, extent, stride in zip(sizes, extents, strides, strict=True)]
    halves = [(total // 2, total - total // 2) for total in totals]
    return halves if pad_type == "same" else [(after, before) for before, after in halves]


def padded(x: Tensor, pads: Pads, value: float = 0.0) -> Tensor:
    """Return ``x`` with cells added along its spatial axes; a negative number takes cells away."""
    cells = [count for pair in reversed(pads) for count in pair]
    return F.pad(x, cells, value=value) if any(cells) else x
