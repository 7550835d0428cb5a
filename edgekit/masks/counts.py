"""How many places of a mask are true, whatever its scores are, as long as no two of them are equal: read off a captured graph.

    threshold     quantile(s, q)   topk(s, k).values[..., i]   kthvalue(s, k)   median(s)   amax(s)   amin(s)
    mask          s > threshold, >=, <, <=                     by the rank of the threshold, :mod:`edgekit.masks.thresholds`
                  a & (s > threshold of s[a])                  the same, of the scores that a keeps
                  ~mask, cat(mask, mask), pad(mask), expand(mask), ones_like(x), a constant
                  the same values in another shape

The graph is a functional one: no value in it is written to. Values are the same where they are computed alike; a comparison with a
threshold of *other* scores says nothing about a number.
"""

from collections.abc import Callable
from typing import Any

import torch
from attrs import frozen
from torch import Tensor, fx

from edgekit.masks.assumed import ASSUMED_PLACES
from edgekit.masks.thresholds import Comparison, Threshold, quantile_threshold
from edgekit.rewrites.alike import alike, same_values, size_of
from edgekit.rewrites.graph import argument, is_call, shape_of
from edgekit.rewrites.order_statistics import axis_of, length_of, order_statistic

_ATEN = torch.ops.aten
_COMPARISONS: dict[Any, Comparison] = {
    getattr(getattr(_ATEN, name), kind): name for name in ("gt", "ge", "lt", "le") for kind in ("Tensor", "Scalar")
}
_SWAPPED: dict[Comparison, Comparison] = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}
_CASTS = (_ATEN.to.dtype, _ATEN._to_copy.default)  # noqa: SLF001


class NotCounted(Exception):  # noqa: N818  not an error: a refusal on its way out
    """Why a count is not known; a sentence for people."""


@frozen
class _Statistic:
    """A threshold of ``scores``, one for each place of the axes but ``axis``; ``axis`` None: one of all scores."""

    scores: fx.Node
    axis: int | None
    threshold: Threshold


