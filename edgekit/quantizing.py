"""The stages of an export that quantizes: decide, calibrate and lower once a draw, run each on pictures of no draw, judge.

    plan ── lower (draw 0) ── judge ─┐
         ├─ lower (draw 1) ── judge ─┼─ passes if draw 0 does, and most do ── draw 0 is published, with the figures of all
         └─ lower (draw 2) ── judge ─┘

What is published is draw 0's; that the others are as good shows that this was no luck.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import field, frozen

from edgekit import artifact
from edgekit.calibration import Draws, as_samples, calibration_inputs
from edgekit.capabilities import TargetFacts
from edgekit.errors import EdgekitError, ParityError
from edgekit.interface import FORWARD, MethodSpec
from edgekit.macs import eager_macs
from edgekit.methods import MethodSource
from edgekit.models.source import SourceModel
from edgekit.planner.decide import decide
from edgekit.planner.groups import groups_of
from edgekit.planner.plan import Decision, Plan
from edgekit.planner.selected import compare_selected
from edgekit.progress import Listener, stage
from edgekit.quantization.job import Quantization
from edgekit.targets.base import CannotRunHere, Counterparts, Inspection, LoweringJob, Target
from edgekit.verification.cases import Case, eager_cases
from edgekit.verification.feeding import as_written
from edgekit.verification.judged import Judgement, judge, run_as_apps_do
from edgekit.verification.parity import Parity
from edgekit.verification.samples import Sample
from edgekit.verification.selections import selects
from edgekit.verification.tolerances import Tolerance, quantized_tolerance

Array = np.ndarray

_JUDGED_SLOWLY = 48
"""Pictures to judge with where the host computes an artifact much slower than any phone; of a small network more, as ``_SLOW_MACS`` allow: among
48 one picture is two points."""
_SLOW_MACS = 48 * 10**9
_PLANNED_ON = 64
_PLANS = 3
_STEP_DB = 3.0
"""How much more is expected of the next plan where an artifact did not keep its limit. Eager's margins tell the limit in dB, and take rounding for
even noise: a region of IMC-Net that is taken for another one changes more."""
_BLAMED = 12


@frozen
class Reference:
    """What a form of the model is compared with: pictures, eager's answers, labels; and by draw what its methods are calibrated on."""

    samples: tuple[Sample, ...]
    cases: Mapping[str, Case]
    labels: Array | None
    draws: Draws | None
    calibration: dict[tuple[int, str], Mapping[str, tuple[Mapping[str, Array], ...]]] = field(factory=dict)
    """By draw and target's image layout; targets of one layout share it."""


@frozen(kw_only=True)
class Made:
    """What was lowered and compared with eager.

    :param section: what the manifest says under ``quantization``; ``None`` in floats. :param notes: what one may not expect.
    :param methods: as they were written, where that is not as they were asked for: in integers.
    """

    counterparts: Counterparts
    inspection: Inspection
    parity: Parity
    section: dict[str, Any] | None = None
    plan: Plan | None = None
    notes: tuple[str, ...] = ()
    methods: tuple[MethodSpec, ...] | None = None


def reference_for(
    source: SourceModel, sources: Sequence[MethodSource], draws: Draws | None, samples: tuple[Sample, ...], cases: Mapping[str, Case]
) -> Reference:
    """Run eager on the pictures to judge with.

    :param draws: ``None``: nothing was drawn, and the verification's own ``samples`` and ``cases`` serve.
    """
    if draws is None:
        return Reference(samples, cases, None, None)
    judged = as_samples(draws.judged)
    return Reference(judged, eager_cases(source, sources, judged), draws.labels, draws)


def lower_quantized(
    target: Target,
    facts: TargetFacts,
    job: LoweringJob,
    source: SourceModel,
    sources: Sequence[MethodSource],
    reference: Reference,
    listener: Listener,
) -> Made:
    """Lower a job in its recipe's precision, once a draw, and judge each; the first lies at the job's destination.

    :raises LoweringError: the target cannot be lowered to. :raises BadInputError: the plan is for another network.
    """
    recipe, scheme = job.recipe, job.recipe.scheme
    plan = None
    calibrations = [
        _calibration(reference, number, facts, source, sources, job) for number in range(0 if reference.draws is None else len(reference.draws.drawn))
    ]
    tolerance = quantized_tolerance(recipe.precision, accuracy_budget=recipe.accuracy_budget, sqnr=recipe.sqnr, trained=source.trained)
    above_db = 0.0
    for attempt in range(_PLANS):
        if scheme.calibrated:
            with stage(listener, f"{facts.name}: plan{', stricter' if attempt else ''}") as step:
                inputs = _as_programs_take_them(reference, source, sources, job.methods)
                plan = decide(recipe, facts, source.name, job.programs, job.methods, inputs, trained=source.trained, above_db=above_db)
                step.detail = describe_plan(plan)
        found, counterparts = _lower_draws(target, facts, job, plan, calibrations, reference, tolerance, listener)
        if plan is None or recipe.plan is not None or parity_of(found, target.executed_by, tolerance).verdict != "fail":
            break
        above_db = (plan.expected_sqnr_db or 0.0) + _STEP_DB
    parity = parity_of(found, target.executed_by, tolerance)
    judgements = [row for row in found if isinstance(row, Judgement)]
    return Made(
        counterparts=counterparts,
        inspection=target.inspect(job.destination),
        parity=parity,
        section=_section(scheme, reference.draws, plan, judgements, tolerance) | {"regions": _regions(source, job, reference, plan)},
        plan=plan,
        notes=_notes(reference.draws),
        methods=as_written(job.methods, target.open(job.destination)) if recipe.io == "int8" else None,
    )


