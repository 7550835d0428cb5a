"""Ways through a forward, each captured by itself -> one program with ``torch.cond``, as if the author had written it so.

    ways      true: a, p -> a        false: a, p, b -> b
    program   a, p;  cond(p, (a) -> a, (a, b) -> b)          each branch takes the image and all constants, and begins at the image

What the ways have in common is computed again in each branch here; :mod:`edgekit.conditions.paths`, which is next, makes equal operators on equal
operands one.
"""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from attrs import frozen
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.exported_program import ModuleCallEntry, ModuleCallSignature
from torch.export.graph_signature import (
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    TensorArgument,
)
from torch.utils import _pytree as pytree

from edgekit.capture import capture
from edgekit.conditions.paths import COND
from edgekit.conditions.python_branches import NotDecidedError, OneWay, Way, asked_alike, ways_through
from edgekit.errors import CaptureError

_CLONE = torch.ops.aten.clone.default
_AROUND = "model."
"""What the module that answers calls the model."""


@frozen
class _Ways:
    """Programs by their way, with how many outputs each has besides what it was asked; and the placeholders that stand for all of theirs."""

    programs: Mapping[Way, ExportedProgram]
    outputs: int
    names: Mapping[Way, Mapping[str, str]]
    constants: Mapping[str, tuple[InputSpec, Tensor]]
    placeholders: Mapping[str, Tensor]
    """With shapes, the image last."""


def with_conditions(name: str, model: nn.Module, image: Tensor) -> ExportedProgram | None:
    """Return a program of a model whose Python branches on tensors are conditions; ``None`` where it has none, or others than exits have.

    :param image: ``(1, 3, R, R)``.
    """
    ways = ways_through(model, image)
    if ways is None or not asked_alike(ways):
        return None
    modules = {way: OneWay(model, way) for way in ways}
    try:
        with torch.no_grad():
            structures = [pytree.tree_structure(module.answered(image)[0]) for module in modules.values()]
        programs = {way: capture(name, module, (image,)) for way, module in modules.items()}
    except (CaptureError, NotDecidedError):
        return None
    if any(structure != structures[0] for structure in structures) or not _alike(programs):
        return None
    joined = _joined(programs, structures[0].num_leaves)
    return _program(_built(joined, ways, ()), joined, programs[ways[0]], structures[0])


def _alike(programs: Mapping[Way, ExportedProgram]) -> bool:
    """Whether all ways return tensors of the same sizes and types."""
    found = set()
    for way, program in programs.items():
        values = program.graph_signature.user_outputs
        nodes = {node.name: node for node in program.graph.nodes}
        kept = values[: len(values) - len(way)]
        if any(not isinstance(value, str) for value in kept):
            return False
        found.add(tuple((tuple(nodes[value].meta["val"].shape), nodes[value].meta["val"].dtype) for value in kept))
    return len(found) == 1 and all(spec.kind is OutputKind.USER_OUTPUT for p in programs.values() for spec in p.graph_signature.output_specs)


def _joined(programs: Mapping[Way, ExportedProgram], outputs: int) -> _Ways:
    """Give equal constants of all ways one placeholder."""
    constants: dict[str, tuple[InputSpec, Tensor]] = {}
    names: dict[Way, dict[str, str]] = {}
    image: Any = None
    for way, program in programs.items():
        nodes = {node.name: node for node in program.graph.nodes}
        names[way] = {}
        for spec in program.graph_signature.input_specs:
            if spec.kind is InputKind.USER_INPUT:
                image = nodes[spec.arg.name] if image is None else image
                names[way][spec.arg.name] = image.name
                continue
            value: Any = program.state_dict[spec.target] if spec.target in program.state_dict else program.constants[str(spec.target)]
            made = spec.arg.name
            while made in constants and not _same(constants[made][1], value):
                made += "_"
            constants.setdefault(made, (spec, value))
            names[way][spec.arg.name] = made
    mode = image.meta["val"].fake_mode
    fakes = {name: mode.from_tensor(value, static_shapes=True) for name, (_, value) in constants.items()}
    return _Ways(programs, outputs, names, constants, {**fakes, image.name: image.meta["val"]})


def _same(ours: Tensor, theirs: Tensor) -> bool:
    return ours is theirs or (ours.dtype is theirs.dtype and ours.shape == theirs.shape and torch.equal(ours, theirs))


