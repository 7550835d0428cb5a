"""The stages of ``export``, in order: request, build, reference, then for each target rewrite, lower, verify, publish."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from attrs import field, frozen

from edgekit import artifact
from edgekit.calibration import Draws, check_data, draw
from edgekit.capabilities import TargetFacts, target_facts
from edgekit.collecting import give_back, rarely_collected
from edgekit.conditions.source import without_conditions
from edgekit.declared import metadata_for, method_spec, read_labels
from edgekit.errors import BadInputError, ParityError, UsageError
from edgekit.exit_costs import exit_section
from edgekit.export_cache.answer import ExportCache, answer, keep
from edgekit.export_cache.evidence import evidence_of
from edgekit.export_cache.key import is_known_by_name
from edgekit.exported import ExportedArtifact, ExportResult
from edgekit.macs import program_macs
from edgekit.manifest import build_document
from edgekit.methods import MethodSource, has_exits, method_sources
from edgekit.models.naming import artifact_path, check_resolution
from edgekit.models.source import SourceModel, load_source
from edgekit.origins import origins_table
from edgekit.planner.costs import cost_table
from edgekit.programs import Rewritten, programs_for_batches, rewritten_programs
from edgekit.progress import Listener, Silent, stage
from edgekit.provenance.proofs import Proofs
from edgekit.quantizing import Made, Reference, lower_quantized, reference_for, require_quality
from edgekit.recipe import Recipe
from edgekit.rewrites.apply import rewrite_modules
from edgekit.rewrites.registry import MODULE_REWRITES
from edgekit.rewrites.report import RewriteReport
from edgekit.sentences import describe_parity, describe_rewrites, notes_on
from edgekit.targets.base import LoweringJob, Target
from edgekit.targets.registry import get_target
from edgekit.traffic import program_bytes_moved
from edgekit.verification.batches import with_batches
from edgekit.verification.cases import Case, eager_cases
from edgekit.verification.check import check_artifact
from edgekit.verification.judged import answering
from edgekit.verification.parity import Parity
from edgekit.verification.samples import Sample
from edgekit.verification.selections import Selected, Selections, compare_selections, samples_for, selected, selects
from edgekit.verification.tolerances import tolerance_for


@frozen
class _Form:
    """What a model becomes: its methods, and what eager answers in each."""

    methods: tuple[MethodSource, ...]
    cases: dict[str, Case]
    programs: dict[tuple[Any, ...], Rewritten] = field(factory=dict)
    """Rewritten programs by what shaped them: targets that get the same rewrites share one."""


@frozen
class _Prepared:
    """What every target of one export starts from."""

    source: SourceModel
    samples: tuple[Sample, ...]
    conditions: tuple[RewriteReport, ...]
    """What became of the model's conditions, before anything else and for every target."""
    forms: dict[tuple[str | None, bool], _Form]
    """By the early-exit form of the recipes, and whether the file holds one graph only; targets need not have the same."""
    draws: Draws | None = None
    """Pictures to calibrate on and to judge with, where something is quantized and they were given."""
    references: dict[tuple[str | None, bool], Reference] = field(factory=dict)
    """By form, what quantized artifacts are compared with, once it is known."""
    selected: list[Selected] = field(factory=list)
    """What the eager model selects on the samples, once it is known."""


def export_recipes(
    recipes: Sequence[Recipe],
    *,
    output_dir: Path,
    overwrite: bool = False,
    proofs: Proofs | None = None,
    cache: ExportCache | None = None,
    listener: Listener | None = None,
    written: Callable[[ExportedArtifact], Any] = lambda _: None,
) -> ExportResult:
    """Export recipes of one model (same weights, resolution and classes); see :func:`edgekit.exporting.export`.

    :param cache: what finished artifacts are taken from and kept in.
    :param written: called with each artifact as soon as it is in place: a later target may fail.
    """
    listener, proofs = listener or Silent(), proofs or Proofs()
    paths = check_request(recipes, output_dir, overwrite=overwrite)
    proofs.before(recipes, paths)
    exported = []
    with rarely_collected():
        prepared = prepare(recipes, listener)
        for recipe, path in zip(recipes, paths, strict=True):
            key = None if cache is None else cache.key(recipe, path.name, _evidence(recipe, prepared))
            done = None
            if cache is not None and key is not None:
                done = answer(cache, key, recipe, path, overwrite=overwrite, proofs=proofs, listener=listener)
            if done is None:
                done = _export_one(recipe, path, prepared, overwrite=overwrite, proofs=proofs, listener=listener)
                if cache is not None and key is not None:
                    keep(cache, key, cache.as_it_is_now().key(recipe, path.name, _evidence(recipe, prepared)), path, listener)
            exported.append(done)
            written(done)
    return ExportResult(model=recipes[0].model, trained=prepared.source.trained, artifacts=tuple(exported))


