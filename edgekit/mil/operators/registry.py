"""All operators by MIL name, gathered from the families."""

from collections.abc import Mapping

from edgekit.mil.operators import (
    activation,
    classify,
    compressed,
    convolution,
    elementwise_binary,
    elementwise_unary,
    linear,
    lists,
    normalization,
    pooling,
    quantization,
    random,
    recurrent,
    reduction,
    resizing,
    scatter_gather,
    selection,
    shaping,
    slicing,
)
from edgekit.mil.operators.context import OperatorFunction, operator_function

_FAMILIES = (
    activation,
    classify,
    compressed,
    convolution,
    elementwise_binary,
    elementwise_unary,
    linear,
    lists,
    normalization,
    pooling,
    quantization,
    random,
    recurrent,
    reduction,
    resizing,
    scatter_gather,
    selection,
    shaping,
    slicing,
)


def _gather() -> dict[str, OperatorFunction]:
    found: dict[str, OperatorFunction] = {}
    for family in _FAMILIES:
        for name, compute in family.OPERATORS.items():
            if name in found:
                raise AssertionError(f"two families define {name}")
            found[name] = operator_function(compute)
    return found


OPERATORS: Mapping[str, OperatorFunction] = _gather()
