"""A median, a k-th value or one value of a top-k or a sort -> the quantile that is this value.

    before   t = topk(s (R, n), k).values[:, k - 1]        m = median(s)       v = kthvalue(s, k).values
    after    t = quantile(s, r / (n - 1), nearest)         r the ascending rank: n - k, (n - 1) // 2, k - 1

Exact for finite values, ties included: the position r is a whole number but for rounding, and the nearest one is taken. A NaN makes it NaN,
where a k-th value or a top-k counts it as the largest. LiteRT has no sort, and most runtimes no median; quantiles are computed by
counting, see ``quantile_by_counting``.
"""

import operator

import torch
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.graph import ProgramEditor, is_call, shape_of
from edgekit.rewrites.order_statistics import OrderStatistic, order_statistic

_ATEN = torch.ops.aten
_KEPT = (_ATEN.amax.default, _ATEN.amin.default, _ATEN.max.default, _ATEN.min.default, _ATEN.max.dim, _ATEN.min.dim)


class OrderStatisticsAsQuantiles:
    """Ask for an order statistic as a quantile."""

    name = "order_statistics_as_quantiles"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """An order statistic, but for the largest and the smallest, which every runtime has."""
        del editor
        made = node.args[0] if is_call(node, operator.getitem) else node
        if not isinstance(made, fx.Node) or is_call(made, *_KEPT) or not node.users:
            return False
        return node.op == "call_function" and order_statistic(node) is not None

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> OrderStatistic | Refusal:
        """Refuse whole numbers, which have no quantile."""
        del editor, target
        dtype: torch.dtype = node.meta["val"].dtype
        return order_statistic(node) if dtype.is_floating_point else Refusal(f"quantiles are of real numbers, and these are {dtype}")  # type: ignore[return-value]

    def replace(self, node: fx.Node, plan: OrderStatistic, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert the quantile."""
        q = plan.rank / max(plan.count - 1, 1)
        found = editor.call(_ATEN.quantile.scalar, plan.scores, q, plan.axis, interpolation="nearest", before=node)
        if shape_of(found) == shape_of(node):
            return [(node, found)]
        return [(node, editor.call(_ATEN.reshape.default, found, list(shape_of(node)), before=node))]
