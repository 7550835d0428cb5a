"""Looks into a model, to say what each target would get, or into an artifact, to say what is in it."""

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from edgekit import artifact
from edgekit.capabilities import TARGETS, target_facts
from edgekit.methods import method_sources
from edgekit.models.source import load_source
from edgekit.programs import rewritten_programs
from edgekit.rewrites.base import RewriteReport
from edgekit.runtime.loaded import facts_of_file
from edgekit.targets.base import Inspection
from edgekit.targets.registry import get_target
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
    """What every target gets of a model: one report per rewrite, in order, by target name."""

    model: str
    resolution: int
    parameters: int
    targets: Mapping[str, tuple[RewriteReport, ...]]


def inspect_artifact(path: Path) -> ArtifactReport:
    """Look into an artifact, edgekit's or not.

    :raises ArtifactError: missing, truncated or foreign.
    """
    facts = facts_of_file(path)
    inspection = get_target(facts.name).inspect(path)
    return ArtifactReport(path=path, target=facts.name, sha256=artifact.digest(path), size_bytes=artifact.size_bytes(path), inspection=inspection)


def inspect_model(name: str, *, targets: tuple[str, ...] = (), resolution: int | None = None, num_classes: int | None = None) -> ModelReport:
    """Apply each target's rewrites to a model, lower nothing, and report sites and skips. Needs no vendor package.

    :raises CaptureError: it cannot be captured; the error names the user's line.
    """
    chosen = [target_facts(target) for target in targets] or list(TARGETS)
    source = load_source(name, resolution=resolution, num_classes=num_classes)
    methods = method_sources(source.module, None)
    cases = eager_cases(source, methods, verification_samples(source.preprocessing)[:1])
    reports = {facts.name: rewritten_programs(source.name, methods, cases, facts)[1] for facts in chosen}
    return ModelReport(model=source.name, resolution=source.resolution, parameters=source.parameters, targets=reports)
