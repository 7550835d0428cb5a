"""Runs an artifact from disk on the verification samples and compares it with eager."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from edgekit.errors import EdgekitError, ModelSourceError
from edgekit.interface import MethodSpec, TensorSpec
from edgekit.manifest import native_method
from edgekit.models.source import SourceModel, check_runs
from edgekit.outputs import named_outputs
from edgekit.targets.base import CannotRunHere, Executable, Target
from edgekit.verification.parity import Parity, compare
from edgekit.verification.samples import Sample
from edgekit.verification.tolerances import Tolerance

Array = np.ndarray


def eager_outputs(source: SourceModel, samples: Sequence[Sample]) -> dict[str, list[Array]]:
    """Run the eager model on every sample; return one list of arrays per output name.

    :raises ModelSourceError: it does not run, or returns what NumPy cannot hold.
    """
    collected: dict[str, list[Array]] = {}
    for sample in samples:
        for name, value in named_outputs(check_runs(source, torch.from_numpy(sample.tensor))).items():
            collected.setdefault(name, []).append(_as_array(source.name, name, value))
    return collected


def _as_array(model: str, name: str, value: torch.Tensor) -> Array:
    try:
        return value.detach().cpu().numpy().copy()  # a copy: a model may return its own buffer
    except (TypeError, RuntimeError) as error:
        raise ModelSourceError(
            f"{model} returns {name} as {value.dtype}", why=f"NumPy has no such type: {error}", hint="return float32: value.float()"
        ) from error


def check_artifact(
    target: Target,
    path: Path,
    methods: Sequence[MethodSpec],
    samples: Sequence[Sample],
    reference: Mapping[str, Sequence[Array]],
    tolerance: Tolerance,
) -> Parity:
    """Open the file that was written and compare it with the reference; a target without a runtime here is ``not_executed``.

    :raises ArtifactError: the file cannot be opened.
    """
    if target.executed_by is None:
        return Parity(verdict="not_executed", executed_by=None, tolerance=tolerance, reason=f"nothing on this host runs {target.name} artifacts")
    try:
        executable = target.open(path)
    except CannotRunHere as error:
        return Parity(verdict="not_executed", executed_by=None, tolerance=tolerance, reason=error.summary)
    (method,) = methods
    own = native_method(executable.methods, method)
    try:
        results = [_run(executable, own, method, sample) for sample in samples]
    except CannotRunHere as error:
        return Parity(verdict="not_executed", executed_by=None, tolerance=tolerance, reason=error.summary)
    except EdgekitError as error:
        return Parity(verdict="fail", executed_by=target.executed_by, tolerance=tolerance, reason=f"it does not run: {error.summary}")
    except Exception as error:  # noqa: BLE001  vendors' runtimes raise what they like
        reason = f"it does not run: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return Parity(verdict="fail", executed_by=target.executed_by, tolerance=tolerance, reason=reason)
    actual = {name: [result[name] for result in results] for name in results[0]}
    return compare(reference, actual, [sample.name for sample in samples], tolerance, target.executed_by)


def _run(executable: Executable, own: MethodSpec, method: MethodSpec, sample: Sample) -> dict[str, Array]:
    given = {native.name: _as_input(sample, spec) for native, spec in zip(own.inputs, method.inputs, strict=True)}
    results = executable.run(method.name, given)
    return {spec.name: results[native.name] for native, spec in zip(own.outputs, method.outputs, strict=True)}


def _as_input(sample: Sample, spec: TensorSpec) -> Array:
    return np.ascontiguousarray(sample.tensor.transpose(0, 2, 3, 1)) if spec.layout == "NHWC" else sample.tensor
