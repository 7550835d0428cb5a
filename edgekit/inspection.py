"""Looks into a model, to say what each target would get, or into an artifact, to say what is in it."""

import gc
from collections.abc import Mapping
from pathlib import Path

import torch
from attrs import frozen

from edgekit import artifact
from edgekit.capabilities import TARGETS, target_facts
from edgekit.conditions.source import without_conditions
from edgekit.exit_forms import exit_report
from edgekit.macs import added, eager_macs
from edgekit.methods import method_sources
from edgekit.models.source import load_source
from edgekit.places import PlaceReport, place_reports
from edgekit.programs import rewritten_programs
from edgekit.progress import Listener, Silent, stage
from edgekit.rewrites.report import RewriteReport
from edgekit.runtime.loaded import facts_of_file
from edgekit.sentences import describe_rewrites
from edgekit.sites import SiteReport, site_reports
from edgekit.spellings import Spellings
from edgekit.targets.base import Inspection
from edgekit.targets.registry import get_target
from edgekit.trial import Obstacle, obstacle
from edgekit.verification.cases import eager_cases
from edgekit.verification.samples import verification_samples


@frozen(kw_only=True)
class ArtifactReport:
    """What is in an artifact, and its digest and size."""

    path: Path
    target: str
    sha256: str
    size_bytes: int
    inspection: Inspection


@frozen(kw_only=True)
class ModelReport:
    """What every target gets of a model: one report per rewrite, in order, by target name; and what it could get at which site.

    :param macs: multiply-adds of the model as it is written, all methods together, on the first verification sample.
    :param places: the same by operator and line. :param obstacles: what stops a target all the same; ``None`` where nobody tried.
    """

    model: str
    resolution: int
    parameters: int
    macs: int | None
    sites: tuple[SiteReport, ...]
    targets: Mapping[str, tuple[RewriteReport, ...]]
    places: tuple[PlaceReport, ...]
    obstacles: tuple[Obstacle, ...] | None = None


def inspect_artifact(path: Path) -> ArtifactReport:
    """Look into an artifact, edgekit's or not.

    :raises ArtifactError: missing, truncated or foreign.
    """
    facts = facts_of_file(path)
    inspection = get_target(facts.name).inspect(path)
    return ArtifactReport(path=path, target=facts.name, sha256=artifact.digest(path), size_bytes=artifact.size_bytes(path), inspection=inspection)


def inspect_model(
    name: str,
    *,
    targets: tuple[str, ...] = (),
    resolution: int | None = None,
    num_classes: int | None = None,
    inputs: str | None = None,
    strict: bool = False,
    listener: Listener | None = None,
) -> ModelReport:
    """Apply each target's rewrites to a model, and those it could get instead; lower nothing. Needs no vendor package.

    :param strict: try whether each target takes what is left, too, with its packages; see :mod:`edgekit.trial`.
    :raises CaptureError: it cannot be captured; the error names the user's line.
    :raises MissingExtraError: a target is to be tried whose packages are not installed.
    """
    chosen = [target_facts(target) for target in targets or [facts.name for facts in TARGETS]]
    for facts in chosen if strict else ():
        get_target(facts.name)  # refused now rather than after minutes
    listener = listener or Silent()
    with stage(listener, "build"):
        source = load_source(name, resolution=resolution, num_classes=num_classes, inputs=inputs)
        samples = verification_samples(source.preprocessing)[:1]
        source, conditions = without_conditions(source, [torch.from_numpy(sample.tensor) for sample in samples])
        methods = method_sources(source.module, None)
        cases = eager_cases(source, methods, samples)
    modules = {method.name: method.module for method in methods}
    examples = {method: case.example() for method, case in cases.items()}
    spellings = Spellings(source.name, modules, examples)
    reports, answers = {}, []
    stops: list[Obstacle | None] = []
    for facts in chosen:
        with stage(listener, f"{facts.name}: rewrite") as step:
            rewritten = rewritten_programs(source.name, methods, cases, facts)
            reports[facts.name] = (*conditions, *rewritten[1])
            step.detail = describe_rewrites(reports[facts.name])
        with stage(listener, f"{facts.name}: other forms") as step:
            answers.append(spellings.answers(facts, rewritten))
            step.detail = f"{sum(map(len, answers[-1].tried.values()))} counted"
        if strict:
            with stage(listener, f"{facts.name}: try") as step:
                stops.append(obstacle(facts.name, source, samples, methods, cases, rewritten))
                step.detail = "taken" if stops[-1] is None else stops[-1].summary
        del rewritten
        gc.collect()  # programs refer to themselves, and hold weights
    with stage(listener, "count as written"):
        eager = {method: eager_macs(module, examples[method]) for method, module in modules.items()}
        exits = exit_report(source, chosen)
    return ModelReport(
        model=source.name,
        resolution=source.resolution,
        parameters=source.parameters,
        macs=added(macs.total for macs in eager.values()),
        sites=(*([] if exits is None else [exits]), *site_reports(answers, eager)),
        targets=reports,
        places=place_reports(reports, {facts.name: facts for facts in chosen}),
        obstacles=tuple(stop for stop in stops if stop is not None) if strict else None,
    )
