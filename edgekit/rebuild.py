"""Builds the eager model that an artifact was exported from again, from what its manifest says."""

from pathlib import Path
from typing import Any

from edgekit.artifact import Manifest
from edgekit.capabilities import TargetFacts, target_facts
from edgekit.errors import ArtifactError, ModelSourceError, RecipeError, UnknownNameError, UsageError
from edgekit.models.source import SourceModel, load_source
from edgekit.recipe import Recipe, portable_name


def eager_source(
    name: str, manifest: Manifest, facts: TargetFacts, *, model: str | None = None, weights: str | Path | None = None
) -> tuple[Recipe, SourceModel]:
    """Return an artifact's recipe, without the files it names, and its eager model with the weights it was exported with.

    :param name: the artifact's, for sentences. :param facts: of the target it belongs to by its ending.
    :param model: ``path/to/file.py:factory`` where that file does not lie in the working folder.
    :param weights: the checkpoint it was exported with; it has to be the same file, by hash.
    :raises ArtifactError: the manifest is for another target or holds no usable recipe, or these are not the weights of the export.
    :raises UsageError: ``model`` is another one. :raises ModelSourceError: the model's file is not found.
    """
    recipe, named = _recipe(manifest)
    if target_facts(recipe.target) != facts:
        raise ArtifactError(f"{name} is a {facts.name} artifact, its manifest is for {recipe.target}", hint="export again with --overwrite")
    if model is not None and portable_name(model) != named:
        raise UsageError(f"{name} was exported from {named}, not from {portable_name(model)}")
    expected = _weights_sha256(manifest)
    weights = None if weights is None else Path(weights)
    if expected is not None and weights is None:
        raise ArtifactError(f"{name} was exported with weights", what=f"sha256 {expected[:16]}...", hint="--weights FILE")
    source = _source(manifest, recipe, model or named, weights)
    if source.weights_sha256 != expected:
        found = "no weights" if expected is None else f"sha256 {expected[:16]}..."
        raise ArtifactError("these are not the weights it was exported with", what=f"{name}: {found}", hint="give the file of the export")
    return recipe, source


def _recipe(manifest: Manifest) -> tuple[Recipe, str]:
    """Return the manifest's recipe, without the files it names, and the model's name; the hashes of the files stand beside it."""
    table: Any = manifest.document.get("recipe")
    if not isinstance(table, dict):
        raise ArtifactError(f"{manifest.path.name} holds no recipe", hint="export again with --overwrite")
    values = {key: value for key, value in table.items() if value is not None and key not in ("weights", "labels", "plan")}
    try:
        recipe = Recipe.from_table(values, source=manifest.path)
    except RecipeError as error:
        raise ArtifactError(f"{manifest.path.name} holds no usable recipe", why=error.summary, where=error.where) from error
    return recipe, str(table["model"])


def _weights_sha256(manifest: Manifest) -> str | None:
    row: Any = manifest.document.get("model")
    digest = row.get("weights_sha256", "") if isinstance(row, dict) else ""
    if not (digest is None or (isinstance(digest, str) and digest)):
        raise ArtifactError(f"{manifest.path.name} does not say which weights it was exported with", hint="export again with --overwrite")
    return digest


def _source(manifest: Manifest, recipe: Recipe, name: str, weights: Path | None) -> SourceModel:
    try:
        return load_source(name, resolution=recipe.resolution, num_classes=recipe.num_classes, weights=weights, inputs=recipe.inputs)
    except UnknownNameError as error:
        raise ArtifactError(f"{manifest.path.name} holds no usable recipe", why=error.summary, what=error.what) from error
    except ModelSourceError as error:
        file = name.rpartition(":")[0]
        if file.endswith(".py") and not Path(file).exists():
            raise ModelSourceError(error.summary, what=error.what, hint=f"--model path/to/{name} says where it lies") from error
        raise
