"""Joins the methods of a network with exits into one graph that stops by itself: conditions inside conditions.

    before   exit_1: image -> logits, confidence, features_1_0          exit_2: features_1_0 -> logits, confidence
    after    forward: image, thresholds -> logits, confidence, exit

             exit_1's nodes
             logits, confidence, exit = If(exit_1's confidence >= thresholds[0])
                 then   exit_1's logits and confidence, 1
                 else   exit_2's nodes
                        ... If(...), one inside the other, up to the last exit's logits and confidence, K

onnxruntime runs the nodes of a branch only if it is taken. Weights lie in the outermost graph, which the branches see: it keeps a copy
of each branch for each condition around it, with all that lies inside. With weights in the branches, CHASE for CIFAR-10 (30 MB) took
243 MB once loaded; so it takes 56, one graph with all exits 83 (onnxruntime 1.31). The price is that weights around a branch are not
reordered for AVX: 2.8 ms against 2.3 at the fourth of six exits, 0.6 at the first either way. A confidence or a threshold that is NaN
compares as false: the picture goes on.

Names: what comes in, and what one exit hands on to the next, keeps its name. All else is prefixed with its exit's, ``exit_2/logits``,
and what the joining added with ``exit_2/decision``. Each graph's ``value_info`` lists what its exit gives, with its shape:
:mod:`edgekit.targets.onnx.exits` reads the methods out of the file by that.

Source: the ONNX specification of If, whose branches take no inputs and read the names around them.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from edgekit.errors import LoweringError
from edgekit.interface import CONFIDENCE, LOGITS, THRESHOLDS, MethodSpec, TensorSpec

MOST_EXITS = 24
"""A branch is three messages deeper than the graph it stands in, and protobuf's readers stop at a depth of 100."""

SMALL = 1024
"""Bytes below which a constant stays in its branch: shapes and axes, which an optimizer reads there."""

_DECIDED = (LOGITS, CONFIDENCE)
_ABOUT_THRESHOLDS = "leave at an exit where its confidence is at least this, one for every exit but the last; inf or NaN: never"


def join(models: Sequence[Any], exits: Sequence[MethodSpec], forward: MethodSpec) -> Any:
    """Return one ``onnx.ModelProto`` out of one for each exit, first exit first; those are used up.

    :param forward: ``image, thresholds -> logits, confidence, exit``.
    :raises LoweringError: more exits than can stand inside each other.
    """
    if len(exits) > MOST_EXITS:
        raise LoweringError(
            f"{len(exits)} exits do not fit into one ONNX graph",
            why=f"each is nested in the one before, and readers stop after {MOST_EXITS}",
            hint="--early-exit separate",
        )
    for model, spec in zip(models, exits, strict=True):
        kept = {tensor.name for tensor in (*spec.inputs, *spec.outputs) if tensor.name not in _DECIDED}
        _prefix(model.graph, spec.name, kept | {""})  # an operand that is left out has an empty name
    _gather_constants([model.graph for model in models])
    for position in reversed(range(len(exits))):
        behind = models[position + 1].graph if position + 1 < len(models) else None
        _end_with_answer(models[position].graph, position, exits[position], forward, behind)
        if behind is not None:
            behind.Clear()  # a condition holds a copy
    models[0].graph.name = forward.name
    thresholds = next(tensor for tensor in forward.inputs if tensor.name == THRESHOLDS)
    models[0].graph.input.append(_value(thresholds, THRESHOLDS, about=_ABOUT_THRESHOLDS))
    return models[0]


def within(exit_name: str, name: str) -> str:
    """Return what a method's output is called inside the graph."""
    return f"{exit_name}/{name}" if name in _DECIDED else name


def is_decision(exit_name: str, node: Any) -> bool:
    """Whether joining added this node to an exit's graph."""
    return str(node.name).startswith(f"{exit_name}/decision/")


def branches_of(node: Any) -> Iterator[Any]:
    """Yield the graphs inside a node."""
    for attribute in node.attribute:
        yield from (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs)