def _lower_draws(
    target: Target,
    facts: TargetFacts,
    job: LoweringJob,
    plan: Plan | None,
    calibrations: Sequence[Mapping[str, tuple[Mapping[str, Array], ...]]],
    reference: Reference,
    tolerance: Tolerance,
    listener: Listener,
) -> tuple[list[Judgement | CannotRunHere], Counterparts]:
    """Lower as a plan says, once a draw, and judge each; the first lies at the job's destination."""
    groups = groups_of(job.programs)
    kept, stored = ({}, {}) if plan is None else (plan.kept_float(groups), plan.stored(groups))
    found: list[Judgement | CannotRunHere] = []
    counterparts: Counterparts = {}
    for number, calibration in enumerate(calibrations or [{}]):
        which = f", draw {number}" if len(calibrations) > 1 else ""
        with stage(listener, f"{facts.name}: lower{which}") as step:
            place = job.destination if number == 0 else job.destination.with_name(f"draw{number}-{job.destination.name}")
            quantization = Quantization(scheme=job.recipe.scheme, kept_float=kept, stored=stored, calibration=calibration)
            made = target.lower(attrs.evolve(job, quantization=quantization, destination=place))
            counterparts = made if number == 0 else counterparts
            step.detail = f"{artifact.size_bytes(place) / 1e6:.2f} MB {job.recipe.precision}"
        with stage(listener, f"{facts.name}: judge{which}") as step:
            found.append(judge_file(target, facts, place, job.methods, reference, tolerance))
            step.detail = describe_judgement(found[-1])
        if number:
            _remove(place)
        if isinstance(found[-1], CannotRunHere):
            break
    return found, counterparts


def judge_file(
    target: Target, facts: TargetFacts, path: Path, methods: Sequence[MethodSpec], reference: Reference, tolerance: Tolerance
) -> Judgement | CannotRunHere:
    """Run a file on the reference's pictures and judge it; what cannot run here is returned, not raised."""
    samples, cases, labels = _reference_of(reference, facts)
    try:
        executable = target.open(path)
        actual = run_as_apps_do(executable, as_written(methods, executable), cases, samples)
    except CannotRunHere as error:
        return error
    return judge(actual, cases, samples, labels, tolerance)


def require_quality(made: Made, name: str) -> None:
    """Stop where an artifact was judged and did not pass.

    :raises ParityError: with what stayed in floats, and what each group does to the answers, in its details.
    """
    if made.parity.verdict != "fail":
        return
    error = ParityError(
        f"{name} does not answer as the model does",
        what=made.parity.reason,
        where=f"worst on sample {made.parity.worst_sample!r}" if made.parity.worst_sample else None,
        why=None if made.plan is None else _suspects(made.plan),
        hint="--accuracy-budget POINTS keeps more in floats; more and more typical pictures in --data help; w8a32 rounds weights only",
    )
    error.details["quantization"] = made.section
    raise error


def describe_plan(plan: Plan) -> str:
    """Return one line for people."""
    kept = plan.blame
    expected = "" if plan.expected_sqnr_db is None else f", {plan.expected_sqnr_db:.0f} dB expected"
    return f"{len(plan.groups) - len(kept)} of {len(plan.groups)} groups in integers{expected}"


def blame_lines(plan: Plan) -> list[str]:
    """Return what stays in floats, why, and what it costs: a line a group, the dearest first."""
    kept = plan.blame
    lines = [f"{row.path} {row.kind}: {row.why}{_cost(row)}" for row in kept[:_BLAMED]]
    return lines + ([f"and {len(kept) - _BLAMED} more, in the manifest"] if len(kept) > _BLAMED else [])


def describe_judgement(found: Judgement | CannotRunHere) -> str:
    """Return one line for people."""
    if isinstance(found, CannotRunHere):
        return f"NOT EXECUTED: {found.summary}"
    worst = found.worst
    labelled = [row for row in found.answers if row.accuracy is not None]
    agreement = "" if found.agreement is None else f"top-1 as eager's on {found.agreement:.1%} of {found.samples}  "
    accuracy = ""
    if labelled:
        row = labelled[-1]
        accuracy = f"accuracy {row.accuracy:.1%}, eager {row.eager_accuracy:.1%} ({row.wins} won, {row.losses} lost)  "
    exits = "" if found.exits is None else f"same exit on {found.exits['same_exit']}  "
    return f"{agreement}SQNR {worst.sqnr_db:.1f} dB  {accuracy}{exits}{'fail' if found.reasons else 'pass'}"


