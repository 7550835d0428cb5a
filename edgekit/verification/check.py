"""Runs an artifact from disk on the verification samples and compares it with eager."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
import torch
from torch.export import ExportedProgram

from edgekit.errors import EdgekitError, ModelSourceError
from edgekit.evaluate import evaluate, output_names
from edgekit.interface import MethodSpec, TensorSpec
from edgekit.manifest import native_method
from edgekit.models.source import SourceModel, check_runs
from edgekit.outputs import named_outputs
from edgekit.targets.base import CannotRunHere, Executable, Interpreted, Target
from edgekit.verification.divergence import compare_operators
from edgekit.verification.parity import Parity, compare
from edgekit.verification.samples import Sample
from edgekit.verification.tolerances import Tolerance, tolerance_for

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
    counterparts: Mapping[str, ExportedProgram],
) -> Parity:
    """Open the file that was written and compare it with the reference.

    Where edgekit computes the artifact itself, it is also compared with the program it was lowered from, in float32 and
    operator by operator: that shows the program right to the last digits, whatever half precision does to its outputs.

    :param counterparts: those programs by method, from :meth:`Target.counterparts`; empty where there are none.
    :raises ArtifactError: the file cannot be opened.
    """
    try:
        executable = target.open(path)
    except CannotRunHere as error:
        return Parity(verdict="not_executed", executed_by=None, tolerance=tolerance, reason=error.summary)
    (method,) = methods
    check = _Check(executable, method, native_method(executable.methods, method), samples, target.executed_by)
    parity = check.run(executable, reference, tolerance)
    if parity.sqnr_db is None or not isinstance(executable, Interpreted):
        return parity
    return _with_numerics(parity, check, executable, reference, counterparts.get(method.name))


class _Check:
    """One method on all samples."""

    def __init__(self, executable: Executable, method: MethodSpec, own: MethodSpec, samples: Sequence[Sample], executed_by: str) -> None:
        self.executable = executable
        self.method = method
        self.own = own
        self.samples = samples
        self.executed_by = executed_by

    def run(self, executable: Executable, reference: Mapping[str, Sequence[Array]], tolerance: Tolerance) -> Parity:
        try:
            results = [self._outputs(executable, sample) for sample in self.samples]
        except CannotRunHere as error:
            return Parity(verdict="not_executed", executed_by=None, tolerance=tolerance, reason=error.summary)
        except EdgekitError as error:
            return Parity(verdict="fail", executed_by=self.executed_by, tolerance=tolerance, reason=f"it does not run: {error.summary}")
        except Exception as error:  # noqa: BLE001  vendors' runtimes raise what they like
            reason = f"it does not run: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
            return Parity(verdict="fail", executed_by=self.executed_by, tolerance=tolerance, reason=reason)
        actual = {name: [result[name] for result in results] for name in results[0]}
        return compare(reference, actual, [sample.name for sample in self.samples], tolerance, self.executed_by)

    def _outputs(self, executable: Executable, sample: Sample) -> dict[str, Array]:
        results = executable.run(self.method.name, self.inputs(sample))
        return {spec.name: results[native.name] for native, spec in zip(self.own.outputs, self.method.outputs, strict=True)}

    def inputs(self, sample: Sample) -> dict[str, Array]:
        """Return a sample as the file takes it."""
        return {native.name: _as_input(sample, spec) for native, spec in zip(self.own.inputs, self.method.inputs, strict=True)}


def _with_numerics(
    parity: Parity, check: _Check, executable: Interpreted, reference: Mapping[str, Sequence[Array]], program: ExportedProgram | None
) -> Parity:
    """Add what float32 arithmetic shows; a failure there is the artifact's."""
    exact = executable.at("fp32")
    stored = _as_half if executable.halves else _as_it_is
    fp32 = tolerance_for("fp32")
    numerics = {"fp16" if executable.halves else "fp32": parity}
    if executable.halves:
        # What is left against eager is what storing the weights in half precision did, to be known, not judged.
        numerics["fp32_against_eager"] = check.run(
            exact, reference, Tolerance(tie=parity.tolerance.tie if parity.tolerance else 0.0, evidence="measured, not judged")
        )
    if program is None:
        return attrs.evolve(parity, numerics=numerics)
    if executable.halves:
        expected = _program_outputs(program, check, reference, stored)
        against = "the lowered program with its weights in half precision"
        numerics["fp32"] = attrs.evolve(check.run(exact, expected, fp32), against=against)
    operators = compare_operators(exact, check.method.name, program, check.inputs(check.samples[0]), stored=stored)
    verdict, reason = parity.verdict, parity.reason
    failed = numerics["fp32"]
    if verdict == "pass" and failed.verdict == "fail":
        verdict, reason = "fail", f"in float32, against {failed.against}: {failed.reason}"
    if operators.first_divergence is not None:
        first = f"first operator that differs: {operators.first_divergence}"
        verdict, reason = "fail", first if reason is None else f"{reason}; {first}"
    return attrs.evolve(parity, verdict=verdict, reason=reason, numerics=numerics, operators=operators)


def _program_outputs(
    program: ExportedProgram, check: _Check, reference: Mapping[str, Sequence[Array]], stored: Callable[[torch.Tensor], torch.Tensor]
) -> dict[str, list[Array]]:
    """Run the lowered program on every sample; its outputs come in the reference's order."""
    names = output_names(program)[: len(reference)]
    collected: dict[str, list[Array]] = {name: [] for name in reference}
    for sample in check.samples:
        inputs = [torch.from_numpy(value).float() for value in check.inputs(sample).values()]
        values = evaluate(program, inputs, set(names), stored=stored)
        for name, node in zip(reference, names, strict=True):
            collected[name].append(values[node].numpy())
    return collected


def _as_half(value: torch.Tensor) -> torch.Tensor:
    return value.half().float() if value.is_floating_point() else value


def _as_it_is(value: torch.Tensor) -> torch.Tensor:
    return value


def _as_input(sample: Sample, spec: TensorSpec) -> Array:
    if spec.dtype == "image":
        return np.ascontiguousarray(sample.pixels.transpose(2, 0, 1)[None])
    tensor = np.ascontiguousarray(sample.tensor.transpose(0, 2, 3, 1)) if spec.layout == "NHWC" else sample.tensor
    return tensor.astype(np.float16) if spec.dtype == "float16" else tensor