@frozen
class MaskCounter:
    """Counts in one graph; ``constants`` by the names of their placeholders."""

    constants: dict[str, Tensor]

    def count(self, mask: Any) -> int:
        """Return at how many places ``mask`` is true.

        :raises NotCounted: that depends on the values.
        """
        mask = same_values(mask)
        if (constant := self.constants.get(mask.name)) is not None:
            return int(constant.count_nonzero())
        if (rule := _RULES.get(mask.target)) is not None:
            return rule(self, mask)
        if (filled := _filled(mask)) is not None:
            return size_of(mask) * filled
        raise NotCounted(
            f"how many it keeps depends on the values: it is made by {_name(mask)}, not by a comparison of scores with a threshold of them"
        )

    def inverted(self, mask: fx.Node) -> int:
        """``~mask``."""
        return size_of(mask) - self.count(mask.args[0])

    def joined(self, mask: fx.Node) -> int:
        """Masks one after the other."""
        return sum(self.count(part) for part in argument(mask, 0, "tensors"))

    def padded(self, mask: fx.Node) -> int:
        """A mask and more places, all true or all false."""
        source, named = argument(mask, 0, "self"), mask.target is _ATEN.pad.default  # of the two operators one names how it pads
        if min(argument(mask, 1, "pad")) < 0:
            raise NotCounted("how many it keeps depends on the values: places are cut off it")
        if named and argument(mask, 2, "mode", "constant") != "constant":
            raise NotCounted("how many it keeps depends on the values: places of it are repeated")
        return self.count(source) + bool(argument(mask, 3 if named else 2, "value", 0)) * (size_of(mask) - size_of(source))

    def repeated(self, mask: fx.Node) -> int:
        """A mask as often as it is expanded, in whatever order of its axes."""
        source = argument(mask, 0, "self")
        return self.count(source) * (size_of(mask) // max(size_of(source), 1))

    def cast(self, mask: fx.Node) -> int:
        """A mask that went through numbers."""
        source = same_values(argument(mask, 0, "self"))
        if is_call(source, *_CASTS) and argument(source, 0, "self").meta["val"].dtype == torch.bool:
            return self.count(source.args[0])
        raise NotCounted(f"how many it keeps depends on the values: it is made of the numbers of {_name(source)}")

    def narrowed(self, mask: fx.Node) -> int:
        """``a & (s > threshold of s[a])``, and the other way round."""
        one, other = (same_values(argument(mask, place, "")) for place in (0, 1))
        for kept, compared in ((one, other), (other, one)):
            if compared.target in _COMPARISONS:
                try:
                    return self.compared(compared, kept)
                except NotCounted:
                    continue
        raise NotCounted("it holds where two masks do, and how many places they share depends on the values")

    def compared(self, mask: fx.Node, among: fx.Node | None = None) -> int:
        """Count a comparison of scores with their threshold; ``among``: of those scores that this mask keeps."""
        comparison = _COMPARISONS[mask.target]
        left, right = argument(mask, 0, "self"), argument(mask, 1, "other")
        if right == 0 and is_call(source := same_values(left), _ATEN.sub.Tensor) and not source.kwargs:
            left, right = argument(source, 0, "self"), argument(source, 1, "other")  # s - t > 0: a difference is 0 only between equals
        for scores, other, sense in ((left, right, comparison), (right, left, _SWAPPED[comparison])):
            if isinstance(scores, fx.Node) and isinstance(other, fx.Node) and (found := self._statistic(other)) is not None:
                rows = self._rows(scores, other, found, among)
                if rows is None:
                    continue
                kept = found.threshold.kept(sense)
                if kept is None:
                    raise NotCounted("how many it keeps depends on rounding: the percentile falls on a score, or a hair beside it")
                return rows * kept
        raise NotCounted(
            "how many it keeps depends on the values: they are compared with what is no percentile, and no other order statistic, of them"
        )

    def _rows(self, scores: fx.Node, threshold: fx.Node, found: _Statistic, among: fx.Node | None) -> int | None:
        """Return of how many rows of scores ``found`` is the threshold, each compared with its own; ``None``: of others than ``scores``."""
        if among is not None:
            kept = same_values(found.scores)
            if not (is_call(kept, _ATEN.index_select.default) and is_call(places := same_values(argument(kept, 2, "index")), ASSUMED_PLACES)):
                return None
            same = alike(same_values(kept.args[0]), same_values(scores)) and alike(same_values(places.args[0]), among)
            return 1 if same and size_of(threshold) == 1 and size_of(kept) == found.threshold.count else None
        if not alike(same_values(found.scores), same_values(scores)):
            return None
        if size_of(threshold) == 1 and found.threshold.count == size_of(scores):
            return 1
        ones = list(shape_of(found.scores))
        for axis in range(len(ones)) if found.axis is None else [found.axis]:
            ones[axis] = 1
        shape, given = shape_of(scores), shape_of(threshold)
        if len(given) > len(shape):
            return None
        given = (1,) * (len(shape) - len(given)) + given
        pairs = [pair for pair in zip(shape, given, strict=True) if pair != (1, 1)]
        if pairs != [pair for pair in zip(shape_of(found.scores), ones, strict=True) if pair != (1, 1)]:
            return None
        return size_of(found.scores) // found.threshold.count

    def _statistic(self, node: fx.Node) -> _Statistic | None:
        """Return which order statistic of which scores a value is."""
        node = same_values(node)
        if is_call(node, _ATEN.quantile.scalar, _ATEN.quantile.default):
            return self._quantile(node)
        found = order_statistic(node)
        return None if found is None else _Statistic(found.scores, found.axis, Threshold(found.count, found.rank, exact=True))

    def _quantile(self, node: fx.Node) -> _Statistic | None:
        q, scores, axis = argument(node, 1, "q"), argument(node, 0, "self"), argument(node, 2, "dim")
        if isinstance(q, fx.Node):
            constant = self.constants.get(same_values(q).name)
            if constant is None or constant.numel() != 1:
                return None
            q = float(constant)
        count = length_of(scores, axis)
        threshold = None if count == 0 else quantile_threshold(count, float(q), argument(node, 4, "interpolation", "linear"))
        if threshold is None:
            raise NotCounted(f"how many it keeps depends on rounding: the quantile {q} of {count} values falls on one of them, or a hair beside it")
        return _Statistic(scores, axis_of(scores, axis), threshold)


_RULES: dict[Any, Callable[[MaskCounter, fx.Node], int]] = {
    **dict.fromkeys(_COMPARISONS, MaskCounter.compared),
    **dict.fromkeys((_ATEN.logical_not.default, _ATEN.bitwise_not.default), MaskCounter.inverted),
    **dict.fromkeys((_ATEN.logical_and.default, _ATEN.bitwise_and.Tensor, _ATEN.__and__.Tensor), MaskCounter.narrowed),
    **dict.fromkeys((_ATEN.expand.default, _ATEN.expand_as.default, _ATEN.repeat.default), MaskCounter.repeated),
    **dict.fromkeys((_ATEN.permute.default, _ATEN.transpose.int), MaskCounter.repeated),
    **dict.fromkeys(_CASTS, MaskCounter.cast),
    _ATEN.cat.default: MaskCounter.joined,
    _ATEN.constant_pad_nd.default: MaskCounter.padded,
    _ATEN.pad.default: MaskCounter.padded,
}


def _filled(node: fx.Node) -> bool | None:
    """Return the one value that a node is filled with."""
    name = _name(node)
    if name in ("ones_like", "ones", "new_ones"):
        return True
    if name in ("zeros_like", "zeros", "new_zeros"):
        return False
    if name in ("full_like", "full", "new_full", "scalar_tensor", "fill"):
        value: object = node.args[0 if name == "scalar_tensor" else 2 if name == "new_full" else 1]
        return bool(value) if isinstance(value, (bool, int, float)) else None
    return None


def same_mask(ours: fx.Node, theirs: fx.Node) -> bool:
    """Whether the places of two masks are those of one."""
    one, other = argument(ours, 0, "mask"), argument(theirs, 0, "mask")
    return shape_of(one) == shape_of(other) and alike(same_values(one), same_values(other))


def made_by(mask: fx.Node) -> str:
    """Return the operator that computes a mask, whatever shape it is brought into."""
    return _name(same_values(mask))


def _name(node: fx.Node) -> str:
    """Return an operator's name, as users know it."""
    return str(node.target).split(".")[1] if isinstance(node.target, torch._ops.OpOverload) else str(node.name)  # noqa: SLF001
