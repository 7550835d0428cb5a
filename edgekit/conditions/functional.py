"""A captured program without operators that write to their operands.

    before   branch(x)   relu_(x); return x.view(4)          after   branch(x)   return clone(relu(x).view(4))

Operators are moved to other stages, and those of a branch may run where it is not taken; neither may be noticed. PyTorch makes a program
functional, but for branches that write to an operand or return a view of one: these get copies first. What a branch writes is
not seen outside it then; what the model itself holds, and its image, may not be written to at all.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram

from edgekit.conditions.paths import COND, branch_of
from edgekit.errors import CaptureError
from edgekit.quiet import quiet
from edgekit.user_code import model_line

_CLONE = torch.ops.aten.clone.default


def functional(name: str, program: ExportedProgram) -> ExportedProgram:
    """Return an equal program; ``program`` is left as it is.

    :param name: the model's, for errors.
    :raises CaptureError: a buffer or the image is written to.
    """
    with quiet():
        program = copy.copy(program)
        program._graph_module = copy.deepcopy(program.graph_module)  # noqa: SLF001
    names = {spec.arg.name: "its input" if spec.target is None else str(spec.target) for spec in program.graph_signature.input_specs}
    held = {node: names[node.name] for node in program.graph_module.graph.find_nodes(op="placeholder")}
    _refuse_writing(name, program.graph_module, held)
    _copy_in_branches(name, program.graph_module, held)
    with quiet():
        return program.run_decompositions({})


def _refuse_writing(name: str, module: fx.GraphModule, held: Mapping[fx.Node, str]) -> None:
    for written, writer in _written(module):
        if written in held:
            raise CaptureError(
                f"cannot take the conditions out of {name}: it writes to {held[written]}",
                where=model_line(writer.meta.get("stack_trace")),
                why="what is kept from one image to the next cannot be written by a method that may not be run",
                hint="return the value instead, write to a clone(), or leave it out in eval mode",
            )


def _copy_in_branches(name: str, module: fx.GraphModule, held: Mapping[fx.Node, str]) -> None:
    """Insert copies in all branches below a graph.

    :param held: what the model holds, and its input, by the nodes that stand for it here.
    """
    for condition in module.graph.find_nodes(op="call_function", target=COND):
        operands: Any = condition.args[3]
        for side in (True, False):
            branch = branch_of(condition, side=side)
            inputs = branch.graph.find_nodes(op="placeholder")
            below = {inner: held[outer] for inner, outer in zip(inputs, operands, strict=True) if outer in held}
            _refuse_writing(name, branch, below)
            _copy_in_branches(name, branch, below)
            _insert_copies(branch, {written for written, _ in _written(branch)})


def _written(module: fx.GraphModule) -> Iterator[tuple[fx.Node, fx.Node]]:
    """Yield each input of a graph that an operator writes to, with that operator."""
    for node in module.graph.nodes:
        schema = getattr(node.target, "_schema", None)
        for value, argument in zip(node.args, schema.arguments if schema else (), strict=False):
            if argument.is_write and isinstance(value, fx.Node) and (root := _viewed(value)).op == "placeholder":
                yield root, node


def _viewed(node: fx.Node) -> fx.Node:
    """Return what a node is a view of: itself if of nothing."""
    while node.op == "call_function":
        schema = getattr(node.target, "_schema", None)
        if not schema or not schema.arguments or schema.arguments[0].alias_info is None or not isinstance(node.args[0], fx.Node):
            break
        node = node.args[0]
    return node


def _insert_copies(branch: fx.GraphModule, written: set[fx.Node]) -> None:
    (output,) = branch.graph.find_nodes(op="output")
    for value in written:
        with branch.graph.inserting_after(value):
            made = branch.graph.call_function(_CLONE, (value,))
        made.meta = dict(value.meta)
        for user in [user for user in value.users if user is not made]:
            user.replace_input_with(value, made)
    returned: Any = output.args[0]
    copies = []
    for value in returned:
        with branch.graph.inserting_before(output):
            copies.append(branch.graph.call_function(_CLONE, (value,)))
        copies[-1].meta = dict(value.meta)
    output.args = (tuple(copies),)
    branch.recompile()
