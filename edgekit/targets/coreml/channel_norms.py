"""Layer norm over channels between two transposes -> over the channel axis itself, as a pass of Core ML Tools.

    before   y = transpose(x, (0, 2, 3, 1))  z = layer_norm(y, axes=(3,))  out = transpose(z, (0, 3, 1, 2))
    after    out = layer_norm(x, axes=(1,))

Exact: the same numbers are normalised together. PyTorch's ``layer_norm`` takes trailing axes only, MIL's takes any. On
EMOv2-5M that is 26 transposes of 439 operators, each of which moves a whole map in memory. With gamma or beta it is left
alone: whether MIL aligns them with axis 1 is not said.
"""

from typing import Any

from coremltools.converters.mil.mil import Builder
from coremltools.converters.mil.mil.passes.graph_pass import AbstractGraphPass
from coremltools.converters.mil.mil.passes.pass_registry import register_pass

NAME = "edgekit::channel_norms"

_TO_LAST = [0, 2, 3, 1]
_TO_SECOND = [0, 3, 1, 2]


@register_pass(namespace="edgekit")
class channel_norms(AbstractGraphPass):  # noqa: N801  the class's name is the pass's
    """See the module."""

    def apply(self, prog: Any) -> None:
        """Change every function of a program in place."""
        for function in prog.functions.values():
            for operation in list(function.operations):
                if operation.op_type == "layer_norm":
                    _try(function, operation)


def _try(block: Any, norm: Any) -> None:
    before = norm.x.op
    readers = list(norm.outputs[0].child_ops)
    if before is None or len(readers) != 1 or norm.outputs[0] in block.outputs:
        return
    after = readers[0]
    plain = norm.gamma is None and norm.beta is None and norm.axes is not None and [int(a) % 4 for a in norm.axes.val] == [3]
    if not (plain and _is_transpose(before, _TO_LAST) and _is_transpose(after, _TO_SECOND)):
        return
    with block:
        result = Builder.layer_norm(x=before.x, axes=[1], epsilon=norm.epsilon, name=after.outputs[0].name, before_op=after)
    block.replace_uses_of_var_after_op(anchor_op=after, old_var=after.outputs[0], new_var=result)
    unused = [after, norm] + ([before] if all(reader is norm for reader in before.outputs[0].child_ops) else [])
    block.remove_ops(unused)


def _is_transpose(operation: Any, order: list[int]) -> bool:
    return operation.op_type == "transpose" and list(operation.perm.val) == order
