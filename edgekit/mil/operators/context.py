"""What operator functions share: how they read their parameters, and how they say that they cannot."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from attrs import frozen

from edgekit.mil.types import TensorType, ValueType

Tensor = torch.Tensor


class OperatorError(Exception):
    """A value of a parameter that is not implemented here: the operator counts as unknown, nothing is guessed."""


@frozen
class Context:
    """What a few operators need to know beyond their parameters: the declared types of their results, and the operator set."""

    outputs: tuple[ValueType, ...]
    opset: str

    @property
    def dtype(self) -> str:
        """The declared element type of the first result."""
        first = self.outputs[0]
        if not isinstance(first, TensorType):
            raise OperatorError(f"its result is a {first}, no tensor")
        return first.dtype


@frozen
class OperatorFunction:
    """An operator's function with what its signature says."""

    compute: Callable[..., Any]
    takes_context: bool
    required: frozenset[str]
    accepted: frozenset[str]

    def complaint(self, given: Mapping[str, Any]) -> str | None:
        """Return why the function cannot be called with these parameters, or ``None``."""
        if unknown := given.keys() - self.accepted:
            return f"unknown parameter: {', '.join(sorted(unknown))}"
        if missing := self.required - given.keys():
            return f"missing parameter: {', '.join(sorted(missing))}"
        return None


def operator_function(compute: Callable[..., Any]) -> OperatorFunction:
    """Read an operator function's signature: ``context`` comes by position, MIL's parameters are keyword-only."""
    parameters = inspect.signature(compute).parameters.values()
    named = [parameter for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
    return OperatorFunction(
        compute=compute,
        takes_context=any(parameter.name == "context" for parameter in parameters),
        required=frozenset(parameter.name for parameter in named if parameter.default is inspect.Parameter.empty),
        accepted=frozenset(parameter.name for parameter in named),
    )


def integer(value: Tensor | int) -> int:
    """Read a parameter that is one integer."""
    return int(value)


def integers(value: Tensor) -> list[int]:
    """Read a parameter that is a list of integers."""
    return [int(entry) for entry in value.reshape(-1).tolist()]


def flag(value: Tensor | bool) -> bool:  # noqa: FBT001  a default is a plain bool
    """Read a parameter that is one truth value."""
    return bool(value)


def flags(value: Tensor) -> list[bool]:
    """Read a parameter that is a list of truth values."""
    return [bool(entry) for entry in value.reshape(-1).tolist()]


def number(value: Tensor | float) -> float:
    """Read a parameter that is one real number."""
    return float(value)


def tensors(value: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Read a parameter that is a list of tensors, also when it has one entry."""
    return value if isinstance(value, tuple) else (value,)


def along_channels(values: Tensor, like: Tensor) -> Tensor:
    """Shape one value per channel so that it broadcasts along axis 1 of ``like``."""
    return values.reshape(1, -1, *[1] * (like.ndim - 2))


def require_float(*values: Tensor) -> None:
    """Refuse integers and booleans where the reference lists floats only.

    :raises OperatorError: naming the type.
    """
    for value in values:
        if not value.is_floating_point():
            raise OperatorError(f"an input of {str(value.dtype).removeprefix('torch.')}, where floats are defined only")
