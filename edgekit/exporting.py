"""``export``: what the cache has is copied, before torch is imported; what it has not goes through the pipeline."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgekit.export_cache.answer import answer_all, open_cache
from edgekit.exported import ExportedArtifact, ExportResult
from edgekit.progress import Listener, Silent
from edgekit.provenance.proofs import Proofs
from edgekit.recipe import Recipe
from edgekit.requests import recipes_for


def export(
    model: str,
    *,
    targets: Sequence[str],
    precision: str | None = None,
    resolution: int | None = None,
    num_classes: int | None = None,
    weights: str | Path | None = None,
    labels: str | Path | None = None,
    input: str | Sequence[str] | None = None,
    backend: str | None = None,
    deployment_target: str | None = None,
    early_exit: str | None = None,
    dynamic: str | None = None,
    atol: float | None = None,
    data: str | Path | None = None,
    num_calibration_samples: int | None = None,
    accuracy_budget: float | None = None,
    sqnr: float | None = None,
    plan: str | Path | None = None,
    costs: str | Path | None = None,
    io: str | None = None,
    output_dir: str | Path = ".",
    overwrite: bool = False,
    proofs: Proofs | None = None,
    cache: bool = False,
    listener: Listener | None = None,
) -> ExportResult:
    """Export a model to every target: rewritten, lowered, run and compared with eager, then put in place with its manifest.

    :param model: a registered name, ``module:factory`` or ``path/to/file.py:factory``.
    :param targets: ``coreml``, ``tflite`` (or ``litert``), ``executorch``, ``onnx``, ``coreai``.
    :param precision: see ``edgekit targets``; each target's default when ``None``.
    :param input: Core ML's ``image`` or ``tensor``; for a model of one's own also what it is called with, ``ids=1x6:int64:50``; several in a list.
    :param early_exit: of a network with exits, ``methods``, ``select``, ``all``, ``last``, ``exit=K`` or ``method=K``; see :mod:`edgekit.methods`.
    :param dynamic: ``batch=1..8``: how many inputs one call may take; for targets that do it well, ONNX.
    :param data: pictures that a quantized artifact is calibrated on and judged with: a data set's name, a folder, a CSV file of labels.
    :param num_calibration_samples: how many of them choose the ranges of integers.
    :param accuracy_budget: points of top-1 accuracy that quantizing may cost. :param sqnr: lowest SQNR of the logits in dB, instead.
    :param plan: a file that says what is quantized: a plan, or a manifest that holds one. :param costs: a table of what operators cost, to plan by.
    :param io: ``int8``: a quantized LiteRT file is given and answers integers; what they stand for, the manifest says.
    :param output_dir: folder for the artifacts, made if needed.
    :param overwrite: replace artifacts that are there already.
    :param proofs: a lock file to write or to reproduce, statements and bills of materials; see :mod:`edgekit.provenance`.
    :param cache: take what was exported before from the cache, and keep what is exported, as the command line does; see
        :mod:`edgekit.export_cache`. What a program has patched in memory it does not see.
    :raises UsageError: the request contradicts itself. :raises BadInputError: something handed in cannot be used.
    :raises CannotExportError: the model cannot be captured, rewritten or lowered. :raises ParityError: an artifact does
        not compute what the model computes; it is not published.
    """
    recipes = recipes_for(
        model,
        targets,
        precision=precision,
        resolution=resolution,
        num_classes=num_classes,
        weights=weights,
        labels=labels,
        input=input,
        backend=backend,
        deployment_target=deployment_target,
        early_exit=early_exit,
        dynamic=dynamic,
        atol=atol,
        data=None if data is None else str(data),
        num_calibration_samples=num_calibration_samples,
        accuracy_budget=accuracy_budget,
        sqnr=sqnr,
        plan=plan,
        costs=costs,
        io=io,
    )
    return export_recipes(recipes, output_dir=Path(output_dir), overwrite=overwrite, proofs=proofs, cache=cache, listener=listener)


def export_recipes(
    recipes: Sequence[Recipe],
    *,
    output_dir: Path,
    overwrite: bool = False,
    proofs: Proofs | None = None,
    cache: bool = True,
    listener: Listener | None = None,
    written: Callable[[ExportedArtifact], Any] = lambda _: None,
) -> ExportResult:
    """Export recipes of one model (same weights, resolution and classes); see :func:`export`.

    With a lock to be checked everything is built: that it can be is what the lock is about.

    :param written: called with each artifact as soon as it is in place: a later target may fail.
    """
    listener, proofs = listener or Silent(), proofs or Proofs()
    opened = open_cache() if cache and proofs.check_lock is None else None
    if opened is not None:
        found = answer_all(opened, recipes, output_dir, overwrite=overwrite, proofs=proofs, listener=listener)
        if found is not None:
            for artifact in found.artifacts:
                written(artifact)
            return found
    from edgekit import pipeline

    return pipeline.export_recipes(
        recipes, output_dir=output_dir, overwrite=overwrite, proofs=proofs, cache=opened, listener=listener, written=written
    )
