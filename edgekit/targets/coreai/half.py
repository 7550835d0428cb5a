"""Turns a float32 program into one that computes in half precision and still takes and gives float32.

    before   image f32 -> conv f32 (weights f32) -> ... -> logits f32
    after    image f32 -> to f16 -> conv f16 (weights f16) -> ... -> to f32 -> logits f32

``coreai-torch`` (0.4.3) has no option for it: it lowers each operator in the precision it finds. A layer norm keeps its
statistics in float32 all the same, its lowering sees to that. Nodes in full precision (``full_precision.py``) stay as they are:

    after    ... -> to f32 -> linear f32 (weights f32) -> sigmoid f32 -> to f16 -> ...

Inputs that they alone read stay float32, and so do outputs that they give. Their weights stay float32, too: Core AI casts
constants when it writes a program, so a weight of float16 and a cast would be stored as float32.
"""

import copy
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from edgekit.errors import LoweringError
from edgekit.full_precision import in_full_precision

_LARGEST = torch.finfo(torch.float16).max


def in_half_precision(program: ExportedProgram) -> ExportedProgram:
    """Return a program of the same interface that computes in float16; the given one is left as it is.

    Numbers in the graph beyond +-65504, as in ``masked_fill(mask, -1e9)``, become that: they stand for infinity.

    :raises LoweringError: a weight does not fit into half precision.
    """
    module = copy.deepcopy(program.module(check_guards=False))
    graphs = [part for part in module.modules() if isinstance(part, fx.GraphModule)]
    _halve_tensors(module, except_for={str(node.target) for part in graphs for node in part.graph.nodes if _is_kept(node)})
    for part in graphs:
        _halve_arguments(part)
        _cast_around_full_precision(part.graph, outermost=part is module)
        part.recompile()
    args, kwargs = program.example_inputs
    with torch.no_grad():
        return torch.export.export(_Cast(module, _kept_inputs(module)), args, kwargs, strict=False)


class _Cast(nn.Module):
    """A module in half precision between float32 inputs and outputs; inputs at the places in ``kept`` stay float32."""

    def __init__(self, inner: nn.Module, kept: frozenset[int]) -> None:
        super().__init__()
        self.inner = inner
        self.kept = kept

    def forward(self, *inputs: Tensor) -> Any:
        given = (value if place in self.kept else _to(value, torch.float32, torch.float16) for place, value in enumerate(inputs))
        outputs = self.inner(*given)
        return pytree.tree_map(lambda value: _to(value, torch.float16, torch.float32), outputs)


def _to(value: Any, source: torch.dtype, destination: torch.dtype) -> Any:
    return value.to(destination) if isinstance(value, Tensor) and value.dtype is source else value


def _is_kept(node: fx.Node) -> bool:
    """Whether a node, or all that reads a weight, is in full precision."""
    return in_full_precision(node) or (node.op == "get_attr" and _is_read_in_full(node))


def _is_read_in_full(node: fx.Node) -> bool:
    return bool(node.users) and all(map(in_full_precision, node.users))


def _kept_inputs(module: Any) -> frozenset[int]:
    """Return the places of a program's inputs that are not halved."""
    return frozenset(place for place, node in enumerate(module.graph.find_nodes(op="placeholder")) if _is_kept_input(node))


def _is_kept_input(node: fx.Node) -> bool:
    return node.op == "placeholder" and _is_read_in_full(node)


def _halve_tensors(module: nn.Module, *, except_for: set[str]) -> None:
    """Convert parameters, buffers and the constants that torch.export keeps as plain attributes."""
    for name, part in list(module.named_modules()):
        prefix = f"{name}." if name else ""
        for key, value in list(part.__dict__.items()):
            if isinstance(value, Tensor) and prefix + key not in except_for:
                setattr(part, key, _halved(f"{name}.{key}", value))
        for table in (part._parameters, part._buffers):  # noqa: SLF001 - in place, and under the same names
            for key, value in table.items():
                if value is not None and prefix + key not in except_for:
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
        if node.op == "call_function" and not in_full_precision(node):
            node.args = fx.node.map_aggregate(node.args, _argument)
            node.kwargs = fx.node.map_aggregate(node.kwargs, _argument)


def _cast_around_full_precision(graph: fx.Graph, *, outermost: bool) -> None:
    """Insert casts where values go from half precision into full, and where they come back.

    :param outermost: the program's own graph, whose outputs are float32; those of a branch inside it are what its condition gives.
    """
    casts: dict[tuple[fx.Node, torch.dtype], fx.Node] = {}
    for node in list(graph.nodes):
        if node.op != "call_function" and (outermost or node.op != "output"):
            continue
        wanted = torch.float32 if in_full_precision(node) else torch.float16
        for given in node.all_input_nodes:
            if not _is_float(given) or (_is_kept(given) or (outermost and _is_kept_input(given))) is in_full_precision(node):
                continue
            if (given, wanted) not in casts:
                with graph.inserting_after(given):
                    casts[given, wanted] = graph.call_function(torch.ops.aten.to.dtype, (given, wanted))
            node.replace_input_with(given, casts[given, wanted])


def _is_float(node: fx.Node) -> bool:
    """Whether a node gave float32 before anything was halved."""
    value = node.meta.get("val")
    return isinstance(value, Tensor) and value.dtype is torch.float32


def _argument(value: Any) -> Any:
    if value is torch.float32:
        return torch.float16
    if isinstance(value, float) and abs(value) > _LARGEST and abs(value) != float("inf"):
        return _LARGEST if value > 0 else -_LARGEST
    return value
