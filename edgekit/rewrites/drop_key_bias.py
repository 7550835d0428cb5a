"""The bias of attention's keys -> nothing.

    before   softmax(q (W_k x + b_k)^T)          after   softmax(q (W_k x)^T)

The bias adds ``q . b_k`` to every score of one query, the same for all keys, and softmax does not see a shift of its
whole row. Exact in real arithmetic wherever every key of a row carries the same bias, which is checked by moving the
bias alone through the reshapes and permutes between the projection and the product.
"""

from typing import Any

import torch
from attrs import frozen
from torch import Tensor, fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.convolution import LINEAR, Projection, insert_projection, read_projection
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_BMM = torch.ops.aten.bmm.default
_SOFTMAX = torch.ops.aten.softmax.int
_SCALES = (torch.ops.aten.mul.Tensor, torch.ops.aten.div.Tensor)
_INSIDE_A_LIST = -1  # a concatenation, or the program's outputs
_MOVES = (
    torch.ops.aten.permute.default,
    torch.ops.aten.transpose.int,
    torch.ops.aten.reshape.default,
    torch.ops.aten.view.default,
)


@frozen
class _Plan:
    projection: Projection


class DropKeyBias:
    """Remove the bias of the projection that gives attention its keys."""

    name = "drop_key_bias"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A projection with a bias whose result reaches, by moves alone, the second operand of a softmax's product."""
        projection = read_projection(node, editor)
        if not isinstance(projection, Projection) or projection.bias is None:
            return False
        return any(_is_key_of_attention(product, operand) for product, operand, _ in _products(node, ()))

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse results read by anything but such products, and biases that differ between the keys of a row."""
        del target
        projection = read_projection(node, editor)
        if not isinstance(projection, Projection) or projection.bias is None:
            return Refusal("not a projection with a bias")
        ends = _products(node, ())
        if not all(_is_key_of_attention(product, operand) for product, operand, _ in ends):
            return Refusal(f"the result of {projection.name} is read by more than attention's products, where the bias counts")
        alone = projection.bias if is_call(node, LINEAR) else projection.bias[:, None, None]
        spread = alone.expand(shape_of(node))
        for _, _, way in ends:
            keys = spread
            for step in way:
                keys = _moved(step, keys)
            if not torch.equal(keys, keys[..., :1].expand_as(keys)):
                return Refusal(f"the bias of {projection.name} differs between the keys of one row")
        return _Plan(projection)

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Lay the way to each product anew behind a projection without a bias; what stays equal are the softmaxes."""
        p = plan.projection
        new = {node: insert_projection(editor, p, before=node, x=p.x, weight=p.weight, bias=None)}
        pairs = []
        for product, _, way in _products(node, ()):
            for step in way:
                if step not in new:
                    operator: Any = step.target
                    new[step] = editor.call(operator, new[argument(step, 0, "input")], *step.args[1:], before=step, **step.kwargs)
            scores = editor.call(_BMM, argument(product, 0, "input"), new[way[-1]], before=product)
            reader = next(iter(product.users))
            old: fx.Node = product
            if is_call(reader, *_SCALES):
                scores, old = editor.call(reader.target, scores, *reader.args[1:], before=reader), reader  # type: ignore[arg-type]
            softmax = next(iter(old.users))
            pairs.append((softmax, editor.call(_SOFTMAX, scores, *softmax.args[1:], before=softmax, **softmax.kwargs)))
        return pairs


def _products(node: fx.Node, way: tuple[fx.Node, ...]) -> list[tuple[fx.Node, int, tuple[fx.Node, ...]]]:
    """Follow a value through moves; return each other reader, the operand it is there, and the moves on the way."""
    found = []
    for user in node.users:
        if is_call(user, *_MOVES):
            found += _products(user, (*way, user))
        else:
            direct = [position for position, value in enumerate(user.args) if value is node]
            found += [(user, position, way) for position in direct or [_INSIDE_A_LIST]]
    return found


def _is_key_of_attention(product: fx.Node, operand: int) -> bool:
    """Whether a batched product's second operand are keys: its rows go, at most scaled by a number, into a softmax only."""
    if not is_call(product, _BMM) or operand != 1 or len(product.users) != 1:
        return False
    reader = next(iter(product.users))
    if is_call(reader, *_SCALES) and reader.args[0] is product and isinstance(reader.args[1], (int, float)):
        if len(reader.users) != 1:
            return False
        reader = next(iter(reader.users))
    return is_call(reader, _SOFTMAX) and argument(reader, 1, "dim") in (-1, 2)


def _moved(step: fx.Node, value: Tensor) -> Tensor:
    operator: Any = step.target
    moved: Tensor = operator(value, *step.args[1:], **step.kwargs)
    return moved
