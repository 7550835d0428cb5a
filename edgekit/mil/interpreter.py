"""Runs a function of a MIL program, operator by operator, on the CPU.

Two numerics. ``fp32``: every float is held and computed in float32, whatever the program says: is the *program* right?
``fp16``: the same, but a result that the program declares fp16 is rounded to half precision (round to nearest even,
overflow to infinity): how far may a phone drift? Within one operator the arithmetic is float32 in both; a phone's kernel
may accumulate in half precision too, so ``fp16`` is an estimate from below.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
from attrs import define

from edgekit.errors import ArtifactError, BadInputError, UnknownNameError
from edgekit.mil.bounds import elements
from edgekit.mil.operators.context import Context, OperatorError
from edgekit.mil.operators.registry import OPERATORS
from edgekit.mil.program import Block, Function, Name, Operator, Output, Program
from edgekit.mil.types import MOST_ELEMENTS, StateType, TensorType, torch_dtype

Numerics = Literal["fp32", "fp16"]
Value = Any
"""A tensor, a string, a tuple of values (``concat``'s list, a MIL list), or a state's cell."""
Observer = Callable[[Operator, tuple[Value, ...]], None]

_MOST_ITERATIONS = 1_000_000
_LONGEST_LOOP = 120.0  # seconds
_STORED_WEIGHTS = "constexpr_"


class UnknownOperatorError(BadInputError):
    """The program has an operator, or a parameter of one, that is not known here; nothing was computed."""


class ProgramError(ArtifactError):
    """An operator cannot be computed: its inputs do not fit each other or the type the program declares."""


@define
class State:
    """The content of a state (iOS 18) between two calls."""

    value: torch.Tensor


class Interpreter:
    """Runs the functions of a program.

    Between calls it holds only the weights that the program stores compressed, from their first use on; states are the caller's.
    """

    def __init__(self, program: Program, numerics: Numerics = "fp32") -> None:
        self.program = program
        self.numerics = numerics
        self._weights: dict[int, tuple[Value, ...]] = {}

    def make_state(self, function: str) -> dict[str, State]:
        """Return fresh states of a function, filled with zeros."""
        types = {given.name: given.type.tensor for given in self._function(function).inputs if isinstance(given.type, StateType)}
        return {name: State(torch.zeros([size or 0 for size in type_.shape], dtype=torch_dtype(type_.dtype))) for name, type_ in types.items()}

    def run(
        self,
        function: str,
        inputs: Mapping[str, torch.Tensor],
        *,
        states: Mapping[str, State] | None = None,
        observe: Observer | None = None,
    ) -> dict[str, torch.Tensor]:
        """Run a function on tensors by input name; return its outputs by name.

        :param states: from :meth:`make_state`, changed in place; fresh ones where not given.
        :param observe: called with each operator and its results, constants left out.
        :raises UnknownNameError: no such function. :raises BadInputError: an input is missing.
        :raises UnknownOperatorError: it has an operator that is not known.
        :raises ProgramError: an operator cannot be computed, or gives another shape than the program declares.
        """
        entry = self._function(function)
        require_known(entry)
        run = _Run(self.numerics, entry.opset, observe, self._weights)
        cells = states if states is not None else self.make_state(function)
        scope: dict[str, Value] = {}
        if missing := [given.name for given in entry.inputs if not isinstance(given.type, StateType) and given.name not in inputs]:
            raise BadInputError(f"function {function} cannot run without its input {', '.join(missing)}")
        for given in entry.inputs:
            scope[given.name] = cells[given.name] if isinstance(given.type, StateType) else run.conform(inputs[given.name], given, given.name)
        with torch.inference_mode():
            results = run.block(entry.block, scope)
        return dict(zip(entry.block.outputs, results, strict=True))

    def _function(self, name: str) -> Function:
        if name not in self.program.functions:
            raise UnknownNameError("function", name, self.program.functions)
        return self.program.functions[name]


def require_known(function: Function) -> None:
    """Stop at operators that are not known, before anything is computed.

    :raises UnknownOperatorError: naming them.
    """
    known = OPERATORS.keys() | _Run.CONTROL.keys()
    unknown = sorted({operator.kind for operator in function.block.walk()} - known)
    if unknown:
        raise UnknownOperatorError(f"op {', '.join(unknown)}", why=f"the interpreter has no such operator (operator set {function.opset})")


class _Run:
    """One call: what all its blocks share."""

    def __init__(self, numerics: Numerics, opset: str, observe: Observer | None, weights: dict[int, tuple[Value, ...]]) -> None:
        self._half = numerics == "fp16"
        self._opset = opset
        self._observe = observe
        self._weights = weights

    def block(self, block: Block, scope: dict[str, Value]) -> tuple[Value, ...]:
        """Compute a block in a scope it may add to; drop each value after its last use, so that memory stays near the widest layer."""
        last = _last_uses(block)
        for position, operator in enumerate(block.operators):
            results = self._operator(operator, scope)
            scope.update(zip((output.name for output in operator.outputs), results, strict=True))
            if self._observe is not None and operator.kind != "const":
                self._observe(operator, results)
            for name in last.get(position, ()):
                scope.pop(name, None)
        try:
            return tuple(scope[name] for name in block.outputs)
        except KeyError as error:
            raise ProgramError(f"the program returns {error}, which nothing computes") from error

    def _operator(self, operator: Operator, scope: Mapping[str, Value]) -> tuple[Value, ...]:
        control = self.CONTROL.get(operator.kind)
        if control is not None:
            return control(self, operator, scope)
        if not operator.kind.startswith(_STORED_WEIGHTS):
            return self._computed(operator, scope)
        if id(operator) not in self._weights:  # the program keeps its operators, so an id stands for one of them
            self._weights[id(operator)] = self._computed(operator, scope)
        return self._weights[id(operator)]

    def _computed(self, operator: Operator, scope: Mapping[str, Value]) -> tuple[Value, ...]:
        arguments = dict(operator.attributes)  # before iOS 18, compressed weights have their parameters there
        arguments |= {key: self._argument(operator, bindings, scope) for key, bindings in operator.arguments.items()}
        context = Context(outputs=tuple(output.type for output in operator.outputs), opset=self._opset)
        entry = OPERATORS[operator.kind]
        if complaint := entry.complaint(arguments):
            raise UnknownOperatorError(f"op {operator.kind}", what=operator.name, why=complaint)
        if (size := elements(operator.kind, arguments)) > MOST_ELEMENTS:
            raise ProgramError(f"{operator.kind} {operator.name} makes {size} elements", why=f"the limit is {MOST_ELEMENTS}")
        with _explained(operator):
            result = entry.compute(context, **arguments) if entry.takes_context else entry.compute(**arguments)
        results = result if isinstance(result, tuple) and len(operator.outputs) != 1 else (result,)
        if len(results) != len(operator.outputs):
            raise ProgramError(f"{operator.kind} {operator.name} gives {len(results)} results, the program declares {len(operator.outputs)}")
        return tuple(self.conform(value, output, operator.name) for value, output in zip(results, operator.outputs, strict=True))

    @staticmethod
    def _argument(operator: Operator, bindings: tuple[Any, ...], scope: Mapping[str, Value]) -> Value:
        """Return an argument's value; several bindings make a tuple, and so does the one entry of a list such as ``values``."""
        try:
            values = tuple(scope[binding.name] if isinstance(binding, Name) else binding for binding in bindings)
        except KeyError as error:
            raise ProgramError(f"{operator.kind} {operator.name} reads {error}, which nothing computes") from error
        return values[0] if len(values) == 1 else values

    def conform(self, value: Value, output: Output, where: str) -> Value:
        """Bring a result into the type the program declares, and round it if that is fp16.

        :raises ProgramError: another shape, or another kind of value.
        """
        if not isinstance(output.type, TensorType) or not isinstance(value, torch.Tensor):
            return value
        declared, held = output.type, torch_dtype(output.type.dtype)
        matches = len(declared.shape) == value.ndim and all(a is None or a == b for a, b in zip(declared.shape, value.shape, strict=True))
        if not matches:
            raise ProgramError(f"{where}: {output.name} has shape {list(value.shape)}, the program declares {declared}")
        if value.dtype != held:
            if value.is_floating_point() != held.is_floating_point:
                raise ProgramError(f"{where}: {output.name} is {value.dtype}, the program declares {declared}")
            value = value.to(held)
        return value.half().float() if self._half and declared.dtype == "fp16" else value

    def _const(self, operator: Operator, scope: Mapping[str, Value]) -> tuple[Value, ...]:
        del scope
        value = operator.attributes.get("val")
        if value is None:
            raise ProgramError(f"the constant {operator.name} has no value")
        return (value,)

    def _cond(self, operator: Operator, scope: Mapping[str, Value]) -> tuple[Value, ...]:
        predicate = self._argument(operator, operator.arguments["pred"], scope)
        branch = operator.blocks[0] if bool(predicate) else operator.blocks[1]
        return self._conform_all(self.block(branch, dict(scope)), operator)

    def _while_loop(self, operator: Operator, scope: Mapping[str, Value]) -> tuple[Value, ...]:
        condition, body = operator.blocks
        bindings = operator.arguments["loop_vars"]
        carried: tuple[Value, ...] = tuple(self._argument(operator, (binding,), scope) for binding in bindings)
        latest = time.monotonic() + _LONGEST_LOOP
        for _ in range(_MOST_ITERATIONS):
            if time.monotonic() > latest:
                raise ProgramError(f"the loop {operator.name} has not ended after {_LONGEST_LOOP:.0f} seconds")
            (going,) = self.block(condition, self._inner(condition, scope, carried))
            if not bool(going):
                return self._conform_all(carried, operator)
            carried = self.block(body, self._inner(body, scope, carried))
        raise ProgramError(f"the loop {operator.name} has not ended after {_MOST_ITERATIONS} iterations")

    @staticmethod
    def _inner(block: Block, scope: Mapping[str, Value], carried: tuple[Value, ...]) -> dict[str, Value]:
        return dict(scope) | {given.name: value for given, value in zip(block.inputs, carried, strict=True)}

    def _conform_all(self, values: tuple[Value, ...], operator: Operator) -> tuple[Value, ...]:
        return tuple(self.conform(value, output, operator.name) for value, output in zip(values, operator.outputs, strict=True))

    def _read_state(self, operator: Operator, scope: Mapping[str, Value]) -> tuple[Value, ...]:
        cell = self._argument(operator, operator.arguments["input"], scope)
        return (self.conform(cell.value.clone(), operator.outputs[0], operator.name),)

    def _update_state(self, operator: Operator, scope: Mapping[str, Value]) -> tuple[Value, ...]:
        state, data = ("input", "data") if operator.kind == "write_state" else ("state", "value")
        cell = self._argument(operator, operator.arguments[state], scope)
        value = self._argument(operator, operator.arguments[data], scope)
        cell.value = value.clone()
        return tuple(self.conform(cell.value, output, operator.name) for output in operator.outputs)

    CONTROL: Mapping[str, Callable[["_Run", Operator, Mapping[str, Value]], tuple[Value, ...]]] = {
        "const": _const,
        "cond": _cond,
        "while_loop": _while_loop,
        "read_state": _read_state,
        "coreml_update_state": _update_state,
        "write_state": _update_state,
    }


@contextmanager
def _explained(operator: Operator) -> Iterator[None]:
    """Turn what an operator's function raises into a sentence that names the operator."""
    try:
        yield
    except OperatorError as error:
        raise UnknownOperatorError(f"op {operator.kind}", what=f"{operator.name}: {error}") from error
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ProgramError(f"{operator.kind} {operator.name} cannot be computed", why=f"{type(error).__name__}: {reason}") from error


def _last_uses(block: Block) -> dict[int, list[str]]:
    """Return, by position, the names of values computed in the block that no later operator of it reads, or none at all."""
    made = {output.name for operator in block.operators for output in operator.outputs}
    last: dict[str, int] = {}
    for position, operator in enumerate(block.operators):
        last |= {output.name: position for output in operator.outputs}
        for name in _reads(operator):
            last[name] = position
    by_position: dict[int, list[str]] = {}
    for name, position in last.items():
        if name in made and name not in block.outputs:
            by_position.setdefault(position, []).append(name)
    return by_position


def _reads(operator: Operator) -> Iterator[str]:
    """Yield the names an operator reads, inside its blocks too."""
    for bindings in operator.arguments.values():
        yield from (binding.name for binding in bindings if isinstance(binding, Name))
    for block in operator.blocks:
        yield from block.outputs
        for inner in block.operators:
            yield from _reads(inner)