def _evidence(recipe: Recipe, prepared: _Prepared) -> str | None:
    """Return what came of a model that its name does not tell, and of pictures."""
    if is_known_by_name(recipe):
        return None
    cases = [case for form in prepared.forms.values() for case in form.cases.values()]
    return evidence_of(prepared.source, cases, None if prepared.draws is None else prepared.draws.record())


def check_request(recipes: Sequence[Recipe], output_dir: Path, *, overwrite: bool) -> list[Path]:
    """Refuse what could not succeed, before anything slow happens; return where each artifact will be.

    :raises UsageError: unknown names, a missing extra, a resolution the model cannot take. :raises BadInputError: a file that
        is not there. :raises OutputError: the place cannot be written or is taken.
    """
    paths = [artifact_path(recipe, output_dir) for recipe in recipes]
    for recipe in recipes:
        get_target(recipe.target)
        check_resolution(recipe.model, recipe.resolution)
        check_data(recipe.scheme, recipe.data)
        for file in (recipe.weights, recipe.labels, recipe.plan, recipe.costs):
            if file is not None and not file.is_file():
                raise BadInputError(f"there is no file {file.name}", where=str(file))
        if recipe.costs is not None:
            cost_table(recipe.target, recipe.costs)  # read again by the planner, minutes from here
    for path in paths:
        artifact.check_output(path, overwrite=overwrite)
    return paths


def prepare(recipes: Sequence[Recipe], listener: Listener) -> _Prepared:
    """Build the eager model, in every form that is asked for, and what it answers on the verification samples."""
    recipe = recipes[0]
    with stage(listener, "build") as step:
        source = load_source(recipe.model, resolution=recipe.resolution, num_classes=recipe.num_classes, weights=recipe.weights, inputs=recipe.inputs)
        _require_pictures(source, recipes)
        _require_one_input(source, recipes)
        samples = samples_for(source.module, source.preprocessing)
        source, conditions = without_conditions(source, [torch.from_numpy(sample.tensor) for sample in samples])
        forms = {}
        for form in {_form_of(_for_model(recipe, source)): None for recipe in recipes}:
            methods = method_sources(source.module, form[0], one_graph=form[1])
            forms[form] = _Form(methods, eager_cases(source, methods, samples))
        trained = {True: "weights loaded", False: "UNTRAINED (no --weights)", None: "weights as the factory made them"}[source.trained]
        step.detail = f"{source.name}  {source.resolution}x{source.resolution}  {source.parameters / 1e6:.2f} M parameters  {trained}"
    return _Prepared(source, samples, conditions, forms, _drawn(recipe, source, forms, listener))


def _require_pictures(source: SourceModel, recipes: Sequence[Recipe]) -> None:
    """Refuse to quantize a model that is given other than one picture: it is calibrated and judged on pictures."""
    quantized = [recipe.precision for recipe in recipes if recipe.scheme.quantized]
    if source.inputs is not None and quantized:
        raise UsageError(
            f"{source.name} cannot be written at precision {quantized[0]}",
            what=f"it takes {', '.join(given.name for given in source.inputs)}",
            why="ranges of integers are chosen, and answers judged, on pictures alone",
            hint="--precision fp32 or fp16",
        )


