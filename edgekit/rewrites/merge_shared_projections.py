"""Several 1x1 convolutions of one value -> one with stacked weights, and a split.

    before   q = conv(x, W_q, b_q)   k = conv(x, W_k)   v = conv(x, W_v, b_v)     x (B, C, H, W)   v (B, V, H, W)
    after    q, k, v = split(conv(x, [W_q; W_k; W_v], [b_q; 0; b_v]), (C, C, V))  before the split (B, 2 C + V, H, W)

Exact, for linear layers too: every output is the same sum as before. A value is read once instead of once a projection.
The parts are taken by one split, or each by a slice: Core ML's split is shorter to write down than three slices (3.5 kB in
EMOv2 1M), ExecuTorch's XNNPACK partitioner takes slices only (a split cuts it in two at every site).

In EMOv2 attention's q, k and v read the same norm (arXiv 2412.06674, section 3.3; the official code has two convolutions
there, qk and v). The identity is ours.
"""

import itertools
import operator

import attrs
import torch
from attrs import frozen
from torch import Tensor, fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.convolution import Projection, insert_projection, read_projection
from edgekit.rewrites.graph import ProgramEditor, argument, shape_of

_SLICE = torch.ops.aten.slice.Tensor
_SPLIT = torch.ops.aten.split_with_sizes.default


@frozen
class _Plan:
    projections: tuple[Projection, ...]


@frozen
class MergeSharedProjections:
    """Merge the plain pointwise projections that read one value; ``sliced``: take the parts by slices, not by a split."""

    sliced: bool = False

    @property
    def name(self) -> str:
        """``merge_shared_projections``, or the same with ``_sliced``."""
        return "merge_shared_projections_sliced" if self.sliced else "merge_shared_projections"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A projection of a value that another projection reads too."""
        return read_projection(node, editor) is not None and len(_of_same_value(node, editor)) > 1

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse what cannot be stacked: other geometries, computed or shared weights, and a projection without its like."""
        del target
        own = _stackable(node, editor)
        if isinstance(own, Refusal):
            return own
        others = [_stackable(user, editor) for user in _of_same_value(node, editor)]
        alike = [p for p in others if isinstance(p, Projection) and p.node.target == node.target]
        if len(alike) == 1:
            return Refusal(f"no other projection of {own.x.name} can be stacked with {own.name}")
        return _Plan(tuple(sorted(alike, key=lambda p: p.node)))

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert the stacked projection where the first stood, and give every reader its part."""
        first = plan.projections[0]
        weight = torch.cat([p.weight for p in plan.projections])
        bias = torch.cat([_bias(p) for p in plan.projections]) if any(p.bias is not None for p in plan.projections) else None
        named = attrs.evolve(first, name=_joint_name([p.name for p in plan.projections]))
        stacked = insert_projection(editor, named, before=node, x=first.x, weight=weight, bias=bias)
        axis = len(shape_of(stacked)) + first.channel_axis
        sizes = [p.weight.shape[0] for p in plan.projections]
        take = _slices if self.sliced else _split
        return list(zip((p.node for p in plan.projections), take(stacked, axis, sizes, node, editor), strict=True))


def _split(stacked: fx.Node, axis: int, sizes: list[int], before: fx.Node, editor: ProgramEditor) -> list[fx.Node]:
    parts = editor.call(_SPLIT, stacked, sizes, axis, before=before)
    return [editor.call(operator.getitem, parts, position, before=before) for position in range(len(sizes))]


def _slices(stacked: fx.Node, axis: int, sizes: list[int], before: fx.Node, editor: ProgramEditor) -> list[fx.Node]:
    ends = list(itertools.accumulate(sizes))
    return [editor.call(_SLICE, stacked, axis, end - size, end, before=before) for end, size in zip(ends, sizes, strict=True)]


def _of_same_value(node: fx.Node, editor: ProgramEditor) -> list[fx.Node]:
    """Return the convolutions and linear layers whose input is this one's, itself among them."""
    x = argument(node, 0, "input")
    return [user for user in x.users if argument(user, 0, "input") is x and read_projection(user, editor) is not None]


def _stackable(node: fx.Node, editor: ProgramEditor) -> Projection | Refusal:
    projection = read_projection(node, editor)
    if not isinstance(projection, Projection):
        return projection or Refusal("not a projection")
    if not projection.pointwise:
        return Refusal(f"{projection.name} is no plain 1x1 convolution")
    if len(argument(node, 1, "weight").users) > 1:
        return Refusal(f"{projection.name} is used by another layer too, and stacking would store it twice")
    return projection


def _bias(p: Projection) -> Tensor:
    return p.weight.new_zeros(p.weight.shape[0]) if p.bias is None else p.bias


def _joint_name(names: list[str]) -> str:
    """``attend.q.weight``, ``attend.v.weight`` to ``attend.weight``: the module that holds them all."""
    levels = zip(*(name.split(".") for name in names), strict=False)
    shared = itertools.takewhile(lambda parts: len(set(parts)) == 1, levels)
    return ".".join([*(parts[0] for parts in shared), "weight"])
