"""A predicate -> a number, larger is surer, and the threshold from which on the exit is taken.

    cond(v >= t, stop, go_on)      v, t                       cond(v < t, stop, go_on)      -v, the number above -t
    cond(v > t, stop, go_on)       v, the number above t      cond(v >= t, go_on, stop)     the same: not (v >= t) is v < t
    cond(any other p, ...)         1.0 where p lets the exit be taken, else 0.0; threshold 0.5

with v one float32 that is computed and t a finite one that is not, on either side. Reshapes, negations, ``all`` and ``any`` of the one
value are looked through. Exact, for the number above t is the next float32 and ``-`` does not round; but where v is not a number,
nobody leaves: eager does where the predicate is negated or its branches are swapped.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from attrs import frozen
from torch import Tensor, fx

from edgekit.conditions.truths import NOT, SAME_ELEMENT

_ATEN = torch.ops.aten
_THRESHOLD_OF_TRUTH = 0.5
_MIRRORED = {">=": "<=", ">": "<", "<=": ">=", "<": ">"}
_NEGATED = {">=": "<", ">": "<=", "<=": ">", "<": ">="}
_COMPARISONS: dict[Any, str] = {
    operator: sign
    for sign, operators in {
        ">=": (_ATEN.ge.Scalar, _ATEN.ge.Tensor),
        ">": (_ATEN.gt.Scalar, _ATEN.gt.Tensor),
        "<=": (_ATEN.le.Scalar, _ATEN.le.Tensor),
        "<": (_ATEN.lt.Scalar, _ATEN.lt.Tensor),
    }.items()
    for operator in operators
}
_SAME_VALUES = (*SAME_ELEMENT, _ATEN._to_copy.default, _ATEN.to.dtype)  # noqa: SLF001
_SOFTMAX = (_ATEN.softmax.int, _ATEN._softmax.default)  # noqa: SLF001


@frozen(kw_only=True)
class Decision:
    """Leave where the confidence, ``sign * value`` as float32, is at least ``threshold``; ``sign`` is 1 or -1.

    :param value: of one element. :param flipped: ``value`` is a truth, and it is its contrary that counts.
    """

    value: fx.Node
    sign: int = 1
    flipped: bool = False
    threshold: float


def decision_of(predicate: fx.Node, constants: Mapping[fx.Node, tuple[str, Tensor]], *, leaves_when: bool) -> Decision:
    """Return a predicate as a number and a threshold.

    :param constants: tensors that are not computed. :param leaves_when: the predicate's value with which the exit is taken.
    """
    node, wanted = predicate, leaves_when
    while (node.target in NOT or node.target in SAME_ELEMENT) and isinstance(node.args[0], fx.Node) and _is_single(node.args[0]):
        wanted ^= node.target in NOT
        node = node.args[0]
    compared = _compared(node, constants)
    if compared is None:
        return Decision(value=node, flipped=not wanted, threshold=_THRESHOLD_OF_TRUTH)
    value, comparison, threshold = compared
    comparison = comparison if wanted else _NEGATED[comparison]
    sign = 1 if comparison.startswith(">") else -1
    reached = sign * threshold if comparison.endswith("=") else _above(sign * threshold)
    if not math.isfinite(reached):
        return Decision(value=node, flipped=not wanted, threshold=_THRESHOLD_OF_TRUTH)
    return Decision(value=value, sign=sign, threshold=reached)


def is_max_softmax(decision: Decision, logits: fx.Node) -> bool:
    """Whether what is compared is the probability of the likeliest class of these logits, ``(1, classes)``."""
    node = _moved_from(decision.value)
    if decision.sign != 1 or node.target not in (_ATEN.max.default, _ATEN.amax.default):
        return False
    softmax = _moved_from(node.args[0])
    return softmax.target in _SOFTMAX and softmax.args[1] in (-1, 1) and _moved_from(softmax.args[0]) is _moved_from(logits)


def _compared(node: fx.Node, constants: Mapping[fx.Node, tuple[str, Tensor]]) -> tuple[fx.Node, str, float] | None:
    """Return value, comparison and threshold of a comparison with a number; ``None``: it is none, or the number is."""
    comparison = _COMPARISONS.get(node.target)
    if comparison is None:
        return None
    value, other = node.args
    if _number(value, constants) is not None:
        value, other, comparison = other, value, _MIRRORED[comparison]
    threshold = _number(other, constants)
    if threshold is None or not isinstance(value, fx.Node) or not _is_single(value) or value.meta["val"].dtype is not torch.float32:
        return None
    return value, comparison, float(np.float32(threshold))  # torch compares in the tensor's type


def _number(operand: object, constants: Mapping[fx.Node, tuple[str, Tensor]]) -> float | None:
    while isinstance(operand, fx.Node) and operand.target in SAME_ELEMENT:
        operand = operand.args[0]
    if isinstance(operand, fx.Node) and operand in constants:
        tensor = constants[operand][1]
        return float(tensor) if tensor.numel() == 1 and tensor.dtype is torch.float32 else None
    return float(operand) if isinstance(operand, (int, float)) else None


def _moved_from(node: Any) -> Any:
    """Look through operators that change no value."""
    while isinstance(node, fx.Node) and node.target in _SAME_VALUES and isinstance(node.args[0], fx.Node):
        ours, theirs = node.meta["val"], node.args[0].meta["val"]
        if (ours.dtype, ours.numel()) != (theirs.dtype, theirs.numel()):
            break
        node = node.args[0]
    return node


def _is_single(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), Tensor) and node.meta["val"].numel() == 1


def _above(value: float) -> float:
    return float(np.nextafter(np.float32(value), np.float32(np.inf)))
