"""Proves a network that was cut at its conditions: every exit against the same way through the program it was cut from.

The program is run with each decision forced, so that an exit is reached whatever the weights say; and the model as its author wrote it
is run with its own decisions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edgekit.conditions.paths import COND, branch_of
from edgekit.errors import RewriteError

_LIMIT = 1e-6
"""Of the largest value: the operators are the same in the same order, so that not even rounding should differ."""


def run_forced(program: ExportedProgram, image: Tensor, sides: Mapping[fx.Node, bool]) -> list[Any]:
    """Run a program as if the predicates of these conditions had these values, wherever they are read; return its outputs, flat."""
    given = []
    for spec in program.graph_signature.input_specs:
        if spec.target is None:
            given.append(image)
        else:
            given.append(program.state_dict[spec.target] if spec.target in program.state_dict else program.constants[spec.target])
    return list(_Forced(program.graph_module, sides).run(*given))


class _Forced(fx.Interpreter):
    def __init__(self, module: fx.GraphModule, sides: Mapping[fx.Node, bool]) -> None:
        super().__init__(module)
        self.sides = sides
        self.forced = {condition.args[0]: side for condition, side in sides.items()}

    def run_node(self, n: fx.Node) -> Any:
        if n.op == "call_function" and n.target is COND:
            values: Any = self.map_nodes_to_values(n.args, n)
            return _Forced(branch_of(n, side=bool(values[0])), self.sides).run(*values[3])
        value = super().run_node(n)
        return torch.full_like(value, self.forced[n]) if n in self.forced else value


def prove(name: str, place: str, expected: Sequence[Any], actual: Sequence[Any]) -> float:
    """Require equal tensors; return the largest difference relative to the largest value.

    :raises RewriteError: they differ by more than a millionth of the largest value.
    """
    worst = 0.0
    for ours, theirs in zip(expected, actual, strict=True):
        same = ours.shape == theirs.shape and ours.dtype == theirs.dtype
        scale = float(ours.detach().double().abs().max()) if same and ours.numel() else 0.0
        error = float((ours.detach().double() - theirs.detach().double()).abs().max()) if same and ours.numel() else 0.0
        if not same or not error <= _LIMIT * scale:
            raise RewriteError(
                f"splitting {name} at its conditions changed {place}",
                what=f"largest difference {error:.1e} of values up to {scale:.1e}"
                if same
                else f"{theirs.dtype} {tuple(theirs.shape)}, not {ours.dtype} {tuple(ours.shape)}",
                hint="this is a defect in edgekit: please report it with the model",
            )
        worst = max(worst, error / (scale or 1.0))
    return worst