def _prefix(graph: Any, prefix: str, kept: set[str]) -> None:
    def prefixed(name: str) -> str:
        return name if name in kept else f"{prefix}/{name}"

    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = prefixed(value.name)
    for node in graph.node:
        node.name = f"{prefix}/{node.name}"
        node.input[:] = [prefixed(name) for name in node.input]
        node.output[:] = [prefixed(name) for name in node.output]
        for inner in branches_of(node):
            _prefix(inner, prefix, kept)


def _gather_constants(graphs: Sequence[Any]) -> None:
    """Move the weights into the first exit's graph, which all later ones see, and keep one of several equal constants."""
    import onnx

    outermost = graphs[0]
    known: dict[tuple[Any, ...], str] = {}
    for graph in graphs:
        renamed: dict[str, str] = {}
        own = list(graph.initializer)
        del graph.initializer[:]
        for tensor in own:
            content = onnx.numpy_helper.to_array(tensor).tobytes()
            name = known.setdefault((tensor.data_type, *tensor.dims, hashlib.sha256(content).digest()), tensor.name)
            if name != tensor.name:
                renamed[tensor.name] = name
            else:
                (graph if len(content) < SMALL else outermost).initializer.append(tensor)
        _rename_operands(graph, renamed)


def _rename_operands(graph: Any, names: dict[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        for inner in branches_of(node):
            _rename_operands(inner, names)


def _end_with_answer(graph: Any, position: int, spec: MethodSpec, forward: MethodSpec, behind: Any | None) -> None:
    """Let an exit's graph give the answer: its own, or that of the graph behind it, which is finished already.

    :param behind: ``None`` for the last exit.
    """
    from onnx import TensorProto, helper

    graph.name = spec.name
    graph.value_info.extend(_value(tensor, within(spec.name, tensor.name)) for tensor in spec.outputs)
    if position:
        del graph.input[:]
    added = f"{spec.name}/decision"
    results = [tensor.name if position == 0 else f"{added}/{tensor.name}" for tensor in forward.outputs]
    if behind is None:
        _answer(graph, spec, position + 1, results)
    else:
        then = helper.make_graph([], f"{spec.name}/taken", [], [])
        taken = [f"{added}/taken/{tensor.name}" for tensor in forward.outputs]
        _answer(then, spec, position + 1, taken)
        then.output.extend(_value(tensor, name) for tensor, name in zip(forward.outputs, taken, strict=True))
        place, threshold, sure = (f"{added}/{name}" for name in ("place", "threshold", "sure"))
        graph.initializer.append(helper.make_tensor(place, TensorProto.INT64, [1], [position]))
        graph.node.append(helper.make_node("Gather", [THRESHOLDS, place], [threshold], name=threshold))
        graph.node.append(helper.make_node("GreaterOrEqual", [within(spec.name, CONFIDENCE), threshold], [sure], name=sure))
        graph.node.append(helper.make_node("If", [sure], results, name=f"{added}/leave", then_branch=then, else_branch=behind))
    del graph.output[:]
    graph.output.extend(_value(tensor, name) for tensor, name in zip(forward.outputs, results, strict=True))


def _answer(graph: Any, spec: MethodSpec, number: int, names: Sequence[str]) -> None:
    """Give an exit's logits, confidence and number under these names; a branch cannot give what lies around it without a node."""
    from onnx import TensorProto, helper

    constant = f"{spec.name}/decision/number"
    graph.initializer.append(helper.make_tensor(constant, TensorProto.INT32, [1], [number]))
    sources = (within(spec.name, LOGITS), within(spec.name, CONFIDENCE), constant)
    for source, name in zip(sources, names, strict=True):
        graph.node.append(helper.make_node("Identity", [source], [name], name=f"{spec.name}/decision/{name.rpartition('/')[2]}"))


def _value(tensor: TensorSpec, name: str, *, about: str = "") -> Any:
    import numpy as np
    from onnx import helper

    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype)), tensor.shape, doc_string=about)
