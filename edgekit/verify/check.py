"""Runs an artifact from disk on the verification samples and compares it with eager."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from edgekit.errors import EdgekitError
from edgekit.interface import MethodSpec, TensorSpec
from edgekit.models.source import SourceModel
from edgekit.outputs import named_outputs
from edgekit.targets.base import CannotRunHere, Executable, Target
from edgekit.verify.parity import Parity, compare
from edgekit.verify.samples import Sample
from edgekit.verify.tolerances import Tolerance

Array = np.ndarray


def eager_outputs(source: SourceModel, samples: Sequence[Sample]) -> dict[str, list[Array]]:
    """Run the eager model on every sample; return one list of arrays per output name."""
    collected: dict[str, list[Array]] = {}
    with torch.no_grad():
        for sample in samples:
            for name, value in named_outputs(source.module(torch.from_numpy(sample.tensor))).items():
                collected.setdefault(name, []).append(value.numpy())
    return collected


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
    try:
        results = [_run(executable, method, sample) for sample in samples]
    except EdgekitError as error:
        return Parity(verdict="fail", executed_by=target.executed_by, tolerance=tolerance, reason=f"it does not run: {error.summary}")
    actual = {name: [result[name] for result in results] for name in results[0]}
    return compare(reference, actual, [sample.name for sample in samples], tolerance, target.executed_by)


def _run(executable: Executable, method: MethodSpec, sample: Sample) -> dict[str, Array]:
    own = next(m for m in executable.methods if m.name == method.name)
    given = {native.name: _as_input(sample, spec) for native, spec in zip(own.inputs, method.inputs, strict=True)}
    results = executable.run(method.name, given)
    return {spec.name: results[native.name] for native, spec in zip(own.outputs, method.outputs, strict=True)}


def _as_input(sample: Sample, spec: TensorSpec) -> Array:
    return np.ascontiguousarray(sample.tensor.transpose(0, 2, 3, 1)) if spec.layout == "NHWC" else sample.tensor