def _require_one_input(source: SourceModel, recipes: Sequence[Recipe]) -> None:
    """Refuse to leave the batch open of a model with exits, or of one that is given other than a picture: there a first axis may be anything."""
    asked = [recipe.dynamic for recipe in recipes if recipe.dynamic is not None]
    if asked and (has_exits(source.module) or source.inputs is not None):
        why = "it has exits, and each picture leaves at its own" if has_exits(source.module) else "the first axis of its inputs need not be a batch"
        raise UsageError(f"{source.name} takes one at a time", what=f"--dynamic {asked[0]}", why=why, hint="leave out --dynamic")


def _drawn(recipe: Recipe, source: SourceModel, forms: Mapping[Any, _Form], listener: Listener) -> Draws | None:
    """Draw the pictures of an export; recipes of one command share their precision and data."""
    if recipe.data is None:
        return None
    with stage(listener, "draw pictures") as step:
        outputs = next(iter(next(iter(forms.values())).cases.values())).outputs
        classes = outputs[answering(outputs)[0]][0].shape[-1]
        draws = draw(recipe.data, recipe.scheme, source.preprocessing, count=recipe.num_calibration_samples, classes=classes)
        calibrated = f"{len(draws.drawn)} x {recipe.num_calibration_samples} to calibrate on, " if draws.drawn else ""
        skipped = f", {len(draws.skipped)} unreadable" if draws.skipped else ""
        step.detail = f"{draws.judged.origin}: {calibrated}{len(draws.judged.samples)} others to judge with{skipped}"
    return draws


def _for_model(recipe: Recipe, source: SourceModel) -> Recipe:
    recipe = attrs.evolve(recipe, resolution=source.resolution)
    return recipe.for_exits() if has_exits(source.module) else recipe


def _form_of(recipe: Recipe) -> tuple[str | None, bool]:
    return recipe.early_exit, target_facts(recipe.target).holds_one_graph


def _export_one(recipe: Recipe, path: Path, prepared: _Prepared, *, overwrite: bool, proofs: Proofs, listener: Listener) -> ExportedArtifact:
    facts, target, source = target_facts(recipe.target), get_target(recipe.target), prepared.source
    asked, recipe = recipe, _for_model(recipe, source)
    form = prepared.forms[_form_of(recipe)]
    start = time.perf_counter()
    with stage(listener, f"{facts.name}: rewrite") as step:
        key = (facts.forms, facts.limits, recipe.dynamic)
        if key not in form.programs:
            form.programs[key] = (
                rewritten_programs(source.name, form.methods, form.cases, facts)
                if recipe.dynamic is None
                else programs_for_batches(source.name, form.methods, form.cases, recipe.largest_batch)
            )
        programs, rewrites = form.programs[key]
        rewrites = (*prepared.conditions, *rewrites)
        step.detail = describe_rewrites(rewrites)
        give_back()
    recipe = recipe.for_methods(len(form.cases))
    notes = notes_on(asked, recipe)
    methods = tuple(method_spec(recipe, facts, case) for case in form.cases.values())
    labels, labels_sha256 = read_labels(recipe.labels, methods[0].outputs[0])
    with artifact.staging(path.parent) as folder:
        staged = folder / path.name
        job = LoweringJob(programs=programs, methods=methods, recipe=recipe, metadata=metadata_for(source, labels), destination=staged)
        made = (
            _quantized(target, facts, job, prepared, form, listener)
            if recipe.scheme.quantized
            else _as_floats(target, facts, job, prepared, form, listener)
        )
        counterparts, inspection, parity, notes = made.counterparts, made.inspection, made.parity, (*notes, *made.notes)
        sha256, size = artifact.digest(staged), artifact.size_bytes(staged)
        document = build_document(
            recipe=recipe,
            facts=facts,
            source=source,
            file_name=path.name,
            sha256=sha256,
            size=size,
            labels_sha256=labels_sha256,
            methods=made.methods or methods,
            rewrites=rewrites,
            origins=origins_table(counterparts or job.programs, {method.name: [tensor.name for tensor in method.outputs] for method in methods}),
            inspection=inspection,
            macs={name: program_macs(program).total for name, program in programs.items()},
            bytes_moved={name: program_bytes_moved(program) for name, program in programs.items()},
            parity=parity,
            quantization=made.section,
            notes=notes,
            exits=exit_section(recipe, source.module, form.methods, form.cases),
        )
        with proofs.around(staged, document) as beside:
            artifact.publish(staged, document, path, overwrite=overwrite, beside=beside)
    return ExportedArtifact(
        target=facts.name,
        precision=recipe.precision,
        path=path,
        manifest=artifact.manifest_path(path),
        size_bytes=size,
        sha256=sha256,
        methods=tuple(method.name for method in methods),
        seconds=time.perf_counter() - start,
        rewrites=rewrites,
        delegation=inspection.delegation,
        parity=parity,
        notes=notes,
        plan=made.plan,
        quantization=made.section,
    )


