"""Images at other sizes, and values between pixels.

A size of ``n`` becomes ``m`` by sampling at ``m`` grid points on ``[0, n - 1]``; the modes differ in where these lie.
Source of the formulas: ``resize_bilinear`` in the operator reference.
"""

import math

import torch

from edgekit.mil.operators.context import Context, OperatorError, Tensor, flag, integer, integers, number
from edgekit.mil.operators.sampling import Sampled, image_at, linear_along, pixel_coordinates

_MOST_FRACTION = 1e-3
_TIE = 1e-6
_HALF = 0.5 + _TIE / 2


def grid_points(size: float, count: int, mode: str) -> Tensor:
    """Return the grid points on ``[0, size - 1]``, not clamped yet; ``size`` is no whole number for a box."""
    steps = torch.arange(count, dtype=torch.float64)
    if mode == "ALIGN_CORNERS" and count == 1:
        return torch.tensor([(size - 1) / 2], dtype=torch.float64)
    if mode in {"STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"}:
        return steps * ((size - 1) / (count - 1) if count > 1 else 0)
    if mode == "DEFAULT":
        return steps * (size / count)
    if mode == "OFFSET_CORNERS":
        return (steps + 0.5) * (max(1, size - 1) / count)
    if mode == "UNALIGN_CORNERS":
        return (steps + 0.5) * (size / count) - 0.5
    raise OperatorError(f"sampling_mode {mode!r}")


def _linear(x: Tensor, axis: int, count: int, mode: str) -> Tensor:
    size = x.shape[axis]
    return linear_along(x, axis, grid_points(size, count, mode).clamp(0, size - 1))


def _bilinear(x: Tensor, height: int, width: int, mode: str) -> Tensor:
    return _linear(_linear(x, -2, height, mode), -1, width, mode)


def _scaled(size: int, scale: Tensor | float) -> int:
    """Return ``floor(size scale)``, computed as the builder does, in float32."""
    return math.floor(torch.tensor(number(scale), dtype=torch.float32) * size)


