"""Lowers captured programs to one ``.mlpackage``: one function, or from iOS 18 on one function a method."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from torch.export import ExportedProgram

from edgekit.capabilities import DEPLOYMENT_TARGETS, FIRST_WITH_FUNCTIONS, WITHOUT_FUNCTIONS
from edgekit.errors import LoweringError
from edgekit.interface import MethodSpec, TensorSpec
from edgekit.quiet import quiet
from edgekit.targets.base import Counterparts, LoweringJob
from edgekit.targets.blame import blame
from edgekit.targets.coreml.classifier import make_classifier
from edgekit.targets.coreml.package import write_package
from edgekit.targets.coreml.precision import compute_precision
from edgekit.targets.coreml.prepare import prepared
from edgekit.targets.coreml.quantize import quantize
from edgekit.targets.coreml.share import share_constants
from edgekit.targets.coreml.toolbox import coremltools, validated_once
from edgekit.targets.layouts import LAYOUTS_KEY, layouts_as_text

_PROBABILITIES = "probabilities"
_DATE_KEY = "com.github.apple.coremltools.conversion_date"  # would make every day's bytes differ


def lower(job: LoweringJob) -> Counterparts:
    """Write ``job.destination``; return the programs that Core ML Tools was given.

    With ``recipe.input == "image"`` the input is a picture of 8-bit RGB pixels and the program normalises it. With
    labels the package is a classifier: ``classLabel`` and ``classLabel_probs`` (softmax) beside the logits.

    :raises LoweringError: Core ML Tools failed, or the request needs a later system.
    """
    _require_one_function_or_ios18(job)
    ct = coremltools()
    programs = counterparts(job)
    with tempfile.TemporaryDirectory() as folder:
        with quiet(), validated_once():
            try:
                model = _convert(ct, job, programs, Path(folder))
            except LoweringError:
                raise
            except Exception as error:
                raise blame("coreml", error, job.programs) from error
        spec = model.get_spec()
        if job.metadata.labels:
            make_classifier(spec, _PROBABILITIES, job.metadata.labels)
        share_constants(spec)
        _describe(spec.description.metadata, job)
        write_package(job.destination, spec, Path(model.weights_dir) / "weight.bin" if model.weights_dir else None)
    return programs


def counterparts(job: LoweringJob) -> Counterparts:
    """Return what Core ML Tools is given for each method.

    :raises LoweringError: a picture is asked for, and the model does not say how pixels are normalised.
    """
    with quiet():  # torch warns about its own copying
        programs = {method.name: prepared(job.programs[method.name], method, job.metadata) for method in job.methods}
    if job.quantization is not None:
        for method, program in programs.items():
            quantize(program, method, job.quantization, _system(job))
    return programs


def _system(job: LoweringJob) -> str:
    return job.recipe.deployment_target or DEPLOYMENT_TARGETS[0]


def _require_one_function_or_ios18(job: LoweringJob) -> None:
    target = job.recipe.deployment_target
    if len(job.methods) > 1 and target in (None, *WITHOUT_FUNCTIONS):
        raise LoweringError(
            f"{len(job.methods)} methods do not fit into a Core ML package for {target}",
            what=f"methods: {', '.join(method.name for method in job.methods)}",
            why=f"a package holds several functions from {FIRST_WITH_FUNCTIONS} on",
            hint=f"--deployment-target {FIRST_WITH_FUNCTIONS}",
        )
    if len(job.methods) > 1 and job.metadata.labels:
        raise LoweringError("a Core ML package with several methods cannot be a classifier", hint="leave out the labels")


def _convert(ct: Any, job: LoweringJob, programs: Counterparts, folder: Path) -> Any:
    """Return the ``MLModel``, its weights lying in ``folder``."""
    if len(job.methods) == 1:
        (method,) = job.methods
        return _convert_method(ct, job, programs[method.name], method, folder / "one.mlpackage")
    descriptor = ct.utils.MultiFunctionDescriptor()
    for position, method in enumerate(job.methods):
        place = folder / f"{position}.mlpackage"
        _convert_method(ct, job, programs[method.name], method, folder / f"{position}_unnamed.mlpackage").save(str(place))
        descriptor.add_function(str(place), src_function_name="main", target_function_name=method.name)
    descriptor.default_function_name = job.methods[0].name
    ct.utils.save_multifunction(descriptor, str(folder / "all.mlpackage"))
    return ct.models.MLModel(str(folder / "all.mlpackage"), skip_model_load=True)


def _passes(ct: Any, *, half: bool) -> Any:
    """Return Core ML Tools' default passes with our own, and without two that fail.

    ``reduce_transposes`` (9.0) cancels a transpose that feeds a matmul against another one elsewhere:

        x: (1, n, c) = v.transpose(1, 2)    x @ x.transpose(1, 2)    becomes    v @ v, instead of v.transpose(1, 2) @ v

    It stops with "not broadcastable" where n != c and is silently wrong where n == c. Without it EMOv2-5m has as
    many transposes as with it: ``merge_consecutive_transposes`` and ``fuse_transpose_matmul`` find the same ones.

    ``fuse_linear_bias`` (9.0) asks a scalar for its last axis where it is added to a linear layer of one output (``self.score(x) + 1``):
    "tuple index out of range".
    """
    pipeline = ct.PassPipeline.DEFAULT
    pipeline.remove_passes({"common::reduce_transposes", "common::fuse_linear_bias"})
    with quiet():  # it imports Core ML Tools
        from edgekit.targets.coreml import channel_norms, half_weights, stored  # noqa: F401  it registers how stored weights are written
    pipeline.append_pass(channel_norms.NAME)
    if half:
        pipeline.append_pass(half_weights.NAME)
    return pipeline


def _convert_method(ct: Any, job: LoweringJob, program: ExportedProgram, method: MethodSpec, place: Path) -> Any:
    outputs = [ct.TensorType(name=tensor.name, dtype=np.int32 if tensor.dtype == "int32" else np.float32) for tensor in method.outputs]
    if job.metadata.labels:
        outputs.append(ct.TensorType(name=_PROBABILITIES, dtype=np.float32))
    return ct.convert(
        program,
        convert_to="mlprogram",
        inputs=[_input_type(ct, tensor) for tensor in method.inputs],
        outputs=outputs,
        minimum_deployment_target=getattr(ct.target, _system(job)),
        compute_precision=compute_precision(ct, job.recipe.precision, program),
        pass_pipeline=_passes(ct, half=job.recipe.precision != "fp32"),
        skip_model_load=True,
        package_dir=str(place),
    )


def _input_type(ct: Any, tensor: TensorSpec) -> Any:
    if tensor.dtype == "image":
        return ct.ImageType(name=tensor.name, shape=tensor.shape, color_layout=ct.colorlayout.RGB)
    return ct.TensorType(name=tensor.name, shape=tensor.shape, dtype=np.dtype(tensor.dtype).type)


def _describe(metadata: Any, job: LoweringJob) -> None:
    """Fill a spec's ``Metadata`` message."""
    about = job.metadata
    metadata.shortDescription = about.description
    metadata.author = about.author
    metadata.license = about.license
    metadata.versionString = about.edgekit_version
    pairs = dict(metadata.userDefined) | about.as_strings() | {LAYOUTS_KEY: layouts_as_text(job.methods)}
    pairs.pop(_DATE_KEY, None)
    metadata.userDefined.clear()
    metadata.userDefined.update(pairs)