def _as_floats(target: Target, facts: TargetFacts, job: LoweringJob, prepared: _Prepared, form: _Form, listener: Listener) -> Made:
    """Lower a job in floats and hold it to eager's values."""
    with stage(listener, f"{facts.name}: lower") as step:
        counterparts = target.lower(job)
        inspection = target.inspect(job.destination)
        step.detail = f"{artifact.size_bytes(job.destination) / 1e6:.2f} MB {job.recipe.precision}"
        give_back()
    with stage(listener, f"{facts.name}: verify") as step:
        tolerance = tolerance_for(job.recipe.precision, job.recipe.atol)
        parity = check_artifact(target, job.destination, job.methods, prepared.samples, form.cases, tolerance, counterparts)
        parity = with_batches(parity, target, job.destination, job.methods[0], prepared.samples, form.cases[job.methods[0].name])
        parity = with_selections(parity, selections(prepared.source, facts, prepared.samples, prepared.selected))
        step.detail = describe_parity(parity)
    require_parity(parity, job.destination.name)
    return Made(counterparts=counterparts, inspection=inspection, parity=parity)


def _quantized(target: Target, facts: TargetFacts, job: LoweringJob, prepared: _Prepared, form: _Form, listener: Listener) -> Made:
    """Lower a job in integers and hold it to eager's answers."""
    key = _form_of(job.recipe)
    if key not in prepared.references:
        prepared.references[key] = reference_for(prepared.source, form.methods, prepared.draws, prepared.samples, form.cases)
    made = lower_quantized(target, facts, job, prepared.source, form.methods, prepared.references[key], listener)
    parity = with_selections(made.parity, selections(prepared.source, facts, prepared.samples, prepared.selected))
    made = attrs.evolve(made, parity=parity)
    require_quality(made, job.destination.name)
    return made


def selections(source: SourceModel, facts: TargetFacts, samples: Sequence[Sample], known: list[Selected]) -> Selections | None:
    """Compare what the form a target gets selects with what eager does, on all samples; None for a model that selects nothing.

    :param known: what the eager model selects, found here the first time.
    """
    if not selects(source.module):
        return None
    known[:] = known or [selected(source.module, samples)]
    module, _ = rewrite_modules(source.module, MODULE_REWRITES, facts, (torch.from_numpy(samples[0].tensor.copy()),))
    return compare_selections(known[0], selected(module, samples), samples)


def with_selections(parity: Parity, found: Selections | None) -> Parity:
    """Add the comparison of regions; other regions than eager's are a failure, whatever the outputs are."""
    if found is None:
        return parity
    parity = attrs.evolve(parity, selections=found.to_json())
    if not found.differing or parity.verdict == "fail":
        return parity
    reason = f"other regions than eager on {len(found.differing)} of {found.samples} samples, the first {found.differing[0]!r}"
    return attrs.evolve(parity, verdict="fail", reason=reason)


def require_parity(parity: Parity, name: str) -> None:
    """Stop unless the comparison passed or could not be made.

    :raises ParityError: it failed.
    """
    if parity.verdict == "fail":
        raise ParityError(
            f"{name} does not compute what the model computes",
            what=parity.reason,
            where=f"worst on sample {parity.worst_sample!r}" if parity.worst_sample else None,
            hint="--atol X sets another limit if this error is acceptable" if parity.max_abs_error is not None else None,
        )
