"""Choosing, sorting and counting; tensors made from nothing but a shape."""

import torch

from edgekit.mil.operators.context import OperatorError, Tensor, flag, integer, integers, number


def _sorted(x: Tensor, axis: int, *, ascending: bool) -> tuple[Tensor, Tensor]:
    """Return sorted values and their positions; the reference does not say which of equal values comes first: here the first in ``x``."""
    return torch.sort(x, dim=axis, descending=not ascending, stable=True)


def topk(
    *,
    x: Tensor,
    k: Tensor | int = 1,
    axis: Tensor | int = -1,
    ascending: Tensor | bool = False,
    sort: Tensor | bool = True,
    return_indices: Tensor | bool = True,
    output_indices_dtype: str = "int32",
) -> Tensor | tuple[Tensor, Tensor]:
    """The ``k`` largest (smallest if ``ascending``) values along an axis in order, and where they stand; ``-1`` is all.

    ``sort=False`` allows any order, so the sorted one.
    """
    del sort
    if output_indices_dtype not in {"int32", "uint16"}:
        raise OperatorError(f"output_indices_dtype {output_indices_dtype!r}")
    place = integer(axis)
    count = x.shape[place] if integer(k) == -1 else integer(k)
    values, positions = (part.narrow(place, 0, count) for part in _sorted(x, place, ascending=flag(ascending)))
    return (values, positions) if flag(return_indices) else values


def argsort(*, x: Tensor, axis: Tensor | int = -1, ascending: Tensor | bool = False) -> Tensor:
    """Where the values stand in ``x``, in descending or ascending order of the values."""
    return _sorted(x, integer(axis), ascending=flag(ascending))[1]


def cumsum(*, x: Tensor, axis: Tensor | int = 0, exclusive: Tensor | bool = False, reverse: Tensor | bool = False) -> Tensor:
    """Sums of the elements up to each one, itself left out if ``exclusive``; from the end if ``reverse``."""
    place = integer(axis)
    ordered = x.flip(place) if flag(reverse) else x
    sums = ordered.cumsum(place, dtype=x.dtype)
    if flag(exclusive):
        # not sums - x: a large element would leave its rounding error behind
        sums = torch.cat([torch.zeros_like(sums.narrow(place, 0, 1)), sums.narrow(place, 0, sums.shape[place] - 1)], dim=place)
    return sums.flip(place) if flag(reverse) else sums


def fill(*, shape: Tensor, value: Tensor | float = 0.0) -> Tensor:
    """A tensor of one repeated value."""
    return torch.as_tensor(value).reshape(()).expand(integers(shape)).clone()


def fill_like(*, ref_tensor: Tensor, value: Tensor | float = 0.0) -> Tensor:
    """A tensor of one repeated value, in the shape of another."""
    return torch.as_tensor(value).reshape(()).expand(ref_tensor.shape).clone()


def one_hot(
    *, indices: Tensor, one_hot_vector_size: Tensor, axis: Tensor | int = -1, on_value: Tensor | int = 1, off_value: Tensor | int = 0
) -> Tensor:
    """``on_value`` where the place on a new axis equals the index, ``off_value`` elsewhere."""
    places = torch.arange(integer(one_hot_vector_size))
    marked = (indices[..., None] == places).movedim(-1, integer(axis))
    return torch.where(marked, torch.as_tensor(on_value), torch.as_tensor(off_value))


def range_1d(*, start: Tensor, end: Tensor, step: Tensor) -> Tensor:
    """``start, start + step, ..`` up to but without ``end``."""
    if start.is_floating_point():
        return torch.arange(number(start), number(end), number(step), dtype=start.dtype)
    return torch.arange(integer(start), integer(end), integer(step), dtype=start.dtype)


def non_zero(*, x: Tensor) -> Tensor:
    """The positions of elements that are not zero, one a row."""
    return torch.nonzero(x)


def non_maximum_suppression(
    *,
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: Tensor,
    max_boxes: Tensor,
    score_threshold: Tensor | None = None,
    per_class_suppression: Tensor | bool = False,
) -> tuple[Tensor, ...]:
    """Take boxes by falling score, each unless it overlaps one already taken by ``IoU > iou_threshold``.

    iOS 15 and 16: boxes lie ``(n, B, 4)``, those below ``score_threshold`` are left out, and a fourth result counts the
    boxes taken. iOS 17: boxes lie ``(n, 4, B)``. A box's score is its largest over the classes, its class that one's.
    What is not filled has zeros, and index -1. If no box reaches the threshold, the best is taken all the same.
    Source of the last three sentences: ``TestNonMaximumSuppression`` of Core ML Tools.
    """
    last = score_threshold is None
    rows, marks = (boxes.mT, scores.mT) if last else (boxes, scores)
    most, least = integer(max_boxes), -torch.inf if score_threshold is None else number(score_threshold)
    out_rows, out_marks = rows.new_zeros(len(rows), most, 4), marks.new_zeros(len(rows), most, marks.shape[-1])
    out_places = torch.full((len(rows), most), -1, dtype=torch.int32)
    counts = torch.zeros(len(rows), dtype=torch.int32)
    for batch, (box, mark) in enumerate(zip(rows, marks, strict=True)):
        taken = _suppress(box, mark, number(iou_threshold), least, by_class=flag(per_class_suppression))[:most]
        count = len(taken)
        out_rows[batch, :count], out_marks[batch, :count] = box[taken], mark[taken]
        out_places[batch, :count] = torch.tensor(taken, dtype=torch.int32)
        counts[batch] = count
    if last:
        return out_rows.mT, out_marks.mT, out_places
    return out_rows, out_marks, out_places, counts


def _suppress(boxes: Tensor, scores: Tensor, most_overlap: float, least_score: float, *, by_class: bool) -> list[int]:
    """Return the boxes taken from one image, best first."""
    best, classes = scores.max(dim=-1)
    overlap = _overlaps(boxes)
    if by_class:
        overlap = overlap.where(classes[:, None] == classes, 0)
    order = [int(box) for box in torch.argsort(best, descending=True, stable=True)]
    taken: list[int] = []
    for box in order:
        if best[box] >= least_score and not any(overlap[box, other] > most_overlap for other in taken):
            taken.append(box)
    return taken or order[:1]


def _overlaps(boxes: Tensor) -> Tensor:
    """Return the intersection over the union of each two boxes, given by centre and size; boxes without area overlap nothing."""
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    shared = (torch.minimum(high[:, None], high) - torch.maximum(low[:, None], low)).clamp(min=0).prod(-1)
    area = boxes[:, 2:].prod(-1)
    return (shared / (area[:, None] + area - shared)).nan_to_num(0)


OPERATORS = {
    "topk": topk,
    "argsort": argsort,
    "cumsum": cumsum,
    "fill": fill,
    "fill_like": fill_like,
    "one_hot": one_hot,
    "range_1d": range_1d,
    "non_zero": non_zero,
    "non_maximum_suppression": non_maximum_suppression,
}