def _cost(row: Decision) -> str:
    parts = [] if row.cost_ms is None else [f"{row.cost_ms:+.2f} ms"]
    if row.cost_bytes:
        parts.append(f"{row.cost_bytes / 1000:+.0f} kB")
    return f" ({', '.join(parts)})" if parts else ""


def _suspects(plan: Plan) -> str | None:
    measured = sorted((row for row in plan.groups if row.quantized and row.sqnr_db is not None), key=lambda row: row.sqnr_db or 0.0)
    if not measured:
        return None
    return "rounded alone: " + ", ".join(f"{row.path} {row.kind} {row.sqnr_db:.0f} dB" for row in measured[:3])


def _calibration(
    reference: Reference, number: int, facts: TargetFacts, source: SourceModel, sources: Sequence[MethodSource], job: LoweringJob
) -> Mapping[str, tuple[Mapping[str, Array], ...]]:
    if reference.draws is None:
        return {}
    key = (number, f"{facts.image_layout} {job.methods[0].inputs[0].dtype}")
    if key not in reference.calibration:
        reference.calibration[key] = calibration_inputs(source, sources, job.methods, as_samples(reference.draws.drawn[number]))
    return reference.calibration[key]


def _as_programs_take_them(
    reference: Reference, source: SourceModel, sources: Sequence[MethodSource], methods: Sequence[MethodSpec]
) -> Mapping[str, tuple[Mapping[str, Array], ...]]:
    """Return what the programs are planned on: images normalised, channels first, whatever the target's layout."""
    if reference.draws is None:
        return {}
    plain = [attrs.evolve(method, inputs=tuple(attrs.evolve(spec, dtype="float32", layout="other") for spec in method.inputs)) for method in methods]
    return calibration_inputs(source, sources, plain, as_samples(reference.draws.drawn[0])[:_PLANNED_ON])


def _reference_of(reference: Reference, facts: TargetFacts) -> tuple[tuple[Sample, ...], Mapping[str, Case], Array | None]:
    """Return the pictures for one target: fewer where the host computes its artifacts slowly."""
    samples, cases, labels = reference.samples, reference.cases, reference.labels
    if facts.limit("time_on_this_host") is not False or len(samples) <= _JUDGED_SLOWLY:
        return samples, cases, labels
    work = sum(eager_macs(case.module, case.example()).total or _SLOW_MACS for case in cases.values())
    count = max(_JUDGED_SLOWLY, _SLOW_MACS // max(1, work))
    fewer = {
        name: attrs.evolve(case, inputs=case.inputs[:count], outputs={output: values[:count] for output, values in case.outputs.items()})
        for name, case in cases.items()
    }
    return samples[:count], fewer, None if labels is None else labels[:count]


def parity_of(found: Sequence[Judgement | CannotRunHere], executed_by: str, tolerance: Tolerance) -> Parity:
    """Return the first judgement as a parity; it fails where the others show that it was luck."""
    first = found[0]
    if isinstance(first, CannotRunHere):
        return Parity(verdict="not_executed", executed_by=None, tolerance=tolerance, reason=first.summary)
    failed = [row for row in found if isinstance(row, EdgekitError) or row.reasons]
    reasons = list(first.reasons)
    if not reasons and 2 * len(failed) > len(found):
        reasons = [f"of {len(found)} calibrations only the one to be published passes; another: {_reason(failed[0])}"]
    worst = first.worst
    return Parity(
        verdict="fail" if reasons else "pass",
        executed_by=executed_by,
        samples=first.samples,
        max_abs_error=max(row.max_abs_error for row in first.answers),
        sqnr_db=worst.sqnr_db,
        top1_agreement=first.agreement,
        worst_sample=worst.worst_sample,
        tolerance=tolerance,
        reason="; ".join(reasons) or None,
    )


def _reason(row: Judgement | CannotRunHere) -> str:
    return "; ".join(row.reasons) if isinstance(row, Judgement) else row.summary


def _regions(source: SourceModel, job: LoweringJob, reference: Reference, plan: Plan | None) -> dict[str, Any] | None:
    """Compare the regions that a network selects, where it selects any in one method and something is rounded on the way."""
    if plan is None or not selects(source.module) or FORWARD not in job.programs:
        return None
    return compare_selected(plan, job.programs[FORWARD], reference.cases[FORWARD], [sample.name for sample in reference.samples])


def _section(scheme: Any, draws: Draws | None, plan: Plan | None, judgements: Sequence[Judgement], tolerance: Tolerance) -> dict[str, Any]:
    return {
        "scheme": attrs.asdict(scheme),
        "data": None if draws is None else draws.record(),
        "plan": None if plan is None else plan.to_json(),
        "tolerance": tolerance.to_json(),
        "judged": [row.to_json() for row in judgements],
    }


def _notes(draws: Draws | None) -> tuple[str, ...]:
    if draws is None:
        return ()
    notes = [] if draws.note is None else [draws.note]
    if skipped := draws.skipped:
        notes.append(f"{len(skipped)} pictures could not be read and were passed over: {', '.join(skipped[:3])}{', ...' if len(skipped) > 3 else ''}")
    return tuple(notes)


def _remove(place: Any) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()
