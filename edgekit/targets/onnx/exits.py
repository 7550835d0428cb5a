"""Finds the exits in a graph that :mod:`edgekit.targets.onnx.branches` joined, and cuts them out as models of their own."""

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from edgekit.errors import ArtifactError
from edgekit.interface import CONFIDENCE, LOGITS, THRESHOLDS
from edgekit.targets.onnx.branches import branches_of, is_decision, within

EXITS_KEY = "edgekit.exits"
"""The metadata entry that names the exits, first exit first, with a space between."""


@frozen
class ExitGraph:
    """One exit: its ``graph``, and the values, with shapes, that its method takes and gives, by the method's own names for them."""

    name: str
    graph: Any
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


def exits_in(model: Any, metadata: Mapping[str, str]) -> tuple[ExitGraph, ...]:
    """Return the exits of a model, first exit first; none where it says nothing of exits.

    :raises ArtifactError: it names exits that are not there.
    """
    found: list[ExitGraph] = []
    graph, given = model.graph, {value.name: value for value in model.graph.input if value.name != THRESHOLDS}
    for name in metadata.get(EXITS_KEY, "").split():
        values = {} if graph is None else {value.name: value for value in graph.value_info}
        decided = {own: values.pop(within(name, own), None) for own in (LOGITS, CONFIDENCE)}
        if None in decided.values():
            raise ArtifactError(f"the file is damaged: it names an exit {name} and has none", hint="write or copy it again")
        found.append(ExitGraph(name, graph, given, {**decided, **values}))
        graph, given = _behind(name, graph), values
    return tuple(found)


def _behind(name: str, graph: Any) -> Any | None:
    """Return the graph that runs where an exit is not taken."""
    decision = next((node for node in graph.node if is_decision(name, node) and node.op_type == "If"), None)
    return None if decision is None else next((attribute.g for attribute in decision.attribute if attribute.name == "else_branch"), None)


def cut_out(model: Any, exits: tuple[ExitGraph, ...], name: str) -> Any:
    """Return one of a model's exits as an ``onnx.ModelProto`` of its own, its inputs and outputs called as its method's.

    Holds a copy of that exit's weights.
    """
    import onnx

    position = [each.name for each in exits].index(name)
    found = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    found.graph.name = name
    found.graph.input.extend(exits[position].inputs.values())
    for own, value in exits[position].outputs.items():
        found.graph.output.add().CopyFrom(value)
        found.graph.output[-1].name = own
    found.graph.node.extend(node for node in exits[position].graph.node if not is_decision(name, node))
    for own in (LOGITS, CONFIDENCE):
        found.graph.node.append(onnx.helper.make_node("Identity", [within(name, own)], [own]))
    read = set(_operands(found.graph))
    for each in exits[: position + 1]:
        found.graph.initializer.extend(tensor for tensor in each.graph.initializer if tensor.name in read)
    return found


def _operands(graph: Any) -> Iterator[str]:
    for node in graph.node:
        yield from node.input
        for inner in branches_of(node):
            yield from _operands(inner)
