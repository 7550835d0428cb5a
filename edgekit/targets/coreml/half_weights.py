"""Weights of what is computed in float32 inside a package of half precision: stored in half, as a pass of Core ML Tools.

    before   w = const(float32 (E, C))                                           y = linear(x float32, w)
    after    w = constexpr_cast(float16 (E, C) -> float32), before it runs       y = linear(x float32, w)

A package in half precision then has two bytes a parameter whatever it computes in float32 (IMC-Net's selectors are 15% of its
parameters), and all of its weights are rounded alike. What half precision does not hold stays as it is, and so do single numbers
and short tables that it holds exactly: the cast would take more bytes than it saves.
"""

from typing import Any

import numpy as np
from coremltools.converters.mil.mil import Builder
from coremltools.converters.mil.mil.passes.graph_pass import AbstractGraphPass
from coremltools.converters.mil.mil.passes.pass_registry import register_pass

NAME = "edgekit::half_weights"
_SHORT = 256  # elements
_LARGEST = np.finfo(np.float16).max


@register_pass(namespace="edgekit")
class half_weights(AbstractGraphPass):  # noqa: N801  the class's name is the pass's
    """See the module."""

    def apply(self, prog: Any) -> None:
        """Change every function of a program in place."""
        for function in prog.functions.values():
            for operation in list(function.operations):
                if operation.op_type == "const" and _is_weight(operation.outputs[0].val):
                    _replace(function, operation)


def _is_weight(value: Any) -> bool:
    if not isinstance(value, np.ndarray) or value.dtype != np.float32 or value.ndim == 0:
        return False
    if value.size <= _SHORT and (value == np.clip(value, -_LARGEST, _LARGEST).astype(np.float16)).all():
        return False
    return bool((np.abs(value[np.isfinite(value)]) <= _LARGEST).all())


def _replace(block: Any, constant: Any) -> None:
    stored = constant.outputs[0]
    if stored in block.outputs:
        return
    with block:
        cast = Builder.constexpr_cast(
            source_val=stored.val.astype(np.float16), output_dtype="fp32", before_op=constant, name=f"{stored.name}_as_fp32"
        )
    block.replace_uses_of_var_after_op(anchor_op=constant, old_var=stored, new_var=cast)
    block.remove_ops([constant])
