"""Spanning-window attention for one map size, in a form that a static graph can hold.

Computes what :class:`~edgekit.ops.spanning_attention.SpanningAttention` does for one image of a known size. The
rewrites build it and then turn its switches; each switch keeps the result.
"""

import copy
from typing import Self

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.ops.spanning_attention import Partition
from edgekit.ops.window_forms import Grid, WindowForm, merge, partition


@frozen(kw_only=True)
class AttentionPlan:
    """The switches.

    :param form: spelling of the partition.
    :param coincident: one window covers the map, so both partitions are the same: attend once, count twice.
    :param batched: attend over both partitions in one batched product instead of one after the other.
    :param keys_transposed: channels last: cut k as ``(..., D, tokens)`` in the move that cuts it, not behind it.
    :param scale: factor on ``q k^T``; ``None`` once it is part of q's weights.
    """

    form: WindowForm
    coincident: bool = False
    batched: bool = False
    keys_transposed: bool = False
    scale: float | None = None


class StaticSpanningAttention(nn.Module):
    """Neighbour and distant window attention on a ``(1, channels, H, W)`` map of fixed size.

    q, k and v project channels: linear layers where the form has channels last, 1x1 convolutions where it has them first.
    """

    def __init__(self, q: nn.Module, k: nn.Module, v: nn.Module, *, heads: int, window: int, size: tuple[int, int], plan: AttentionPlan) -> None:
        super().__init__()
        self.q, self.k, self.v = q, k, v
        self.heads = heads
        self.size = size
        height, width = size
        self.padding = (0, -width % window, 0, -height % window)
        self.grid = Grid(height + self.padding[3], width + self.padding[1], window)
        self.plan = plan

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(1, channels, H, W)`` to ``(1, value_channels, H, W)``."""
        last = self.plan.form.layout == "channels_last"
        if last:  # all that follows works there: the channels move twice in a block, not around every cut
            x = x.permute(0, 2, 3, 1)
        if any(self.padding):
            x = F.pad(x, (0, 0, *self.padding) if last else self.padding)
        q, k, v = self.q(x), self.k(x), F.gelu(self.v(x))
        if self.plan.coincident:
            out = self._merge(self._attend(*self._cut(q, k, v, "neighbour"), factor=2.0), "neighbour")
        elif self.plan.batched:
            both = zip(self._cut(q, k, v, "neighbour"), self._cut(q, k, v, "distant"), strict=True)
            near, far = self._attend(*(torch.cat(pair) for pair in both)).chunk(2)
            out = self._merge(near, "neighbour") + self._merge(far, "distant")
        else:
            near = self._merge(self._attend(*self._cut(q, k, v, "neighbour")), "neighbour")
            far = self._merge(self._attend(*self._cut(q, k, v, "distant")), "distant")
            out = near + far
        for axis, (size, padded) in enumerate(zip(self.size, (self.grid.height, self.grid.width), strict=True), start=1 if last else 2):
            if padded != size:
                out = out.narrow(axis, 0, size)
        return out.permute(0, 3, 1, 2) if last else out

    def with_plan(self, plan: AttentionPlan) -> Self:
        """Return a copy, weights included, that follows another plan."""
        changed = copy.deepcopy(self)
        changed.plan = plan
        return changed

    def _cut(self, q: Tensor, k: Tensor, v: Tensor, kind: Partition) -> tuple[Tensor, Tensor, Tensor]:
        form = self.plan.form
        cut_k = partition(k, self.grid, self.heads, kind, form, transposed=self.plan.keys_transposed)
        return partition(q, self.grid, self.heads, kind, form), cut_k, partition(v, self.grid, self.heads, kind, form)

    def _merge(self, x: Tensor, kind: Partition) -> Tensor:
        return merge(x, self.grid, self.heads, kind, self.plan.form)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, *, factor: float | None = None) -> Tensor:
        """Attend inside each window; ``bmm`` because ``@`` on rank 4 makes ExecuTorch copy its operands (``expand``)."""
        last = self.plan.form.layout == "channels_last"
        if not last:
            q = q.transpose(1, 2)
        elif not self.plan.keys_transposed:
            k = k.transpose(1, 2)
        scores = torch.bmm(q, k)
        if self.plan.scale is not None:
            scores = scores * self.plan.scale
        weights = scores.softmax(dim=-1)
        if factor is not None:
            weights = weights * factor  # the smallest tensor of the block: tokens x tokens
        return torch.bmm(weights, v) if last else torch.bmm(v, weights.transpose(1, 2))
