"""Truth values that are known before the program runs: constants, and what follows from the side of a condition one is on.

    assumed true     p | q: nothing      p & q: p and q      ~p: p is false        clone(p), p.reshape(1), p.all(): p
    assumed false    p | q: neither      p & q: nothing      ~p: p is true         the same

and what is computed from known ones: ``known_true | q`` is true, ``known_false | q`` is q. Only single values are looked at.
"""

from collections.abc import Mapping
from typing import Any

import torch
from attrs import frozen
from torch import Tensor, fx

_ATEN = torch.ops.aten
NOT = (_ATEN.logical_not.default, _ATEN.bitwise_not.default)
_OR = (_ATEN.logical_or.default, _ATEN.bitwise_or.Tensor, _ATEN.__or__.Tensor)
_AND = (_ATEN.logical_and.default, _ATEN.bitwise_and.Tensor, _ATEN.__and__.Tensor)
_FILLED = (_ATEN.full.default, _ATEN.full_like.default, _ATEN.new_full.default)
_ONES = (_ATEN.ones.default, _ATEN.ones_like.default, _ATEN.new_ones.default)
_ZEROS = (_ATEN.zeros.default, _ATEN.zeros_like.default, _ATEN.new_zeros.default)
SAME_ELEMENT = (
    _ATEN.alias.default,
    _ATEN.all.default,
    _ATEN.any.default,
    _ATEN.clone.default,
    _ATEN.detach.default,
    _ATEN.expand.default,
    _ATEN.lift_fresh_copy.default,
    _ATEN.reshape.default,
    _ATEN.select.int,
    _ATEN.squeeze.default,
    _ATEN.squeeze.dim,
    _ATEN.unsqueeze.default,
    _ATEN.view.default,
)
"""Operators that of a single truth value give that truth value."""


@frozen
class Truth:
    """A boolean tensor of one element that is known."""

    value: bool
    shape: tuple[int, ...]


def truth_like(node: fx.Node, *, value: bool) -> Truth:
    """Return a truth in the shape of a node's value."""
    return Truth(value, tuple(node.meta["val"].shape))


Known = Mapping[fx.Node, bool]


def is_single_truth(node: Any) -> bool:
    """Whether a node is a boolean tensor of one element."""
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    return isinstance(value, Tensor) and value.dtype is torch.bool and value.numel() == 1


def resolved(value: Any, known: Known) -> Any:
    """Return a value, or what is known of it."""
    return truth_like(value, value=known[value]) if isinstance(value, fx.Node) and value in known else value


def assuming(known: Known, node: fx.Node, *, value: bool) -> Known:
    """Return what is known where a single truth value is also known."""
    found = {**known, node: value}
    operands: list[Any] = [operand for operand in node.args if is_single_truth(operand)]
    if node.target in NOT:
        found = {**assuming(found, operands[0], value=not value)}
    elif node.target in SAME_ELEMENT and operands:
        found = {**assuming(found, operands[0], value=value)}
    elif node.target in (_AND if value else _OR) and len(operands) == len(node.args):
        for operand in operands:
            found = {**assuming(found, operand, value=value)}
    return found


def folded(node: fx.Node, args: tuple[Any, ...]) -> Any | None:
    """Return what an operator gives if its known operands decide: a truth, or another operand; ``None`` otherwise.

    :param node: the operator, with the shape of its result. :param args: its operands, those that are known as truths.
    """
    if not is_single_truth(node):
        return None
    if node.target in _ONES or node.target in _ZEROS:
        return truth_like(node, value=node.target in _ONES)
    if node.target in _FILLED:
        return truth_like(node, value=bool(args[-1]))
    truths = [operand.value for operand in args if isinstance(operand, Truth)]
    if not truths:
        return None
    if node.target in NOT:
        return truth_like(node, value=not truths[0])
    if node.target in SAME_ELEMENT:
        return truth_like(node, value=truths[0])
    if node.target in _OR or node.target in _AND:
        decisive = node.target in _OR
        if decisive in truths:
            return truth_like(node, value=decisive)
        return next((operand for operand in args if is_single_truth(operand)), truth_like(node, value=not decisive))
    return None
