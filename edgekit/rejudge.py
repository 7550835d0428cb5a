"""Judges a quantized artifact that exists again, on the pictures that its export judged it with."""

from pathlib import Path
from typing import Any

from edgekit.artifact import Manifest
from edgekit.calibration import draw
from edgekit.capabilities import TargetFacts
from edgekit.errors import ArtifactError, BadInputError
from edgekit.interface import MethodSpec
from edgekit.methods import MethodSource
from edgekit.models.source import SourceModel
from edgekit.quantizing import judge_file, parity_of, reference_for
from edgekit.recipe import Recipe
from edgekit.targets.base import Target
from edgekit.verification.cases import eager_cases
from edgekit.verification.parity import Parity
from edgekit.verification.samples import verification_samples
from edgekit.verification.tolerances import quantized_tolerance


def judge_again(
    target: Target,
    facts: TargetFacts,
    path: Path,
    manifest: Manifest,
    recipe: Recipe,
    source: SourceModel,
    sources: tuple[MethodSource, ...],
    methods: tuple[MethodSpec, ...],
    data: str | None,
) -> Parity:
    """Run an artifact and eager on the judged pictures, and compare as the export did.

    :param data: where the pictures are now; ``None``: where the manifest says, which is enough for a data set's name.
    :raises ArtifactError: the manifest does not say what it was judged with, or these are other pictures.
    :raises BadInputError: they are not there.
    """
    expected = _judged_sha256(manifest)
    tolerance = quantized_tolerance(recipe.precision, accuracy_budget=recipe.accuracy_budget, sqnr=recipe.sqnr, trained=source.trained)
    samples = verification_samples(source.preprocessing)
    if expected is None:
        reference = reference_for(source, sources, None, samples, eager_cases(source, sources, samples))
    else:
        draws = draw(
            _pictures(manifest, recipe, data), recipe.scheme, source.preprocessing, count=recipe.num_calibration_samples, classes=_classes(methods)
        )
        if draws.judged.sha256 != expected:
            raise ArtifactError(
                f"{path.name} was judged with other pictures",
                what=f"sha256 {expected[:16]}..., here {draws.judged.sha256[:16]}...",
                hint="--data DIR names the folder of the export, with nothing added or taken away",
            )
        reference = reference_for(source, sources, draws, (), {})
    found = judge_file(target, facts, path, methods, reference, tolerance)
    return parity_of([found], target.executed_by, tolerance)


def _judged_sha256(manifest: Manifest) -> str | None:
    """Return the hash of the pictures that an artifact was judged with; ``None``: edgekit's own."""
    section: Any = manifest.document.get("quantization")
    data = section.get("data", "") if isinstance(section, dict) else ""
    if data is None:
        return None
    found = data.get("judged", {}).get("sha256") if isinstance(data, dict) and isinstance(data.get("judged"), dict) else None
    if not isinstance(found, str):
        raise ArtifactError(f"{manifest.path.name} does not say what it was judged with", hint="export again with --overwrite")
    return found


def _pictures(manifest: Manifest, recipe: Recipe, data: str | None) -> str:
    found = data or recipe.data
    if found is None:
        raise BadInputError(f"{manifest.path.name} names no pictures", hint="--data DIR: the folder of the export")
    return found


def _classes(methods: tuple[MethodSpec, ...]) -> int:
    for spec in methods[0].outputs:
        if spec.layout == "NC":
            return spec.shape[-1]
    return methods[0].outputs[0].shape[-1]
