"""A Core ML function as the Neural Engine's rules look at it: its operators, who makes and reads each value, its constants."""

from collections.abc import Iterator, Mapping

import torch
from attrs import field, frozen

from edgekit.mil.program import Constant, Function, Name, Operator, Program
from edgekit.mil.types import TensorType, ValueType

_STORED = ("const", "constexpr_")
"""Kinds of operators that hold weights; the compiler computes them before the program runs."""


@frozen(eq=False)
class MilGraph:
    """One function, under the name of its method. ``operators`` are those that run, inner blocks included, in order."""

    method: str
    function: Function
    operators: tuple[Operator, ...]
    makers: Mapping[str, Operator] = field(repr=False)
    readers: Mapping[str, tuple[Operator, ...]] = field(repr=False)
    types: Mapping[str, ValueType] = field(repr=False)

    @property
    def inputs(self) -> frozenset[str]:
        """Names of the function's inputs."""
        return frozenset(value.name for value in self.function.inputs)

    @property
    def outputs(self) -> frozenset[str]:
        """Names of the function's outputs."""
        return frozenset(self.function.block.outputs)

    def operands(self, operator: Operator) -> Iterator[str]:
        """Yield the names of the values an operator reads, stored ones included."""
        for bindings in operator.arguments.values():
            yield from (binding.name for binding in bindings if isinstance(binding, Name))

    def running(self, operator: Operator) -> list[Operator]:
        """Return the operators that make what an operator reads, without stored values and inputs."""
        made = (self.makers.get(name) for name in self.operands(operator))
        return [maker for maker in made if maker is not None and not is_stored(maker)]

    def is_constant(self, operator: Operator, argument: str) -> bool:
        """Whether an argument is given and stored."""
        bindings = operator.arguments.get(argument, ())
        return bool(bindings) and all(self._stored(binding) for binding in bindings)

    def constant(self, operator: Operator, argument: str) -> Constant | None:
        """Return the value of a stored argument; ``None`` where it is left out, computed, or stored compressed."""
        bindings = operator.arguments.get(argument, ())
        return self._value(bindings[0]) if len(bindings) == 1 else None

    def numbers(self, operator: Operator, argument: str) -> list[int]:
        """Return a stored argument as whole numbers: strides, axes; empty where there is none."""
        value = self.constant(operator, argument)
        return [int(number) for number in value.reshape(-1).tolist()] if isinstance(value, torch.Tensor) else []

    def constants(self, operator: Operator) -> Iterator[torch.Tensor]:
        """Yield the stored tensors an operator reads."""
        for bindings in operator.arguments.values():
            yield from (value for value in map(self._value, bindings) if isinstance(value, torch.Tensor))

    def tensor(self, name: str) -> TensorType | None:
        """Return the type of a value, where it is a tensor."""
        found = self.types.get(name)
        return found if isinstance(found, TensorType) else None

    def operand_tensor(self, operator: Operator, argument: str) -> TensorType | None:
        """Return the type of a computed argument, where it is a tensor."""
        return next((self.tensor(binding.name) for binding in operator.arguments.get(argument, ()) if isinstance(binding, Name)), None)

    def _stored(self, binding: Name | Constant) -> bool:
        if not isinstance(binding, Name):
            return True
        maker = self.makers.get(binding.name)
        return maker is not None and is_stored(maker)

    def _value(self, binding: Name | Constant) -> Constant | None:
        if not isinstance(binding, Name):
            return binding
        maker = self.makers.get(binding.name)
        return maker.attributes.get("val") if maker is not None and maker.kind == "const" else None


def graphs_of(program: Program) -> Iterator[MilGraph]:
    """Yield one graph per function."""
    for function in program.functions.values():
        everything = tuple(function.block.walk())
        readers: dict[str, list[Operator]] = {}
        for operator in everything:
            for bindings in operator.arguments.values():
                for binding in bindings:
                    if isinstance(binding, Name):
                        readers.setdefault(binding.name, []).append(operator)
        outputs = [(output, operator) for operator in everything for output in operator.outputs]
        yield MilGraph(
            method=function.name,
            function=function,
            operators=tuple(operator for operator in everything if not is_stored(operator)),
            makers={output.name: operator for output, operator in outputs},
            readers={name: tuple(found) for name, found in readers.items()},
            types={value.name: value.type for value in function.inputs} | {output.name: output.type for output, _ in outputs},
        )


def is_stored(operator: Operator) -> bool:
    """Whether an operator only holds a value, plain or compressed."""
    return operator.kind.startswith(_STORED)


def tensors_of(operator: Operator) -> list[TensorType]:
    """Return the types of an operator's results that are tensors."""
    return [output.type for output in operator.outputs if isinstance(output.type, TensorType)]
