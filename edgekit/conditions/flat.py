"""A graph that grows operator by operator, with shapes, in which equal operators on equal operands are one node."""

from typing import Any

import torch
from torch import fx
from torch._subclasses import FakeTensor
from torch.utils import _pytree as pytree

from edgekit.conditions.truths import Truth

_ATEN = torch.ops.aten
_KEPT = ("val", "stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "custom")


class FlatGraph:
    """The graph; its nodes carry shapes, source lines and modules of the nodes they were made for."""

    def __init__(self) -> None:
        self.graph = fx.Graph()
        self._made: dict[Any, fx.Node] = {}

    def placeholder(self, source: fx.Node) -> fx.Node:
        """Add an input like one of another graph."""
        made = self.graph.placeholder(source.name)
        made.meta = dict(source.meta)
        return made

    def call(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, like: fx.Node, same_value: bool = False) -> fx.Node:
        """Add an operator, or return the node that computes the same.

        :param like: where its source line and module come from. :param same_value: the shape, too; else it is computed.
        """
        args, kwargs = pytree.tree_map(lambda value: self._materialised(value, like), (args, kwargs), is_leaf=_is_truth)
        key = (target, *map(_key, pytree.tree_leaves((args, kwargs))), str(pytree.tree_structure((args, kwargs))))
        if key in self._made:
            return self._made[key]
        made = self.graph.call_function(target, args, kwargs)
        made.meta = {name: like.meta[name] for name in _KEPT if name in like.meta}
        if not same_value:
            given = pytree.tree_map_only(fx.Node, lambda node: node.meta["val"], (args, kwargs))
            with like_mode(like):
                made.meta["val"] = target(*given[0], **given[1])
        if torch.Tag.nondeterministic_seeded not in getattr(target, "tags", ()):
            self._made[key] = made
        return made

    def _materialised(self, value: Any, like: fx.Node) -> Any:
        """Return a node for a truth that is known, where an operator needs one."""
        return (
            self.call(_ATEN.full.default, (list(value.shape), value.value), {"dtype": torch.bool}, like=like) if isinstance(value, Truth) else value
        )


def like_mode(node: fx.Node) -> Any:
    """Return the mode in which tensors have shapes and no content, that of a node's value."""
    return next(value.fake_mode for value in pytree.tree_leaves(node.meta["val"]) if isinstance(value, FakeTensor))


def _is_truth(value: Any) -> bool:
    return isinstance(value, Truth)


def _key(value: Any) -> Any:
    """Return what tells operands apart: 1, 1.0 and True are three."""
    return (type(value), value) if not isinstance(value, (float,)) else (float, value.hex())
