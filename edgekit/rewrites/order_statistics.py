"""Values of a graph that are the score of one rank among scores: medians, k-th values, the last of a top-k.

median(s)   kthvalue(s, k).values   topk(s, k).values[..., i]   sort(s).values[..., i]   amax(s)   amin(s)   max(s, dim).values
"""

import operator
from collections.abc import Callable
from typing import Any

import torch
from attrs import frozen
from torch import fx

from edgekit.rewrites.alike import same_values, size_of
from edgekit.rewrites.graph import argument, is_call, shape_of

_ATEN = torch.ops.aten


@frozen
class OrderStatistic:
    """The score of ascending rank ``rank`` of ``count``, for each place of the axes but ``axis``; ``axis`` None: one of all scores."""

    scores: fx.Node
    axis: int | None
    count: int
    rank: int


def order_statistic(node: fx.Node) -> OrderStatistic | None:
    """Return which order statistic of which scores a node computes, a quantile aside."""
    if is_call(node, _ATEN.select.int, _ATEN.slice.Tensor):
        return _of_top_k(node)
    if is_call(node, _ATEN.median.default):
        return _ranked(node.args[0], None, lambda count: (count - 1) // 2)
    if is_call(node, _ATEN.max.default, _ATEN.min.default):
        last = node.target is _ATEN.max.default
        return _ranked(node.args[0], None, lambda count: count - 1 if last else 0)
    if is_call(node, _ATEN.amax.default, _ATEN.amin.default):
        axes, last = argument(node, 1, "dim", []), node.target is _ATEN.amax.default
        if len(axes) > 1:
            return None
        return _ranked(node.args[0], axes[0] if axes else None, lambda count: count - 1 if last else 0)
    if is_call(node, operator.getitem) and node.args[1] == 0:
        return _of_values_and_indices(node.args[0])
    return None


def _of_values_and_indices(node: Any) -> OrderStatistic | None:
    """``kthvalue``, and ``median``, ``max`` and ``min`` along an axis."""
    if is_call(node, _ATEN.kthvalue.default):
        rank = argument(node, 1, "k") - 1
        return _ranked(node.args[0], argument(node, 2, "dim", -1), lambda _: rank)
    if is_call(node, _ATEN.median.dim):
        return _ranked(node.args[0], argument(node, 1, "dim"), lambda count: (count - 1) // 2)
    if is_call(node, _ATEN.max.dim, _ATEN.min.dim):
        last = node.target is _ATEN.max.dim
        return _ranked(node.args[0], argument(node, 1, "dim"), lambda count: count - 1 if last else 0)
    if is_call(node, _ATEN.topk.default) and argument(node, 1, "k") == 1:
        return _sorted_at(node, 0, argument(node, 2, "dim", -1))
    return None


def _of_top_k(part: fx.Node) -> OrderStatistic | None:
    """One of the values that top-k or sort give, all rows' of one rank."""
    whole = argument(part, 0, "self")
    values = same_values(whole)
    if not is_call(values, operator.getitem) or values.args[1] != 0:
        return None
    found = values.args[0]
    if not is_call(found, _ATEN.topk.default, _ATEN.sort.default, _ATEN.sort.stable):
        return None
    axis = argument(found, 2, "dim", -1) if found.target is not _ATEN.sort.default else argument(found, 1, "dim", -1)
    length = shape_of(values)[axis]
    if (argument(part, 1, "dim", 0) - axis) % len(shape_of(values)) or shape_of(whole) != shape_of(values):
        return None
    place = argument(part, 2, "index") if part.target is _ATEN.select.int else argument(part, 2, "start")
    if part.target is _ATEN.slice.Tensor and length_of(part, axis) != 1:
        return None
    return _sorted_at(found, (place or 0) % length, axis)


def _sorted_at(found: fx.Node, place: int, axis: int) -> OrderStatistic | None:
    """Return the ``place``-th of the values that top-k or sort give, in their order."""
    if found.target is _ATEN.topk.default:
        if not argument(found, 4, "sorted", default=True) and argument(found, 1, "k") > 1:
            return None
        highest_first = argument(found, 3, "largest", default=True)
    else:
        highest_first = argument(found, 2 if found.target is _ATEN.sort.default else 3, "descending", default=False)
    return _ranked(found.args[0], axis, lambda count: count - 1 - place if highest_first else place)


def _ranked(scores: Any, axis: int | None, rank: Callable[[int], int]) -> OrderStatistic:
    count = length_of(scores, axis)
    return OrderStatistic(scores, axis_of(scores, axis), count, rank(count))


def axis_of(scores: fx.Node, axis: int | None) -> int | None:
    """Return an axis counted from the front; ``None`` for all values, and for the axis of a single one."""
    return None if axis is None or not shape_of(scores) else axis % len(shape_of(scores))


def length_of(node: fx.Node, axis: int | None) -> int:
    """Return how many values lie along an axis; of all where it is ``None``."""
    return size_of(node) if axis is None or not shape_of(node) else shape_of(node)[axis]
