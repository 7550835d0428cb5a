"""Runs an artifact that exists against its eager reference again."""

from pathlib import Path
from typing import Any

from edgekit.artifact import Manifest, read_manifest
from edgekit.errors import ArtifactError, RecipeError
from edgekit.manifest import methods_from_json
from edgekit.models.source import load_source
from edgekit.recipe import Recipe
from edgekit.runtime.loaded import facts_of_file
from edgekit.targets.registry import get_target
from edgekit.verify.check import check_artifact, eager_outputs
from edgekit.verify.parity import Parity
from edgekit.verify.samples import verification_samples
from edgekit.verify.tolerances import tolerance_for


def verify(path: str | Path, *, weights: str | Path | None = None, atol: float | None = None) -> Parity:
    """Rebuild the eager model from an artifact's manifest, run both, and compare.

    :param weights: the checkpoint the artifact was exported with; it has to be the same file, by hash.
    :param atol: limit for the largest absolute error, instead of the table's row.
    :raises ArtifactError: no manifest, or the artifact is not what it says.
    :raises BadInputError: the weights are missing or another file.
    """
    path = Path(path)
    facts = facts_of_file(path)
    target = get_target(facts.name)
    target.inspect(path)  # a truncated file is refused by its format's own reader first
    manifest = read_manifest(path)
    if manifest is None:
        raise ArtifactError(
            f"{path.name} has no manifest",
            why="it tells which model the artifact has to equal",
            hint="export it with edgekit; edgekit inspect works on any artifact",
        )
    recipe = _recipe(manifest)
    expected = manifest.document["model"].get("weights_sha256")
    weights = None if weights is None else Path(weights)
    if expected is not None and weights is None:
        raise ArtifactError(f"{path.name} was exported with weights", what=f"sha256 {expected[:16]}...", hint="--weights FILE")
    source = load_source(recipe.model, resolution=recipe.resolution, num_classes=recipe.num_classes, weights=weights)
    if source.weights_sha256 != expected:
        found = "no weights" if expected is None else f"sha256 {expected[:16]}..."
        raise ArtifactError("these are not the weights it was exported with", what=f"{path.name}: {found}", hint="give the file of the export")
    samples = verification_samples(source.preprocessing)
    methods = methods_from_json(manifest.document["methods"])
    tolerance = tolerance_for(recipe.precision, recipe.atol if atol is None else atol)
    return check_artifact(target, path, methods, samples, eager_outputs(source, samples), tolerance)


def _recipe(manifest: Manifest) -> Recipe:
    table: Any = manifest.document.get("recipe")
    if not isinstance(table, dict):
        raise ArtifactError(f"{manifest.path.name} holds no recipe", hint="export again with --overwrite")
    # Files are named in the manifest for people; what they hold is checked by hash.
    values = {key: value for key, value in table.items() if value is not None and key not in ("weights", "labels")}
    try:
        return Recipe.from_table(values, source=manifest.path)
    except RecipeError as error:
        raise ArtifactError(f"{manifest.path.name} holds no usable recipe", why=error.summary, where=error.where) from error