def upsample_nearest_neighbor(*, x: Tensor, scale_factor_height: Tensor | int = 1, scale_factor_width: Tensor | int = 1) -> Tensor:
    """``out[i] = x[floor(i n / m)]`` on the last two axes, ``m = n scale``.

    Source of the floor: Core ML Tools lower PyTorch's and TensorFlow's nearest interpolation to it.
    """
    for axis, scale in ((-2, scale_factor_height), (-1, scale_factor_width)):
        size = x.shape[axis]
        count = _scaled(size, scale)
        if abs(size * number(scale) - count) > _MOST_FRACTION:
            raise OperatorError(f"a scale of {number(scale):g} makes no whole size of {size}")
        x = x.index_select(axis, torch.arange(count) * size // count)
    return x


def resize_nearest_neighbor(*, x: Tensor, target_size_height: Tensor, target_size_width: Tensor) -> Tensor:
    """``out[i] = x[floor((i + 0.5) n / m)]`` on the last two axes.

    Source of the half: Core ML Tools lower TensorFlow's ``half_pixel_centers`` to it.
    """
    for axis, count in ((-2, integer(target_size_height)), (-1, integer(target_size_width))):
        x = x.index_select(axis, (2 * torch.arange(count) + 1) * x.shape[axis] // (2 * count))
    return x


def upsample_bilinear(
    *,
    x: Tensor,
    scale_factor_height: Tensor | int = 1,
    scale_factor_width: Tensor | int = 1,
    align_corners: Tensor | bool = True,
    half_pixel_centers: Tensor | bool | None = None,
) -> Tensor:
    """Linear between pixels of the last two axes; the spacing follows from the sizes, not from the scale."""
    aligned = flag(align_corners)
    halved = not aligned if half_pixel_centers is None else flag(half_pixel_centers)
    if aligned and halved:
        raise OperatorError("align_corners together with half_pixel_centers")
    mode = "STRICT_ALIGN_CORNERS" if aligned else "UNALIGN_CORNERS" if halved else "DEFAULT"
    return _bilinear(x, _scaled(x.shape[-2], scale_factor_height), _scaled(x.shape[-1], scale_factor_width), mode)


def resize_bilinear(
    *, x: Tensor, target_size_height: Tensor | int = 1, target_size_width: Tensor | int = 1, sampling_mode: str = "DEFAULT"
) -> Tensor:
    """Linear between pixels of the last two axes, at the mode's grid points."""
    return _bilinear(x, integer(target_size_height), integer(target_size_width), sampling_mode)


def resize(*, x: Tensor, shape: Tensor, resized_dims: Tensor, interpolation_mode: str = "LINEAR", sampling_mode: str = "DEFAULT") -> Tensor:
    """The last ``resized_dims`` axes at the last sizes of ``shape``, 0 keeping a size: linear, or the nearest pixel."""
    if interpolation_mode not in {"LINEAR", "NEAREST_NEIGHBOR"}:
        raise OperatorError(f"interpolation_mode {interpolation_mode!r}")
    sizes = integers(shape)
    count = integer(resized_dims)
    if not x.is_floating_point() and interpolation_mode == "LINEAR":
        raise OperatorError("linear interpolation of integers, whose rounding the reference does not define")
    for axis, wanted in zip(range(-count, 0), sizes[len(sizes) - count :], strict=True):
        if interpolation_mode == "LINEAR":
            x = _linear(x, axis, wanted or x.shape[axis], sampling_mode)
        else:
            x = _nearest(x, axis, wanted or x.shape[axis], sampling_mode)
    return x


def _nearest(x: Tensor, axis: int, count: int, mode: str) -> Tensor:
    """Take the pixels nearest to the grid points, as far as it is known which they are.

    UNALIGN_CORNERS is ``resize_nearest_neighbor``. Core ML Tools lower TensorFlow's ``floor((i + 0.5) n / m)`` to DEFAULT too,
    whose grid points ``i n / m`` may lie nearer to another pixel.
    """
    size = x.shape[axis]
    points = grid_points(size, count, mode).clamp(0, size - 1)
    centred = ((2 * torch.arange(count) + 1) * size // (2 * count)) if mode in {"DEFAULT", "UNALIGN_CORNERS"} else points.round().long()
    distance = (centred - points).abs()
    if mode != "UNALIGN_CORNERS" and bool((distance > _HALF if mode == "DEFAULT" else (distance - _HALF).abs() < _TIE).any()):
        raise OperatorError(f"the nearest of {size} pixels for {count} with sampling_mode {mode}, where the reference leaves open which")
    return x.index_select(axis, centred)


def crop(*, x: Tensor, crop_height: Tensor, crop_width: Tensor) -> Tensor:
    """The last two axes without so many elements at their beginning and end."""
    (top, bottom), (left, right) = integers(crop_height), integers(crop_width)
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


def crop_resize(
    context: Context,
    *,
    x: Tensor,
    roi: Tensor | None = None,
    boxes: Tensor | None = None,
    box_indices: Tensor | None = None,
    target_height: Tensor | int = 1,
    target_width: Tensor | int = 1,
    normalized_coordinates: Tensor | bool = False,
    spatial_scale: Tensor | float = 1.0,
    box_coordinate_mode: str = "CORNERS_HEIGHT_FIRST",
    sampling_mode: str = "DEFAULT",
    pad_value: Tensor | float | None = None,
) -> Tensor:
    """Boxes cut from images ``(B, C, H, W)``, each resized bilinearly; a point outside the image is ``pad_value``.

    iOS 15, 16: ``roi`` is ``(N, 1, 4, 1, 1)``, each box cut from all images, or ``(N, 1, 5, 1, 1)``, the image's number first.
    iOS 17: ``boxes`` is ``(N, 4)``, the images' numbers are ``box_indices``.
    """
    if context.opset == "CoreML5":
        pad_value = None
    given = boxes if boxes is not None else roi
    if given is None:
        raise OperatorError("it says neither roi nor boxes")
    rows = given.reshape(given.shape[0], -1).double()
    images: list[list[int]] = [list(range(len(x)))] * len(rows)
    if boxes is not None:
        images = [[image] for image in (range(len(rows)) if box_indices is None else integers(box_indices))]
    elif rows.shape[1] == 5:
        images, rows = [[int(image)] for image in rows[:, 0]], rows[:, 1:]
    corners = _corners(rows, box_coordinate_mode) * number(spatial_scale)
    if flag(normalized_coordinates):
        corners = corners * torch.tensor([x.shape[2] - 1, x.shape[3] - 1] * 2)
    fill = 0.0 if pad_value is None else number(pad_value)
    cuts = []
    for (top, left, bottom, right), of in zip(corners.tolist(), images, strict=True):
        heights = _box_points(top, bottom, integer(target_height), sampling_mode)
        widths = _box_points(left, right, integer(target_width), sampling_mode)
        if context.opset == "CoreML5" and (_outside(heights, x.shape[2]) or _outside(widths, x.shape[3])):
            raise OperatorError("a box that leaves the image, which iOS 15 does not define")
        cuts.append(image_at(x[of], heights, widths, fill))
    result = torch.stack(cuts)
    return result[:, 0] if boxes is not None else result


def _corners(rows: Tensor, mode: str) -> Tensor:
    """Return boxes as (top, left, bottom, right)."""
    kind, _, order = mode.rpartition("_HEIGHT_FIRST" if mode.endswith("_HEIGHT_FIRST") else "_WIDTH_FIRST")
    if kind not in {"CORNERS", "CENTER_SIZE"} or order:
        raise OperatorError(f"box_coordinate_mode {mode!r}")
    if mode.endswith("_WIDTH_FIRST"):
        rows = rows[:, [1, 0, 3, 2]]
    if kind == "CORNERS":
        return rows
    centre, half = rows[:, :2], rows[:, 2:] / 2
    return torch.cat([centre - half, centre + half], dim=1)


def _box_points(start: float, end: float, count: int, mode: str) -> Tensor:
    """Return the grid points of a box's side: those of a size ``end - start + 1``, moved to ``start``."""
    points = grid_points(end - start + 1, count, mode)
    if mode in {"STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"}:
        return start + points
    if end < start:
        raise OperatorError(f"sampling_mode {mode} of a box that ends before it starts")
    return start + points.clamp(0, end - start)


def _outside(points: Tensor, size: int) -> bool:
    return bool((points < 0).any() or (points > size - 1).any())


def resample(
    *,
    x: Tensor,
    coordinates: Tensor,
    sampling_mode: str,
    padding_mode: str,
    padding_value: Tensor,
    coordinates_mode: str,
    align_corners: Tensor,
) -> Tensor:
    """``out[b, c, h, w]`` is image ``x[b, c]`` at ``coordinates[b, h, w] = (x, y)``, between pixels and beyond its edge as the modes say."""
    sampled = Sampled(interpolation=sampling_mode, padding=padding_mode, value=number(padding_value))
    aligned = flag(align_corners)
    across = pixel_coordinates(coordinates[..., 0], x.shape[3], coordinates_mode, aligned=aligned)
    down = pixel_coordinates(coordinates[..., 1], x.shape[2], coordinates_mode, aligned=aligned)
    return sampled(x, down, across)


def affine(
    *,
    x: Tensor,
    transform_matrix: Tensor,
    output_height: Tensor,
    output_width: Tensor,
    sampling_mode: str,
    padding_mode: str,
    padding_value: Tensor,
    coordinates_mode: str,
    align_corners: Tensor,
) -> Tensor:
    """The image at ``(a0 x + a1 y + a2, b0 x + b1 y + b2)`` for the output's ``(x, y)``, corners at -1 and 1, zero outside."""
    wanted = ("bilinear", "constant", 0.0, "normalized_minus_one_to_one", True)
    if (sampling_mode, padding_mode, number(padding_value), coordinates_mode, flag(align_corners)) != wanted:
        raise OperatorError(f"other modes than {wanted}; the reference says that they are not supported")
    down = torch.linspace(-1, 1, integer(output_height))[:, None]
    across = torch.linspace(-1, 1, integer(output_width))[None, :]
    a0, a1, a2, b0, b1, b2 = transform_matrix.expand(len(x), 6)[:, :, None, None].unbind(1)
    places = torch.stack([a0 * across + a1 * down + a2, b0 * across + b1 * down + b2], dim=-1)
    return resample(
        x=x,
        coordinates=places,
        sampling_mode=sampling_mode,
        padding_mode=padding_mode,
        padding_value=padding_value,
        coordinates_mode=coordinates_mode,
        align_corners=align_corners,
    )


OPERATORS = {
    "upsample_nearest_neighbor": upsample_nearest_neighbor,
    "resize_nearest_neighbor": resize_nearest_neighbor,
    "upsample_bilinear": upsample_bilinear,
    "resize_bilinear": resize_bilinear,
    "resize": resize,
    "crop": crop,
    "crop_resize": crop_resize,
    "resample": resample,
    "affine": affine,
}
