"""Values of images between pixels and beyond their edges."""

import torch
from attrs import frozen

from edgekit.mil.operators.context import OperatorError, Tensor


def linear_along(x: Tensor, axis: int, points: Tensor) -> Tensor:
    """Return ``x`` at points of an axis, linear between its elements; the points lie on the axis."""
    lower = points.floor().long().clamp(max=x.shape[axis] - 1)
    upper = (lower + 1).clamp(max=x.shape[axis] - 1)
    weight = (points - lower).to(x.dtype).reshape([-1] + [1] * (-axis - 1 if axis < 0 else x.ndim - axis - 1))
    return x.index_select(axis, lower) * (1 - weight) + x.index_select(axis, upper) * weight


def image_at(x: Tensor, down: Tensor, across: Tensor, outside: float) -> Tensor:
    """Return images ``(.., H, W)`` at a grid of points, bilinear; ``outside`` where a point lies beyond the outer pixels."""
    height, width = x.shape[-2:]
    rows = linear_along(x, -2, down.clamp(0, height - 1))
    values = linear_along(rows, -1, across.clamp(0, width - 1))
    inside = ((down >= 0) & (down <= height - 1))[:, None] & ((across >= 0) & (across <= width - 1))
    return torch.where(inside, values, torch.tensor(outside, dtype=x.dtype))


def pixel_coordinates(points: Tensor, size: int, mode: str, *, aligned: bool) -> Tensor:
    """Return points in pixels, the first pixel's centre at 0; normalised ends are the outer pixels' centres if aligned, else their edges."""
    points = points.double()
    if mode == "unnormalized":
        return points
    if mode == "normalized_minus_one_to_one":
        points = (points + 1) / 2
    elif mode != "normalized_zero_to_one":
        raise OperatorError(f"coordinates_mode {mode!r}")
    return points * (size - 1) if aligned else points * size - 0.5


@frozen(kw_only=True)
class Sampled:
    """How an image continues between its pixels and beyond its edge."""

    interpolation: str
    padding: str
    value: float

    def __call__(self, x: Tensor, down: Tensor, across: Tensor) -> Tensor:
        """Return images ``(B, C, H, W)`` at points ``(B, H2, W2)`` in pixels."""
        if self.interpolation == "nearest":
            # Halfway, the upper one: so does the one case known from devices, in Core ML Tools' own TestResample.
            return self._pixels(x, (down + 0.5).floor(), (across + 0.5).floor())
        if self.interpolation != "bilinear":
            raise OperatorError(f"sampling_mode {self.interpolation!r}")
        top, left = down.floor(), across.floor()
        low, right = (down - top)[:, None].to(x.dtype), (across - left)[:, None].to(x.dtype)
        above = self._pixels(x, top, left) * (1 - right) + self._pixels(x, top, left + 1) * right
        below = self._pixels(x, top + 1, left) * (1 - right) + self._pixels(x, top + 1, left + 1) * right
        return above * (1 - low) + below * low

    def _pixels(self, x: Tensor, down: Tensor, across: Tensor) -> Tensor:
        """Return the pixels at whole coordinates, which may lie outside."""
        batch, channels, height, width = x.shape
        row, row_inside = self._continued(down.long(), height)
        column, column_inside = self._continued(across.long(), width)
        flat = (row * width + column).reshape(batch, 1, -1).expand(batch, channels, -1)
        pixels = x.reshape(batch, channels, -1).gather(2, flat).reshape(batch, channels, *down.shape[1:])
        return torch.where((row_inside & column_inside)[:, None], pixels, torch.tensor(self.value, dtype=x.dtype))

    def _continued(self, places: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Return which pixel stands at each place of an endless axis, and whether one does: ``|1 2 3|`` continues as the mode says."""
        everywhere = torch.ones_like(places, dtype=torch.bool)
        if self.padding == "constant":
            return places.clamp(0, size - 1), (places >= 0) & (places < size)
        if self.padding == "border":
            return places.clamp(0, size - 1), everywhere
        if self.padding == "reflection":
            period = max(2 * (size - 1), 1)
            turned = places % period
            return torch.minimum(turned, period - turned).clamp(max=size - 1), everywhere
        if self.padding == "symmetric":
            turned = places % (2 * size)
            return torch.minimum(turned, 2 * size - 1 - turned), everywhere
        raise OperatorError(f"padding_mode {self.padding!r}")
