"""Convolution and its adjoint, over one to three spatial axes.

``conv_quantized`` is missing on purpose: it is marked experimental, and how its scale and bias broadcast is not defined.
"""

from torch.nn import functional as F

from edgekit.mil.operators.context import OperatorError, Tensor, along_channels, integer, integers
from edgekit.mil.operators.windows import Pads, padded, paddings, per_axis, spatial_axes

_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def conv(
    *,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    dilations: Tensor | None = None,
    groups: Tensor | int = 1,
) -> Tensor:
    """Sum ``weight * x`` over each window and a group's channels, plus ``bias``; the kernel is not mirrored."""
    axes = spatial_axes(x)
    steps, gaps = per_axis(strides, axes), per_axis(dilations, axes)
    pads = paddings(pad_type, pad, sizes=x.shape[2:], extents=_extents(weight, gaps), strides=steps)
    return _CONVOLUTIONS[axes](padded(x, pads), weight, bias, steps, 0, gaps, integer(groups))


def conv_transpose(
    *,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    pad: Tensor | None = None,
    output_shape: Tensor | None = None,
    pad_type: str = "valid",
    strides: Tensor | None = None,
    dilations: Tensor | None = None,
    groups: Tensor | int = 1,
) -> Tensor:
    """Spread each input cell over its window: the adjoint of the ``conv`` that maps the result's shape to the shape of ``x``.

    ``output_shape`` chooses among the shapes that this ``conv`` maps to the shape of ``x``. Another shape is refused: what it
    means is not defined (and Core ML's processors disagree about it).
    """
    if pad_type == "same_lower":
        raise OperatorError("pad_type 'same_lower'")
    axes = spatial_axes(x)
    steps, gaps = per_axis(strides, axes), per_axis(dilations, axes)
    extents = _extents(weight, gaps)
    whole = _TRANSPOSED[axes](x, weight, None, steps, 0, 0, integer(groups), gaps)
    if output_shape is not None:
        sizes = integers(output_shape)[2:]
    elif pad_type == "same":
        sizes = [size * step for size, step in zip(x.shape[2:], steps, strict=True)]
    else:
        pads = paddings(pad_type, pad, sizes=whole.shape[2:], extents=extents, strides=steps)
        sizes = [size - before - after for size, (before, after) in zip(whole.shape[2:], pads, strict=True)]
    pads = paddings(pad_type, pad, sizes=sizes, extents=extents, strides=steps)
    if _windows(sizes, pads, extents, steps) != list(x.shape[2:]):
        raise OperatorError(f"output_shape {sizes}: no conv with these parameters maps it to {list(x.shape[2:])}")
    # Cells of the result that no window reaches, after the last one, are 0 before the bias is added.
    cuts = [(-before, before + size - reached) for size, reached, (before, _) in zip(sizes, whole.shape[2:], pads, strict=True)]
    result = padded(whole, cuts)
    return result if bias is None else result + along_channels(bias, result)


def _extents(weight: Tensor, dilations: list[int]) -> list[int]:
    return [(size - 1) * gap + 1 for size, gap in zip(weight.shape[2:], dilations, strict=True)]


def _windows(sizes: list[int], pads: Pads, extents: list[int], strides: list[int]) -> list[int]:
    """Return how many windows fit along each axis."""
    return [
        (size + before + after - extent) // stride + 1 for size, (before, after), extent, stride in zip(sizes, pads, extents, strides, strict=True)
    ]


OPERATORS = {"conv": conv, "conv_transpose": conv_transpose}
