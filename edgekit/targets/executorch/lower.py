"""Lowers captured programs to one ``.pte``: ATen -> edge dialect -> delegates -> ExecuTorch -> bytes.

What the file holds besides the program: one named data entry, :data:`DESCRIPTION_KEY`, with the methods' input and
output names, which the format itself does not keep, and the metadata. It is no method, so ``forward`` stays the
first and only name a runtime lists.
"""

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

from torch.export import ExportedProgram
from torch.fx import Node
from torch.utils._pytree import tree_structure, treespec_dumps

from edgekit.errors import EdgekitError, LoweringError
from edgekit.interface import MethodSpec
from edgekit.quiet import quiet
from edgekit.targets.base import LoweringJob
from edgekit.targets.blame import blame, refusal
from edgekit.targets.executorch.peephole import peephole
from edgekit.targets.executorch.short_keys import short_keys
from edgekit.targets.executorch.thrift import thrift

DESCRIPTION_KEY = "edgekit"


def lower(job: LoweringJob) -> None:
    """Write ``job.destination`` with the methods of ``job``, delegated to ``job.recipe.backend``.

    :raises LoweringError: the converter failed, or an operator left outside the delegate has no kernel in the runtime.
    """
    with quiet():
        try:
            manager = _convert(job)
        except EdgekitError:
            raise
        except Exception as error:
            raise blame("executorch", error, job.programs) from error
    for plan in manager.executorch_program.execution_plan:
        _require_kernels(plan, manager.exported_program(plan.name).graph.nodes)
    with job.destination.open("wb") as stream:
        manager.write_to_file(stream)


def _convert(job: LoweringJob) -> Any:
    """Return ExecuTorch's ``ExecutorchProgramManager``."""
    from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge_transform_and_lower

    # The validity checks walk the whole graph after every step. What they guard against shows in the kernel check
    # below and in the comparison with eager; they took a tenth of the time.
    config = EdgeCompileConfig(_check_ir_validity=False)
    programs = {method.name: _quantized(job, method) for method in job.methods}
    with thrift(), short_keys(), peephole():
        edge = to_edge_transform_and_lower(programs, partitioner=_partitioners(job.recipe.backend), compile_config=config)
        edge._named_data_store.add_named_data(DESCRIPTION_KEY, _description(job), alignment=1)  # noqa: SLF001 - offered to backends only
        # Defaults otherwise: delegates in segments of their own, which a runtime frees after setting them up, and
        # buffers planned greedily with inputs and outputs inside, which is what the phone bindings expect.
        return edge.to_executorch(ExecutorchBackendConfig())


def _quantized(job: LoweringJob, method: MethodSpec) -> ExportedProgram:
    """Return a method's program, quantized where the job says so."""
    if job.quantization is None:
        return with_flat_outputs(job.programs[method.name])
    if job.recipe.backend != "xnnpack":
        raise LoweringError(
            f"cannot write {job.quantization.scheme.name} for the {job.recipe.backend} backend",
            why="edgekit chooses integers for XNNPACK's kernels",
            hint="--backend xnnpack",
        )
    from edgekit.targets.executorch.quantize import quantized

    return quantized(with_flat_outputs(job.programs[method.name]), method, job.quantization)


def with_flat_outputs(program: ExportedProgram) -> ExportedProgram:
    """Return the program with its outputs in a row, where they are in a class of the user's: a file holds no Python classes."""
    count = len(program.graph_signature.user_outputs)
    flat = tree_structure(tuple(range(count)))
    first, *rest = program.module_call_graph
    if first.signature is None or not _holds_classes(first.signature.out_spec):
        return program
    entry = dataclasses.replace(first, signature=dataclasses.replace(first.signature, out_spec=flat))
    return ExportedProgram(
        root=program.graph_module,
        graph=program.graph,
        graph_signature=program.graph_signature,
        state_dict=program.state_dict,
        range_constraints=program.range_constraints,
        module_call_graph=[entry, *rest],
        example_inputs=program.example_inputs,
        constants=program.constants,
        verifiers=program.verifiers,
    )


def _holds_classes(spec: Any) -> bool:
    try:
        treespec_dumps(spec)
    except NotImplementedError:  # what torch cannot write down, ExecuTorch cannot either: a class that nobody registered
        return True
    return False


def _partitioners(backend: str | None) -> list[Any]:
    """Return what cuts the graph for a backend; nothing for the portable kernels."""
    if backend == "portable":
        return []
    if backend == "coreml":
        import coremltools
        from executorch.backends.apple.coreml.compiler import CoreMLBackend
        from executorch.backends.apple.coreml.partition import CoreMLPartitioner

        # The backend computes in half precision unless told otherwise, whatever the file is called.
        specs = CoreMLBackend.generate_compile_specs(compute_precision=coremltools.precision.FLOAT32)
        return [CoreMLPartitioner(compile_specs=specs)]
    if backend == "vulkan":
        from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner

        return [VulkanPartitioner()]
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    return [XnnpackPartitioner()]


def _description(job: LoweringJob) -> bytes:
    def row(tensors: Iterable[Any]) -> list[dict[str, str]]:
        return [{"name": tensor.name, "layout": tensor.layout} for tensor in tensors]

    methods = {method.name: {"inputs": row(method.inputs), "outputs": row(method.outputs)} for method in job.methods}
    document = {"methods": methods, "metadata": job.metadata.as_strings(), "labels": list(job.metadata.labels)}
    return json.dumps(document, sort_keys=True, ensure_ascii=False).encode()


def _require_kernels(plan: Any, nodes: Iterable[Node]) -> None:
    """Stop at an operator that no kernel exists for; otherwise it would show on the phone, when the file is loaded.

    :raises LoweringError: names the operator and the user's line.
    """
    missing = missing_kernels(f"{operator.name}.{operator.overload}".rstrip(".") for operator in plan.operators)
    if not missing:
        return
    why = f"ExecuTorch's runtime has no kernel {', '.join(missing)}, and the delegate did not take it"
    node = next((node for node in nodes if node.op == "call_function" and _kernel_of(node) in missing), None)
    if node is None:
        raise LoweringError("cannot lower to executorch", what=missing[0], why=why)
    raise refusal("executorch", node, why)


def missing_kernels(names: Iterable[str]) -> list[str]:
    """Return those of the kernels (``aten::sort.values``) that the runtime installed here does not have."""
    with quiet():
        from executorch.runtime import Runtime

        known = Runtime.get().operator_registry.operator_names
    return sorted(set(names) - known)


def _kernel_of(node: Node) -> str | None:
    schema = getattr(node.target, "_schema", None)
    return f"{schema.name}.{schema.overload_name}".rstrip(".") if schema is not None else None
