"""Checks a call of an artifact's method before a runtime sees it: names, shapes and dtypes."""

from collections.abc import Iterable, Mapping

from edgekit.errors import BadInputError, UnknownNameError
from edgekit.interface import MethodSpec
from edgekit.targets.base import Array


def find_method(methods: Iterable[MethodSpec], name: str) -> MethodSpec:
    """Return the method of this name.

    :raises UnknownNameError: the artifact has none of this name.
    """
    table = {method.name: method for method in methods}
    if name not in table:
        raise UnknownNameError("method", name, table)
    return table[name]


def check_inputs(method: MethodSpec, inputs: Mapping[str, Array]) -> None:
    """Compare arrays with what a method takes.

    :raises BadInputError: a name is missing or too many, or an array has another shape or dtype.
    """
    expected = {tensor.name: tensor for tensor in method.inputs}
    if inputs.keys() != expected.keys():
        raise BadInputError(
            f"method {method.name} takes other inputs",
            what=f"given: {', '.join(sorted(inputs)) or 'none'}",
            hint=f"expected: {', '.join(expected) or 'none'}",
        )
    for name, tensor in expected.items():
        array = inputs[name]
        dtype = "uint8" if tensor.dtype == "image" else tensor.dtype
        if not method.fits(tuple(array.shape), tensor) or array.dtype.name != dtype:
            raise BadInputError(
                f"input {name} of method {method.name} does not fit",
                what=f"given: {array.dtype.name} {tuple(array.shape)}",
                hint=f"expected: {dtype} {tensor.shape}, layout {tensor.layout}",
            )
