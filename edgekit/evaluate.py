"""Runs a captured program node by node and keeps the values of the nodes one asks for."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from edgekit.full_precision import in_full_precision


class _Recorder(fx.Interpreter):
    def __init__(self, module: fx.GraphModule, names: set[str], stored: Callable[[Tensor], Tensor]) -> None:
        super().__init__(module)
        self.names = names
        self.stored = stored
        self.values: dict[str, Any] = {}
        self.full = False

    def run_node(self, n: fx.Node) -> Any:
        self.full = in_full_precision(n)
        value = super().run_node(n)
        if n.name in self.names:
            self.values[n.name] = value
        return value

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        return super().call_function(target, tuple(map(self._as_stored, args)), {name: self._as_stored(value) for name, value in kwargs.items()})

    def _as_stored(self, value: Any) -> Any:
        """A number in the graph, such as the scale of attention, becomes a constant of the artifact like any other."""
        if self.full:
            return value
        return float(self.stored(torch.tensor(value, dtype=torch.float64))) if isinstance(value, float) else value


def evaluate(
    program: ExportedProgram, inputs: Sequence[Tensor], names: set[str], *, stored: Callable[[Tensor], Tensor] = lambda value: value
) -> dict[str, Any]:
    """Run a program on ``inputs`` and return the values of the named nodes: tensors, or tuples of them.

    :param stored: applied to every parameter, buffer and constant before it is used, and to every real number in the graph but those of
        nodes in full precision.
    """
    recorder = _Recorder(program.graph_module, names, stored)
    given = iter(inputs)
    arguments = []
    for spec in program.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT:
            arguments.append(next(given))
        else:
            target = str(spec.target)
            arguments.append(stored(program.state_dict[target] if target in program.state_dict else program.constants[target]))
    with torch.no_grad():
        recorder.run(*arguments)
    return recorder.values


def output_names(program: ExportedProgram) -> list[str]:
    """Return the names of the nodes that a program returns, in order."""
    return [name for name in program.graph_signature.user_outputs if isinstance(name, str)]
