"""The places a mask keeps -> the indices of the k largest of a row that falls from place to place and is 0 elsewhere.

    before   places = kept_places(mask (n,), k)                 (k,) ascending
    after    falling = mask * (n, n - 1, ..., 1)                places = topk(falling, k).indices

Exact where the mask keeps k: the values it keeps are distinct, and the largest belongs to the first place. Where a tie makes it keep
fewer, the last indices are of places that it does not keep; where more, the first k are taken.
"""

import operator

import torch
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.ops.kept_places import KEPT_PLACES
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_ATEN = torch.ops.aten
_LONGEST = 2**24
"""Whole numbers are exact in float32 up to here."""


class KeptPlacesByTopK:
    """Find the places of a mask by top-k, and leave what reads them as it is: takes and puts by indices."""

    name = "kept_places_by_top_k"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """The places of a mask."""
        del editor
        return is_call(node, KEPT_PLACES)

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> int | Refusal:
        """Refuse masks of more places than float32 can number."""
        del editor, target
        (length,) = shape_of(argument(node, 0, "mask"))
        return length if length <= _LONGEST else Refusal(f"its {length} places have no numbers of their own in float32")

    def replace(self, node: fx.Node, plan: int, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert the row and top-k."""
        mask, count = node.args
        falling = editor.add_constant(f"falling_from_{plan}", torch.arange(plan, 0, -1, dtype=torch.float32))
        kept = editor.call(_ATEN.to.dtype, mask, torch.float32, before=node)
        row = editor.call(_ATEN.mul.Tensor, kept, falling, before=node)
        found = editor.call(_ATEN.topk.default, row, count, before=node)
        return [(node, editor.call(operator.getitem, found, 1, before=node))]
