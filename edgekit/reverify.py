"""Runs an artifact that exists against its eager reference again."""

from pathlib import Path

import torch

from edgekit.artifact import read_manifest
from edgekit.conditions.source import without_conditions
from edgekit.errors import ArtifactError, UsageError
from edgekit.foreign import verify_foreign
from edgekit.manifest import methods_from_json
from edgekit.methods import method_sources
from edgekit.programs import lowered_programs
from edgekit.rebuild import eager_source
from edgekit.recipe import check_atol
from edgekit.rejudge import judge_again
from edgekit.runtime.loaded import facts_of_file
from edgekit.targets.registry import get_target
from edgekit.verification.batches import with_batches
from edgekit.verification.cases import eager_cases
from edgekit.verification.check import check_artifact
from edgekit.verification.parity import Parity
from edgekit.verification.samples import FEWEST
from edgekit.verification.selections import samples_for
from edgekit.verification.tolerances import tolerance_for


def verify(
    path: str | Path,
    *,
    model: str | None = None,
    weights: str | Path | None = None,
    atol: float | None = None,
    samples: int | None = None,
    data: str | None = None,
) -> Parity:
    """Rebuild the eager model from an artifact's manifest, run both, and compare.

    An artifact without a manifest, which edgekit did not write, is compared with ``model``; see :mod:`edgekit.foreign`.

    :param model: ``path/to/file.py:factory`` where the artifact's model is a file of one's own that does not lie in the working folder;
        without a manifest, the model that the artifact has to equal.
    :param weights: the checkpoint the artifact was exported with; it has to be the same file, by hash.
    :param atol: limit for the largest absolute error, instead of the table's row.
    :param samples: on how many inputs, nine or more; ``None``: as many as its export had.
    :param data: where the pictures are that a quantized artifact was judged with, if they were a folder.
    :raises ArtifactError: no manifest and no ``model``, or the artifact is not what its manifest says.
    :raises BadInputError: the weights are missing or another file, or the model's file is not found.
    :raises UsageError: ``model`` is another one, ``atol`` is no limit, fewer ``samples`` than nine, or a number of them without a manifest.
    """
    _check_limits(atol, samples)
    path = Path(path)
    facts = facts_of_file(path)
    target = get_target(facts.name)
    target.inspect(path)  # a truncated file is refused by its format's own reader first
    manifest = read_manifest(path)
    if manifest is None:
        if model is None:
            raise ArtifactError(
                f"{path.name} has no manifest",
                why="it tells which model the artifact has to equal",
                hint="--model path/to/file.py:factory tells it, too; edgekit inspect works on any artifact",
            )
        if samples is not None:
            raise UsageError("without a manifest the samples cannot be chosen", what=f"--samples {samples}", hint="leave it out")
        return verify_foreign(target, path, model, None if weights is None else Path(weights), atol)
    recipe, source = eager_source(path.name, manifest, facts, model=model, weights=weights)
    pictures = samples_for(source.module, source.preprocessing, samples)
    source, _ = without_conditions(source, [torch.from_numpy(sample.tensor) for sample in pictures])
    methods = methods_from_json(manifest.document.get("methods"))
    tolerance = tolerance_for(recipe.precision, recipe.atol if atol is None else atol)
    sources = method_sources(source.module, recipe.early_exit, one_graph=facts.holds_one_graph)
    cases = eager_cases(source, sources, pictures)
    if [method.name for method in methods] != list(cases):
        raise ArtifactError(
            f"{manifest.path.name} names other methods than the model has",
            what=f"{', '.join(method.name for method in methods)}; the model: {', '.join(cases)}",
            hint="export again with --overwrite",
        )
    if recipe.scheme.quantized:
        return judge_again(target, facts, path, manifest, recipe, source, sources, methods, data)
    counterparts = lowered_programs(recipe, source, sources, methods, cases)
    parity = check_artifact(target, path, methods, pictures, cases, tolerance, counterparts)
    return with_batches(parity, target, path, methods[0], pictures, cases[methods[0].name])


def _check_limits(atol: float | None, samples: int | None) -> None:
    if atol is not None:
        check_atol(atol)
    if samples is not None and samples < FEWEST:
        raise UsageError(f"{samples} samples are too few", why=f"an artifact is compared on {FEWEST} or more", hint=f"--samples {FEWEST}")
