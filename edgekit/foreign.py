"""Compares an artifact that edgekit did not write, and that has no manifest, with a model that the user names.

Both get the same numbers: nine pictures, normalised where the file takes numbers, and as pixel values 0 to 255, red
first, where it takes a picture. A model behind a picture input therefore includes whatever scaling the file includes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np

from edgekit.errors import ArtifactError
from edgekit.interface import IMAGE, MethodSpec, TensorSpec
from edgekit.methods import MethodSource
from edgekit.models.source import load_source
from edgekit.targets.base import CannotRunHere, Executable, Interpreted, Target
from edgekit.verification.cases import eager_cases
from edgekit.verification.check import check_artifact
from edgekit.verification.parity import Parity
from edgekit.verification.samples import Sample, verification_samples
from edgekit.verification.tolerances import tolerance_for

_FLOATS = ("float32", "float16")


def verify_foreign(target: Target, path: Path, model: str, weights: Path | None, atol: float | None) -> Parity:
    """Run an artifact's only method and a model on the verification samples, and compare outputs by position.

    The limits are those of half precision where the file holds any, else of float32.

    :param model: ``module:factory``, ``path/to/file.py:factory`` or a registered name.
    :raises ArtifactError: it has several methods or inputs, or takes no square RGB picture, or gives another number of outputs than the model.
    """
    try:
        executable = target.open(path)
    except CannotRunHere as error:
        return Parity(verdict="not_executed", executed_by=None, reason=error.summary)
    method = _only_method(path, executable.methods)
    taken = _as_picture(path, method)
    source = load_source(model, resolution=taken.shape[2], weights=weights)
    samples = tuple(_as_taken(sample, taken) for sample in verification_samples(source.preprocessing))
    case = eager_cases(source, (MethodSource(name=method.name, module=source.module),), samples)[method.name]
    given = tuple({taken.name: row[IMAGE]} for row in case.inputs)
    cases = {method.name: attrs.evolve(case, inputs=given)}
    named = attrs.evolve(method, inputs=(taken,), outputs=_named(path, method, case.outputs))
    tolerance = tolerance_for("fp16" if _holds_halves(executable, method) else "fp32", atol)
    return check_artifact(target, path, (named,), samples, cases, tolerance, {})


def _only_method(path: Path, methods: Sequence[MethodSpec]) -> MethodSpec:
    if len(methods) == 1:
        return methods[0]
    names = ", ".join(method.name for method in methods) or "none"
    raise ArtifactError(f"{path.name} has {len(methods)} methods", what=names, why="without a manifest nothing tells which of them the model is")


def _as_picture(path: Path, method: MethodSpec) -> TensorSpec:
    """Return the one input, with the layout that its shape shows where the file does not name it."""
    given = method.inputs[0] if len(method.inputs) == 1 else None
    if given is not None and given.dtype in ("image", *_FLOATS):
        match given.shape:
            case (1, 3, height, width) if height == width:
                return attrs.evolve(given, layout="NCHW")
            case (1, height, width, 3) if height == width:
                return attrs.evolve(given, layout="NHWC")
    shapes = ", ".join(f"{tensor.name} {tensor.dtype} {tensor.shape}" for tensor in method.inputs) or "nothing"
    raise ArtifactError(
        f"{path.name} does not take one square RGB picture",
        what=f"{method.name} takes {shapes}",
        why="without a manifest edgekit has no other inputs",
    )


def _as_taken(sample: Sample, spec: TensorSpec) -> Sample:
    """Return a sample whose numbers are what the file gets: pixels for a picture, halves for a half input."""
    if spec.dtype == "image":
        return attrs.evolve(sample, tensor=np.ascontiguousarray(sample.pixels.transpose(2, 0, 1)[None]).astype(np.float32))
    return attrs.evolve(sample, tensor=sample.tensor.astype(spec.dtype).astype(np.float32))


def _named(path: Path, method: MethodSpec, reference: Mapping[str, Sequence[np.ndarray]]) -> tuple[TensorSpec, ...]:
    """Return the file's outputs under the model's names, by position."""
    if len(reference) != len(method.outputs):
        raise ArtifactError(
            f"{path.name} has {len(method.outputs)} outputs, the model {len(reference)}",
            what=f"file: {', '.join(tensor.name for tensor in method.outputs)}; model: {', '.join(reference)}",
        )
    return tuple(attrs.evolve(tensor, name=name) for name, tensor in zip(reference, method.outputs, strict=True))


def _holds_halves(executable: Executable, method: MethodSpec) -> bool:
    declared = any(tensor.dtype == "float16" for tensor in (*method.inputs, *method.outputs))
    return declared or (isinstance(executable, Interpreted) and executable.halves)
