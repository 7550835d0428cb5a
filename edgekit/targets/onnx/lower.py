"""Lowers a program to an ``.onnx`` file with its weights inside."""

from collections.abc import Sequence
from typing import Any

from torch.export import ExportedProgram

from edgekit.errors import EdgekitError, LoweringError, UsageError
from edgekit.interface import MethodSpec
from edgekit.quiet import quiet
from edgekit.targets.base import LoweringJob
from edgekit.targets.failure import lowering_error
from edgekit.targets.layouts import LAYOUTS_KEY, layouts_as_text
from edgekit.targets.onnx.branches import join
from edgekit.targets.onnx.exits import EXITS_KEY
from edgekit.targets.onnx.proto import BATCH, LARGEST_BATCH_KEY, interface_of, methods_of
from edgekit.targets.onnx.tidy import tidy

# The first opset with Gelu, which is five operators before it; onnxruntime reads it since 1.17 (January 2024).
OPSET = 20


def lower_to_onnx(job: LoweringJob) -> None:
    """Write ``job.destination``: one graph, named as its method; exits are joined to one, see :mod:`edgekit.targets.onnx.branches`.

    :raises UsageError: more than one method, and none that joins the others.
    :raises LoweringError: torch.onnx fails, or the file's interface is not the one asked for.
    """
    exits = [method for method in job.methods if method.name in job.programs]
    joining = [method for method in job.methods if method.name not in job.programs]
    if len(exits) != 1 and len(joining) != 1:
        raise UsageError(
            f"an ONNX file holds one method, and this model has {len(job.methods)}",
            what=f"methods: {', '.join(method.name for method in job.methods)}",
            hint="choose --target tflite or --target executorch, whose files hold several",
        )
    models = [_tidied(job, method) for method in exits]
    model = join(models, exits, joining[0]) if joining else models[0]
    _sign(model, job, [method.name for method in exits] if joining else [])
    _check_interface(model, job.methods)
    job.destination.write_bytes(model.SerializeToString(deterministic=True))


def _tidied(job: LoweringJob, method: MethodSpec) -> Any:
    try:
        with quiet():
            model = _convert(job.programs[method.name], method)
            if job.quantization is not None:
                from edgekit.targets.onnx.quantize import quantized

                model = quantized(model, method, job.quantization)
    except EdgekitError:
        raise
    except Exception as error:
        raise lowering_error("onnx", error, job.programs) from error
    tidy(model)
    if method.largest_batch > 1:
        _name_batch(model)
    model.graph.name = method.name
    return model


def _convert(program: ExportedProgram, method: MethodSpec) -> Any:
    """Return the ``onnx.ModelProto`` that torch writes.

    Its optimizer folds what static shapes make constant: EMOv2 5M has 2457 nodes without it, 623 with it, and runs 1.7 times slower.
    """
    import torch

    exported = torch.onnx.export(
        program,
        (),
        dynamo=True,
        input_names=[tensor.name for tensor in method.inputs],
        output_names=[tensor.name for tensor in method.outputs],
        opset_version=OPSET,
        external_data=False,
        optimize=True,
        verbose=False,
    )
    if exported is None:
        raise RuntimeError("torch.onnx returned no program")
    return exported.model_proto


def _name_batch(model: Any) -> None:
    """Call the open axis what it is; torch.onnx calls it as torch's solver does, ``s77``. What it inferred in between is left out."""
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if axis == 0 and size.HasField("dim_param"):
                size.dim_param = BATCH


def _sign(model: Any, job: LoweringJob, exits: Sequence[str]) -> None:
    """Write who made the model and what it is; the layouts come last, so that a file cut short lacks them.

    :param exits: those that were joined.
    """
    model.producer_name = "edgekit"
    model.producer_version = job.metadata.edgekit_version
    model.doc_string = job.metadata.description
    del model.metadata_props[:]
    joined = {EXITS_KEY: " ".join(exits)} if exits else {}
    largest = max(method.largest_batch for method in job.methods)
    batch = {LARGEST_BATCH_KEY: str(largest)} if largest > 1 else {}
    for key, text in {**job.metadata.as_strings(), **joined, **batch, LAYOUTS_KEY: layouts_as_text(job.methods)}.items():
        model.metadata_props.add(key=key, value=text)


def _check_interface(model: Any, methods: Sequence[MethodSpec]) -> None:
    for written, method in zip(methods_of(model), methods, strict=True):
        if written != method:
            raise LoweringError(
                "cannot lower to onnx: torch.onnx wrote another interface", what=interface_of(written), why=f"asked for: {interface_of(method)}"
            )
