"""All operators by MIL name, gathered from the families."""

from collections.abc import Mapping

from edgekit.mil.operators import activation
from edgekit.mil.operators.context import OperatorFunction, operator_function

_FAMILIES = (activation,)


def _gather() -> dict[str, OperatorFunction]:
    found: dict[str, OperatorFunction] = {}
    for family in _FAMILIES:
        for name, compute in family.OPERATORS.items():
            if name in found:
                raise AssertionError(f"two families define {name}")
            found[name] = operator_function(compute)
    return found


OPERATORS: Mapping[str, OperatorFunction] = _gather()
