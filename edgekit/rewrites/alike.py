"""Which nodes of a graph hold the same values: in another shape, or computed alike. For graphs in which no value is written to."""

import math
from typing import Any

import torch
from torch import fx

from edgekit.rewrites.graph import is_call, shape_of

_ATEN = torch.ops.aten
_RESHAPES = tuple(
    getattr(getattr(_ATEN, name), kind)
    for name, kind in (
        ("view", "default"),
        ("_unsafe_view", "default"),
        ("reshape", "default"),
        ("flatten", "using_ints"),
        ("squeeze", "default"),
        ("squeeze", "dim"),
        ("squeeze", "dims"),
        ("unsqueeze", "default"),
        ("clone", "default"),
        ("detach", "default"),
        ("alias", "default"),
        ("contiguous", "default"),
        ("lift_fresh_copy", "default"),
    )
)
"""What gives the same values in the same order."""
_PARTS = (_ATEN.select.int, _ATEN.slice.Tensor)
_CASTS = (_ATEN.to.dtype, _ATEN._to_copy.default)  # noqa: SLF001


def size_of(node: fx.Node) -> int:
    """Return how many values a node holds."""
    return math.prod(shape_of(node))


def same_values(node: Any) -> Any:
    """Follow a node to where its values are computed, in the order they have."""
    while isinstance(node, fx.Node):
        source = node.args[0] if node.args else None
        if not isinstance(source, fx.Node):
            return node
        whole = is_call(node, *_PARTS, _ATEN.expand.default) and size_of(node) == size_of(source)
        cast = is_call(node, *_CASTS) and node.meta["val"].dtype == source.meta["val"].dtype
        if not (whole or cast or is_call(node, *_RESHAPES)):
            return node
        node = source
    return node


def alike(ours: Any, theirs: Any) -> bool:
    """Whether two nodes are one, or computed alike from the same."""
    pairs, seen = [(ours, theirs)], set()
    while pairs:
        one, other = pairs.pop()
        if one is other:
            continue
        if not (isinstance(one, fx.Node) and isinstance(other, fx.Node)):
            if type(one) is not type(other) or one != other:
                return False
            continue
        if (one, other) in seen:
            continue
        if not _repeatable(one) or one.target is not other.target or len(one.args) != len(other.args) or one.kwargs.keys() != other.kwargs.keys():
            return False
        seen.add((one, other))
        pairs += [*zip(one.args, other.args, strict=True), *((one.kwargs[key], other.kwargs[key]) for key in one.kwargs)]
    return True


def _repeatable(node: fx.Node) -> bool:
    return node.op == "call_function" and torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ())
