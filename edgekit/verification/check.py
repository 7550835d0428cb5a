"""Runs an artifact from disk on the verification samples and compares it with eager."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
import torch
from torch.export import ExportedProgram

from edgekit.errors import EdgekitError
from edgekit.evaluate import evaluate, output_names
from edgekit.interface import MethodSpec
from edgekit.manifest import native_method
from edgekit.methods import handed_on
from edgekit.targets.base import CannotRunHere, Executable, Interpreted, Target
from edgekit.verification.cases import Case
from edgekit.verification.divergence import compare_operators
from edgekit.verification.exits import Outputs, answers_of, compare_exits, with_exits
from edgekit.verification.feeding import fed, run_method
from edgekit.verification.parity import Parity, combine, compare
from edgekit.verification.regions import compare_regions, with_regions
from edgekit.verification.samples import Sample
from edgekit.verification.taken_regions import watched
from edgekit.verification.tolerances import Tolerance, tolerance_for

Array = np.ndarray


def check_artifact(
    target: Target,
    path: Path,
    methods: Sequence[MethodSpec],
    samples: Sequence[Sample],
    cases: Mapping[str, Case],
    tolerance: Tolerance,
    counterparts: Mapping[str, ExportedProgram],
) -> Parity:
    """Open the file that was written and compare every method with eager's, each on what eager's method before it hands on.

    Methods that hand on to each other are also run one after the other, each on what the file's own method before it gave. Of a network with
    exits it is also compared where samples leave.

    Where edgekit computes the artifact itself, and it selects regions, eager's outputs are those for the regions that the artifact took; see
    :mod:`edgekit.verification.regions`. There it is also compared with the program it was lowered from, in float32 and
    operator by operator: that shows the program right to the last digits, whatever half precision does to its outputs.

    :param counterparts: those programs by method, from :meth:`Target.counterparts`; empty where there are none.
    :raises ArtifactError: the file cannot be opened.
    """
    try:
        executable = target.open(path)
    except CannotRunHere as error:
        return Parity(verdict="not_executed", executed_by=None, tolerance=tolerance, reason=error.summary)
    checks = {
        method.name: _Check(method, native_method(executable.methods, method), samples, cases[method.name], target.executed_by) for method in methods
    }
    parities: dict[str, Parity] = {}
    answered: dict[str, Outputs] = {}
    for name, check in checks.items():
        program = counterparts.get(name)
        parity, rows = check.run_against_eager(executable, program, tolerance)
        if rows is not None:
            answered[name] = _by_name(rows)
        # Also where the outputs are not finite: which operator made them so is what one wants to know then.
        if parity.samples and isinstance(executable, Interpreted):
            parity = _with_numerics(parity, check, executable, program)
        parities[name] = parity
    if len(parities) == 1:
        return _with_exits(next(iter(parities.values())), checks, answered, samples, tolerance)
    chained, answered = _chained(executable, checks, tolerance)
    return _with_exits(combine(parities, chained), checks, answered, samples, tolerance)


def _with_exits(
    parity: Parity, checks: Mapping[str, "_Check"], answered: Mapping[str, Outputs], samples: Sequence[Sample], tolerance: Tolerance
) -> Parity:
    """Compare where samples leave, if the methods are exits and all of them ran."""
    eager, actual = answers_of({name: check.case.outputs for name, check in checks.items()}), answers_of(answered)
    if eager is None or actual is None or len(eager.logits) != len(actual.logits):
        return parity
    return with_exits(parity, compare_exits(eager, actual, [sample.name for sample in samples], tolerance))


def _by_name(rows: Sequence[Mapping[str, Array]]) -> dict[str, list[Array]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _chained(executable: Executable, checks: Mapping[str, "_Check"], tolerance: Tolerance) -> tuple[dict[str, Parity], dict[str, Outputs]]:
    """Run the methods in a row on every sample; return a parity by the method it ends at, and what each gave."""
    given: dict[str, list[Mapping[str, Array]]] = {}
    found = {}
    followed = {check.case.after for check in checks.values()}
    for name, check in checks.items():
        before = check.case.after
        if before is None and name not in followed:
            continue  # it stands by itself
        if before is not None and before not in given:
            continue  # what it needs has failed already
        inputs = check.case.inputs if before is None else tuple(handed_on(row) for row in given[before])
        found[name], rows = check.on(inputs).run_keeping(executable, check.case.outputs, tolerance)
        if rows is not None:
            given[name] = rows
    return found, {name: _by_name(rows) for name, rows in given.items()}


class _Check:
    """One method on all samples."""

    def __init__(self, method: MethodSpec, own: MethodSpec, samples: Sequence[Sample], case: Case, executed_by: str) -> None:
        self.method = method
        self.own = own
        self.samples = samples
        self.case = case
        self.executed_by = executed_by

    def on(self, inputs: tuple[Mapping[str, Array], ...]) -> "_Check":
        """Return the same for other inputs."""
        return _Check(self.method, self.own, self.samples, attrs.evolve(self.case, inputs=inputs), self.executed_by)

    def run(self, executable: Executable, reference: Mapping[str, Sequence[Array]], tolerance: Tolerance) -> Parity:
        """Run all samples and compare."""
        return self.run_keeping(executable, reference, tolerance)[0]

    def run_against_eager(
        self, executable: Executable, program: ExportedProgram | None, tolerance: Tolerance
    ) -> tuple[Parity, list[Mapping[str, Array]] | None]:
        """Run all samples and compare with eager; where an artifact shows which regions it took, with eager on the same regions."""
        outputs = self.case.outputs
        inner = watched(executable, program, self.case.module, self.case.example()) if isinstance(executable, Interpreted) else None
        if inner is None:
            return self.run_keeping(executable, outputs, tolerance)
        parity, rows = self.run_keeping(inner, outputs, tolerance)
        if rows is None:
            return parity, None
        names = [sample.name for sample in self.samples]
        found, reference = compare_regions(self.case, inner.taken, names, tolerance.region_tie)
        if found.differing:
            parity = compare(reference, _by_name(rows), names, tolerance, self.executed_by)
        return with_regions(parity, found), rows

    def run_keeping(
        self, executable: Executable, reference: Mapping[str, Sequence[Array]], tolerance: Tolerance
    ) -> tuple[Parity, list[Mapping[str, Array]] | None]:
        """Return the outputs, too, by sample, unless there are none."""
        try:
            results: list[Mapping[str, Array]] = [self._outputs(executable, index) for index in range(len(self.samples))]
        except CannotRunHere as error:
            return Parity(verdict="not_executed", executed_by=None, tolerance=tolerance, reason=error.summary), None
        except EdgekitError as error:
            return Parity(verdict="fail", executed_by=self.executed_by, tolerance=tolerance, reason=f"it does not run: {error.summary}"), None
        except Exception as error:  # noqa: BLE001  vendors' runtimes raise what they like
            reason = f"it does not run: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
            return Parity(verdict="fail", executed_by=self.executed_by, tolerance=tolerance, reason=reason), None
        return self.compared(results, reference, tolerance), results

    def compared(self, rows: Sequence[Mapping[str, Array]], reference: Mapping[str, Sequence[Array]], tolerance: Tolerance) -> Parity:
        """Compare outputs that are there, by sample."""
        return compare(reference, _by_name(rows), [sample.name for sample in self.samples], tolerance, self.executed_by)

    def _outputs(self, executable: Executable, index: int) -> dict[str, Array]:
        return run_method(executable, self.method, self.own, self.case.inputs[index], self.samples[index])

    def inputs(self, index: int) -> dict[str, Array]:
        """Return a sample as the file takes it."""
        return fed(self.method, self.own, self.case.inputs[index], self.samples[index])


def _with_numerics(parity: Parity, check: _Check, executable: Interpreted, program: ExportedProgram | None) -> Parity:
    """Add what float32 arithmetic shows; a failure there is the artifact's."""
    exact = executable.at("fp32")
    stored = _as_half if executable.halves else _as_it_is
    fp32 = tolerance_for("fp32")
    numerics = {"fp16" if executable.halves else "fp32": parity}
    if executable.halves:
        # What is left against eager is what storing the weights in half precision did, to be known, not judged.
        unlimited = Tolerance(tie=parity.tolerance.tie if parity.tolerance else 0.0, evidence="measured, not judged")
        numerics["fp32_against_eager"], rows = check.run_against_eager(exact, program, unlimited)
    if program is None:
        return attrs.evolve(parity, numerics=numerics)
    if executable.halves:
        expected = _program_outputs(program, check, stored)
        against = "the lowered program with its weights in half precision"
        found = check.run(exact, expected, fp32) if rows is None else check.compared(rows, expected, fp32)
        numerics["fp32"] = attrs.evolve(found, against=against)
    operators = compare_operators(exact, check.method.name, program, check.inputs(0), stored=stored)
    verdict, reason = parity.verdict, parity.reason
    failed = numerics["fp32"]
    if verdict == "pass" and failed.verdict == "fail":
        verdict, reason = "fail", f"in float32, against {failed.against}: {failed.reason}"
    if operators.first_divergence is not None:
        first = f"first operator that differs: {operators.first_divergence}"
        verdict, reason = "fail", first if reason is None else f"{reason}; {first}"
    return attrs.evolve(parity, verdict=verdict, reason=reason, numerics=numerics, operators=operators)


def _program_outputs(program: ExportedProgram, check: _Check, stored: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, list[Array]]:
    """Run the lowered program on every sample; its outputs come in the reference's order."""
    reference = check.case.outputs
    names = output_names(program)[: len(reference)]
    collected: dict[str, list[Array]] = {name: [] for name in reference}
    for index in range(len(check.samples)):
        inputs = [torch.from_numpy(value).float() for value in check.inputs(index).values()]
        values = evaluate(program, inputs, set(names), stored=stored)
        for name, node in zip(reference, names, strict=True):
            collected[name].append(values[node].numpy())
    return collected


def _as_half(value: torch.Tensor) -> torch.Tensor:
    return value.half().float() if value.is_floating_point() else value


def _as_it_is(value: torch.Tensor) -> torch.Tensor:
    return value
