"""Drives litert_torch from exported programs to the bytes of a flatbuffer.

``litert_torch.convert`` takes modules and exports them itself. The steps after that are the same here, in the same
order; what differs is written into the converter's module before it is serialised: signature and tensor names, the
description and the metadata. Serialising once keeps the converter's alignment and deduplication of weights.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.export import ExportedProgram

from edgekit.interface import MethodSpec
from edgekit.targets.failure import module_path
from edgekit.targets.tflite.passes import run_passes


def convert(
    programs: Sequence[ExportedProgram],
    methods: Sequence[MethodSpec],
    *,
    description: str,
    metadata: Mapping[str, str],
    name_of: Callable[[str, str], str] | None = None,
) -> bytes:
    """Return a flatbuffer with one signature per method. The programs are used up.

    :param name_of: from a method and a node's name to what the converter calls the operators it becomes; ``None``: by the node's module.
    :raises Exception: whatever litert_torch raises.
    """
    from litert_torch._convert import litert_converter

    if name_of is not None:
        for program, method in zip(programs, methods, strict=True):
            _name_nodes(program, method.name, name_of)
    lowered = [run_passes(program) for program in programs]
    for program in lowered:
        _name_by_module_path(program)
    signatures = [_signature(method) for method in methods]
    exporter = litert_converter.exported_programs_to_flatbuffer(lowered, signatures)
    module = exporter.module.operation if hasattr(exporter.module, "operation") else exporter.module
    _write_names(module, {method.name: method for method in methods})
    _write_metadata(module, description, metadata)
    return bytes(exporter.to_bytes())


def _name_by_module_path(program: ExportedProgram) -> None:
    """Make the converter call tensors by module path (``stage1.0.proj``).

    It would write every class on the way there, 200 kB for a network of 800 operators, and look for source lines.
    """
    for node in program.graph.nodes:
        if node.op == "call_function":
            node.meta["nn_module_stack"] = {"": ("", module_path(node))}
            node.meta.pop("stack_trace", None)


def _name_nodes(program: ExportedProgram, method: str, name_of: Callable[[str, str], str]) -> None:
    """Put a node's name where its module's path stands: that lasts through decompositions."""
    for node in program.graph.nodes:
        if node.op == "call_function":
            node.meta["nn_module_stack"] = {"": (name_of(method, node.name), "")}


def _signature(method: MethodSpec) -> Any:
    """Describe a method to the converter, which takes the names of keyword arguments as they are."""
    from litert_torch._convert import signature

    return signature.Signature(name=method.name, module=None, sample_args=(), sample_kwargs={tensor.name: None for tensor in method.inputs})


def _write_names(module: Any, methods: Mapping[str, MethodSpec]) -> None:
    """Name the signatures' outputs, and the tensors at both ends, as the methods do."""
    from litert_converter.mlir import ir

    with module.context:
        for function in module.regions[0].blocks[0].operations:
            if "tf_saved_model.exported_names" not in function.attributes:
                continue
            method = methods[ir.StringAttr(ir.ArrayAttr(function.attributes["tf_saved_model.exported_names"])[0]).value]
            inputs, outputs = ([tensor.name for tensor in side] for side in (method.inputs, method.outputs))
            paths = [{"tf_saved_model.index_path": ir.ArrayAttr.get([ir.StringAttr.get(name)])} for name in outputs]
            function.attributes["res_attrs"] = ir.ArrayAttr.get([ir.DictAttr.get(path) for path in paths])
            ends = {"inputs": ir.StringAttr.get(",".join(inputs)), "outputs": ir.StringAttr.get(",".join(outputs))}
            function.attributes["tf.entry_function"] = ir.DictAttr.get(ends)


def _write_metadata(module: Any, description: str, metadata: Mapping[str, str]) -> None:
    from litert_converter.mlir import ir

    with module.context:
        module.attributes["tfl.description"] = ir.StringAttr.get(description)
        module.attributes["tfl.metadata"] = ir.DictAttr.get({key: ir.StringAttr.get(text) for key, text in metadata.items()})
