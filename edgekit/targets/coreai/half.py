"""Turns a float32 program into one that computes in half precision and still takes and gives float32.

    before   image f32 -> conv f32 (weights f32) -> ... -> logits f32
    after    image f32 -> to f16 -> conv f16 (weights f16) -> ... -> to f32 -> logits f32

``coreai-torch`` (0.4.3) has no option for it: it lowers each operator in the precision it finds. A layer norm keeps its
statistics in float32 all the same, its lowering sees to that.
"""

import copy
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from edgekit.errors import LoweringError

_LARGEST = torch.finfo(torch.float16).max


def in_half_precision(program: ExportedProgram) -> ExportedProgram:
    """Return a program of the same interface that computes in float16; the given one is left as it is.

    Numbers in the graph beyond +-65504, as in ``masked_fill(mask, -1e9)``, become that: they stand for infinity.

    :raises LoweringError: a weight does not fit into half precision.
    """
    module = copy.deepcopy(program.module(check_guards=False))
    _halve_tensors(module)
    for part in module.modules():
        if isinstance(part, fx.GraphModule):
            _halve_arguments(part)
    args, kwargs = program.example_inputs
    with torch.no_grad():
        return torch.export.export(_Cast(module), args, kwargs, strict=False)


class _Cast(nn.Module):
    """A module in half precision between float32 inputs and outputs."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *inputs: Tensor) -> Any:
        outputs = self.inner(*(_to(value, torch.float32, torch.float16) for value in inputs))
        return pytree.tree_map(lambda value: _to(value, torch.float16, torch.float32), outputs)


def _to(value: Any, source: torch.dtype, destination: torch.dtype) -> Any:
    return value.to(destination) if isinstance(value, Tensor) and value.dtype is source else value


def _halve_tensors(module: nn.Module) -> None:
    """Convert parameters, buffers and the constants that torch.export keeps as plain attributes."""
    for name, part in list(module.named_modules()):
        for key, value in list(part.__dict__.items()):
            if isinstance(value, Tensor):
                setattr(part, key, _halved(f"{name}.{key}", value))
        for table in (part._parameters, part._buffers):  # noqa: SLF001 - in place, and under the same names
            for key, value in table.items():
                if value is not None:
                    tensor = _halved(f"{name}.{key}", value.detach())
                    table[key] = nn.Parameter(tensor, requires_grad=False) if table is part._parameters else tensor  # noqa: SLF001


def _halved(name: str, value: Tensor) -> Tensor:
    if value.dtype is not torch.float32:
        return value
    largest = float(value[value.isfinite()].abs().max()) if value.isfinite().any() else 0.0
    if largest > _LARGEST:
        raise LoweringError(
            "cannot lower to half precision: a weight does not fit",
            what=f"{name.strip('.').removeprefix('inner.')} holds {largest:.3g}",
            why=f"half precision ends at {_LARGEST:.0f}",
            hint="--precision fp32",
        )
    return value.half()


def _halve_arguments(module: fx.GraphModule) -> None:
    """Convert what operators are told: dtypes, and numbers beyond half precision's range."""
    for node in module.graph.nodes:
        if node.op == "call_function":
            node.args = fx.node.map_aggregate(node.args, _argument)
            node.kwargs = fx.node.map_aggregate(node.kwargs, _argument)
    module.recompile()


def _argument(value: Any) -> Any:
    if value is torch.float32:
        return torch.float16
    if isinstance(value, float) and abs(value) > _LARGEST and abs(value) != float("inf"):
        return _LARGEST if value > 0 else -_LARGEST
    return value
