"""Makes the copy of a program that litert_torch gets: channels-last images outside, torch's layout inside.

    before   image (1, 3, H, W) -> ... -> (1, C, h, w)
    after    image (1, H, W, 3) -> permute(0, 3, 1, 2) -> ... -> permute(0, 2, 3, 1) -> (1, h, w, C)

The graph is edited rather than exported anew, so nodes keep their source lines; litert_torch's own layout
pass then turns the network round and cancels the permutes.
"""

import copy
import dataclasses
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram, ModuleCallEntry
from torch.export.graph_signature import ExportGraphSignature, InputKind, OutputKind, TensorArgument
from torch.utils import _pytree

from edgekit.interface import MethodSpec

_FROM_LAST = (0, 3, 1, 2)
_TO_LAST = (0, 2, 3, 1)


def prepare(program: ExportedProgram, method: MethodSpec) -> ExportedProgram:
    """Return a copy with a permute at every input and output whose layout in ``method`` is NHWC.

    The copy may be edited freely; parameters are shared with ``program``, except those that hold infinities.
    """
    module = copy.deepcopy(program.graph_module)
    signature = copy.deepcopy(program.graph_signature)
    last_inputs = _permute_inputs(module.graph, signature, method)
    _permute_outputs(module.graph, signature, method)
    module.graph.lint()
    module.recompile()
    return ExportedProgram(
        root=module,
        graph=module.graph,
        graph_signature=signature,
        state_dict={name: _own_if_infinite(value) for name, value in program.state_dict.items()},
        range_constraints=program.range_constraints,
        module_call_graph=_with_outputs_in_a_row(program),
        example_inputs=_example(program, last_inputs),
        constants={name: _own_if_infinite(value) for name, value in program.constants.items()},
        verifiers=program.verifiers,
    )


def _with_outputs_in_a_row(program: ExportedProgram) -> list[ModuleCallEntry]:
    """Return the calls with the outputs as a plain tuple: litert_torch names them by their structure, and stops at a named tuple's class."""
    entry, *rest = copy.deepcopy(program.module_call_graph)
    if entry.signature is not None:
        flat = _pytree.tree_structure(tuple(range(entry.signature.out_spec.num_leaves)))
        entry.signature = dataclasses.replace(entry.signature, out_spec=flat)
    return [entry, *rest]


def _permute_inputs(graph: fx.Graph, signature: ExportGraphSignature, method: MethodSpec) -> list[bool]:
    """Turn the NHWC inputs; return for each user input whether it was one."""
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    nodes = {node.name: node for node in placeholders}
    names = [spec.arg.name for spec in signature.input_specs if spec.kind is InputKind.USER_INPUT]
    turned = [tensor.layout == "NHWC" for tensor in method.inputs]
    for name, turn in zip(names, turned, strict=True):
        if not turn:
            continue
        node = nodes[name]
        value = node.meta["val"]
        with graph.inserting_after(placeholders[-1]):
            inside = graph.call_function(torch.ops.aten.permute.default, (node, list(_FROM_LAST)))
        inside.meta["val"] = value
        node.replace_all_uses_with(inside, delete_user_cb=lambda user, new=inside: user is not new)
        node.meta["val"] = value.new_empty([value.shape[axis] for axis in _TO_LAST])
        node.meta.pop("tensor_meta", None)
    return turned


def _permute_outputs(graph: fx.Graph, signature: ExportGraphSignature, method: MethodSpec) -> None:
    output = next(node for node in graph.nodes if node.op == "output")
    values = list(output.args[0])
    positions = [index for index, spec in enumerate(signature.output_specs) if spec.kind is OutputKind.USER_OUTPUT]
    for index, tensor in zip(positions, method.outputs, strict=True):
        if tensor.layout != "NHWC":
            continue
        inside = values[index]
        with graph.inserting_before(output):
            values[index] = graph.call_function(torch.ops.aten.permute.default, (inside, list(_TO_LAST)))
        values[index].meta["val"] = inside.meta["val"].permute(_TO_LAST)
        signature.output_specs[index].arg = TensorArgument(name=values[index].name)
    output.args = (tuple(values),)


def _example(program: ExportedProgram, turned: list[bool]) -> Any:
    """Return the program's example inputs with the NHWC ones turned; litert_torch reads their structure."""
    leaves, structure = _pytree.tree_flatten(program.example_inputs)
    turned_leaves = [leaf.permute(_TO_LAST).contiguous() if turn else leaf for leaf, turn in zip(leaves, turned, strict=True)]
    return _pytree.tree_unflatten(turned_leaves, structure)


def _own_if_infinite(value: Any) -> Any:
    """Copy a tensor with infinities: litert_torch replaces those in place, in the memory of the user's model."""
    if isinstance(value, Tensor) and value.is_floating_point() and bool(torch.isinf(value).any()):
        return torch.nn.Parameter(value.detach().clone(), requires_grad=False) if isinstance(value, torch.nn.Parameter) else value.clone()
    return value