def _built(joined: _Ways, ways: Sequence[Way], so_far: Way) -> fx.GraphModule:
    """Return the graph of what follows some answers: a way to its end, or up to the next question and its two branches."""
    here = [way for way in ways if way[: len(so_far)] == so_far]
    program = joined.programs[here[0]]
    graph = fx.Graph()
    placeholders = [_placeholder(graph, name, value) for name, value in joined.placeholders.items()]
    by_name = {node.name: node for node in placeholders}
    made: dict[fx.Node, fx.Node] = {}
    for node in program.graph.nodes:
        if node.op == "placeholder":
            made[node] = by_name[joined.names[here[0]][node.name]]
        elif node.op != "output":
            made[node] = graph.node_copy(node, lambda source: made[source])
            made[node].meta = {**node.meta, "nn_module_stack": _inner(node.meta.get("nn_module_stack") or {})}
    returned: Any = program.graph.output_node().args[0]
    if len(here) == 1 and here[0] == so_far:
        results = [_copied(graph, made[value]) for value in returned[: joined.outputs]]
        graph.output(tuple(results))
        return fx.GraphModule({}, graph)
    sides = {side: _built(joined, ways, (*so_far, side)) for side in (True, False)}
    branches = [graph.get_attr(f"{'true' if side else 'false'}_graph") for side in (True, False)]
    operands = tuple(placeholders)
    chosen = graph.call_function(COND, (made[returned[joined.outputs + len(so_far)]], *branches, operands))
    chosen.meta = dict(made[returned[joined.outputs + len(so_far)]].meta)
    values = tuple(value.meta["val"] for value in returned[: joined.outputs])
    chosen.meta["val"] = values
    results = [graph.call_function(operator.getitem, (chosen, place)) for place in range(joined.outputs)]
    for result, value in zip(results, values, strict=True):
        result.meta["val"] = value
    graph.output(tuple(results))
    return fx.GraphModule({"true_graph": sides[True], "false_graph": sides[False]}, graph)


def _placeholder(graph: fx.Graph, name: str, value: Tensor) -> fx.Node:
    node = graph.placeholder(name)
    node.meta = {"val": value}
    return node


def _copied(graph: fx.Graph, value: fx.Node) -> fx.Node:
    """Return a copy of what a branch returns: it may not be what it was given, nor a view of it."""
    node = graph.call_function(_CLONE, (value,))
    node.meta = dict(value.meta)
    return node


def _inner(stack: Mapping[str, Any]) -> dict[str, Any]:
    """Return where a node comes from without the module around the model."""
    return {key: (path.removeprefix(_AROUND), *rest) for key, (path, *rest) in stack.items() if path.startswith(_AROUND) or not path}


def _program(root: fx.GraphModule, joined: _Ways, first: ExportedProgram, structure: pytree.TreeSpec) -> ExportedProgram:
    """Return the graph as a program that takes the image and returns what the model returns."""
    specs: list[InputSpec] = []
    state: dict[str, Tensor] = {}
    constants: dict[str, Any] = {}
    for name, (spec, value) in joined.constants.items():
        target = str(spec.target).removeprefix(_AROUND) if spec.kind is not InputKind.CONSTANT_TENSOR else name
        specs.append(InputSpec(spec.kind, TensorArgument(name=name), target, spec.persistent))
        lasting = spec.kind is InputKind.PARAMETER or (spec.kind is InputKind.BUFFER and spec.persistent)
        (state if lasting else constants)[target] = value
    image = list(joined.placeholders)[-1]
    specs.append(InputSpec(InputKind.USER_INPUT, TensorArgument(name=image), None))
    returned: Any = root.graph.output_node().args[0]
    outputs = [OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(name=value.name), None) for value in returned]
    (entry, *_) = first.module_call_graph
    assert entry.signature is not None  # noqa: S101  the first is the whole program's
    signature = ModuleCallSignature(
        inputs=[], outputs=[], in_spec=entry.signature.in_spec, out_spec=structure, forward_arg_names=entry.signature.forward_arg_names
    )
    return ExportedProgram(
        root=root,
        graph=root.graph,
        graph_signature=ExportGraphSignature(input_specs=specs, output_specs=outputs),
        state_dict=state,
        range_constraints={},
        module_call_graph=[ModuleCallEntry(fqn="", signature=signature)],
        example_inputs=first.example_inputs,
        constants=constants,
        verifiers=first.verifiers,
    )
