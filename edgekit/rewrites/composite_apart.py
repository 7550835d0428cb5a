"""An operator that a converter does not know -> the same by operators that it does.

    before   y = rot90(x, 1, (2, 3))                       after   y = transpose(flip(x, 3), 2, 3)
    before   y = channel_shuffle(x (1, C, H, W), g)        after   y = reshape(transpose(x (1, g, C // g, H * W), 1, 2))

The spellings are in :mod:`edgekit.rewrites.composites`, functions of torch with the operator's arguments; each is a rewrite of its own,
``rot90_apart``, so a target lists those that its converter needs. What a function does with the site's shapes is recorded and put into the program.
"""

import operator
from collections.abc import Callable
from typing import Any

import torch
from attrs import frozen
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.composites import COMPOSITES, NotApart
from edgekit.rewrites.graph import ProgramEditor, is_call

_ATEN = torch.ops.aten
_FORGOTTEN = ("pin_memory", "device", "layout")
_WRITES_MANY = (_ATEN.adaptive_max_pool2d.default, _ATEN.max.dim)
"""Operators with a second result, places, that no spelling has."""


@frozen
class _Plan:
    """What was recorded, and the site's tensors in the order of its placeholders."""

    recorded: fx.Graph
    tensors: list[fx.Node]


class CompositeApart:
    """Write one kind of operator by others."""

    def __init__(self, composite: str) -> None:
        self.name = f"{composite}_apart"
        self._operator, self._spelling = COMPOSITES[composite]

    @property
    def spelling(self) -> Callable[..., Tensor]:
        """The function that computes the same."""
        return self._spelling

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A call of the operator."""
        del editor
        return is_call(node, self._operator) and (self.name != "circular_pad_apart" or "circular" in node.args)

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan | Refusal:
        """Record the spelling with the site's shapes; refuse what it refuses."""
        del target
        if is_call(node, *_WRITES_MANY) and any(user.users and not _first(user) for user in node.users):
            return Refusal("the places of the largest are read, too")
        given, spec = _pytree.tree_flatten((node.args, node.kwargs))
        tensors = [value for value in given if isinstance(value, fx.Node)]

        def spelled(*values: Tensor) -> Tensor:
            rest = iter(values)
            args, kwargs = _pytree.tree_unflatten([next(rest) if isinstance(value, fx.Node) else value for value in given], spec)
            return self._spelling(*args, **kwargs)

        try:
            with editor.shapes_only(), torch.no_grad():
                recorded = make_fx(spelled)(*(value.meta["val"] for value in tensors)).graph
        except NotApart as answer:
            return Refusal(str(answer))
        return _Plan(recorded, tensors)

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert what was recorded."""
        inputs = iter(plan.tensors)
        made: dict[fx.Node, Any] = {}
        for step in plan.recorded.nodes:
            if step.op == "placeholder":
                made[step] = next(inputs)
            elif step.op == "output":
                result = made[step.args[0]]
            else:
                made[step] = _inserted(step, made, node, editor)
        if is_call(node, *_WRITES_MANY):
            return [(user, result) for user in list(node.users) if _first(user)]
        return [(node, result)]


def _first(user: fx.Node) -> bool:
    return bool(user.target is operator.getitem and user.args[1] == 0)


def _inserted(step: fx.Node, made: dict[fx.Node, Any], site: fx.Node, editor: ProgramEditor) -> fx.Node:
    """Add one recorded operator; recording writes a reshape as two."""
    args, kwargs = _pytree.tree_map_only(fx.Node, lambda node: made[node], (step.args, step.kwargs))
    kwargs = {name: value for name, value in kwargs.items() if name not in _FORGOTTEN}
    if step.target is _ATEN.clone.default:
        source: fx.Node = args[0]
        return source if step.users and all(user.target is _ATEN._unsafe_view.default for user in step.users) else _call(step, args, {}, site, editor)  # noqa: SLF001
    if step.target in (_ATEN._unsafe_view.default, _ATEN.view.default):  # noqa: SLF001
        return editor.call(_ATEN.reshape.default, *args, before=site)
    return _call(step, args, kwargs, site, editor)


def _call(step: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any], site: fx.Node, editor: ProgramEditor) -> fx.Node:
    return editor.call(step.target, *args, before=site, **kwargs)  # type: ignore[arg-type]
