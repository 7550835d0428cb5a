"""``edgekit export``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import console
from edgekit.errors import EdgekitError, UsageError

if TYPE_CHECKING:
    from edgekit.exported import ExportedArtifact, ExportResult
    from edgekit.planner.plan import Plan
    from edgekit.recipe import Recipe


def export(
    model: Annotated[
        str | None, typer.Argument(help="A name from `edgekit models`, or your own: path/to/file.py:factory, package.module:factory.")
    ] = None,
    *,
    target: Annotated[
        list[str] | None, typer.Option("--target", "-t", help="coreml, tflite (or litert), executorch, onnx, coreai; repeat for several.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="fp32, fp16, w8a8, w8a8-dynamic, w8a32, w4a32, palette8, palette6, palette4; see `edgekit targets`.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Checkpoint, .pth or .safetensors. Without one the model is untrained.")] = None,
    resolution: Annotated[int | None, typer.Option(help="Height and width of the input in pixels.")] = None,
    num_classes: Annotated[int | None, typer.Option(help="Width of the logits.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Class names, one a line.")] = None,
    input: Annotated[
        list[str] | None,
        typer.Option(
            help="Core ML: image (8-bit pixels, normalised inside) or tensor (normalised floats). "
            "Your own model: what it is called with, ids=1x6:int64:50; repeat for several.",
            metavar="KIND|NAME=SHAPE:TYPE",
        ),
    ] = None,
    backend: Annotated[str | None, typer.Option(help="ExecuTorch: xnnpack, coreml, vulkan or portable.")] = None,
    deployment_target: Annotated[str | None, typer.Option(help="Core ML: iOS16, iOS17, iOS18 or iOS26.")] = None,
    early_exit: Annotated[str | None, typer.Option(help="Networks with exits: methods (one an exit), select, all, last, exit=K, method=K.")] = None,
    dynamic: Annotated[str | None, typer.Option(help="How many inputs one call may take; ONNX, floats.", metavar="batch=1..N")] = None,
    data: Annotated[
        str | None, typer.Option(help="Pictures to calibrate and judge with: a data set's name, a folder, a CSV file of labels.", metavar="DIR|NAME")
    ] = None,
    num_calibration_samples: Annotated[int | None, typer.Option(help="How many of them choose the ranges of integers. [128]")] = None,
    accuracy_budget: Annotated[
        float | None, typer.Option(help="Points of top-1 accuracy that quantizing may cost; what costs more stays in floats.", metavar="POINTS")
    ] = None,
    sqnr: Annotated[float | None, typer.Option(help="Lowest SQNR of the quantized network's logits, instead of points.", metavar="DB")] = None,
    plan: Annotated[Path | None, typer.Option(help="A plan of what is quantized, as a manifest holds it, instead of a new one.")] = None,
    costs: Annotated[Path | None, typer.Option(help="What operators cost where it will run, from edgekit bench --costs, to plan by.")] = None,
    io: Annotated[str | None, typer.Option(help="LiteRT, w8a8: int8 for inputs and outputs in integers.", metavar="float|int8")] = None,
    atol: Annotated[float | None, typer.Option(help="Largest absolute error allowed, instead of the precision's own limits.")] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="A TOML file that holds the request; --target and --precision choose from one that has several.")
    ] = None,
    output_dir: Annotated[Path, typer.Option("--output-dir", "-o", help="Folder for the artifacts.")] = Path(),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace artifacts that are there.")] = False,
    provenance: Annotated[
        bool, typer.Option("--provenance", help="Leave an in-toto statement and a CycloneDX bill of materials beside each artifact.")
    ] = False,
    lock: Annotated[Path | None, typer.Option(help="Write each artifact's digest, and what made it, into this file.")] = None,
    check_lock: Annotated[
        Path | None, typer.Option(help="Build, and put only artifacts in place that are, byte for byte, those in this lock file.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Build all of it, and keep nothing; see `edgekit cache --help`.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the request and say what would be written.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show errors only.")] = False,
) -> None:
    """Export a model: rewrite, lower, run what was written, compare it with eager, put it in place.

    \b
    edgekit export emov2-5m --target coreml --target tflite --target executorch --target onnx
    edgekit export emov2-1m -t coreml --precision fp32 --input tensor -o build
    edgekit export emov2-5m -t tflite --precision w8a8 --data pictures/ --weights emov2.safetensors
    edgekit export chase-nano -t tflite --precision w8a8 --data cifar10 --accuracy-budget 0.5 --weights nano.safetensors
    edgekit export my_net.py:build -t executorch --resolution 192 --weights my_net.safetensors
    edgekit export my_clip.py:build -t onnx --input image=1x3x224x224 --input ids=1x77:int64:49408
    edgekit export --recipe recipes/emov2-1m.toml -t coreml --check-lock edgekit.lock -o build
    """
    written: list[ExportedArtifact] = []
    try:
        recipes = _recipes(
            recipe,
            model,
            target or [],
            {
                "precision": precision,
                "weights": weights,
                "resolution": resolution,
                "num_classes": num_classes,
                "labels": labels,
                "input": input or None,
                "backend": backend,
                "deployment_target": deployment_target,
                "early_exit": early_exit,
                "dynamic": dynamic,
                "atol": atol,
                "data": data,
                "num_calibration_samples": num_calibration_samples,
                "accuracy_budget": accuracy_budget,
                "sqnr": sqnr,
                "plan": plan,
                "costs": costs,
                "io": io,
            },
        )
        _warn(recipes, quiet=quiet)
        from edgekit.exporting import export_recipes
        from edgekit.provenance.proofs import Proofs
        from edgekit.quiet import stdout_to_stderr

        if dry_run:
            from edgekit import pipeline

            _show_plan(recipes, pipeline.check_request(recipes, output_dir, overwrite=overwrite), as_json=as_json)
            return
        with stdout_to_stderr():
            result = export_recipes(
                recipes,
                output_dir=output_dir,
                overwrite=overwrite,
                proofs=Proofs(provenance=provenance, lock=lock, check_lock=check_lock),
                cache=not no_cache,
                listener=console.StageLines(quiet=quiet),
                written=written.append,
            )
    except EdgekitError as error:
        error.details |= {"model": model, "artifacts": [_artifact(done) for done in written]}
        if not quiet:
            _show_written(written)
        raise
    if as_json:
        console.print_json(_document(result))
    elif not quiet:
        _show(result)


def _recipes(recipe: Path | None, model: str | None, targets: list[str], options: dict[str, Any]) -> "tuple[Recipe, ...]":
    if recipe is not None:
        from edgekit.recipes import load_recipes

        precision = options.pop("precision")
        files = {key: options.pop(key) for key in ("weights", "labels", "data", "plan")}
        given = [name for name, value in {"MODEL": model, **options}.items() if value is not None]
        if given:
            raise UsageError("a recipe holds the request", what=f"also given: {', '.join(given)}", hint="put them into the recipe")
        return load_recipes(recipe, targets=targets, precision=precision, files=files)
    if model is None:
        raise UsageError("no model to export", hint="edgekit models lists them; or give path/to/file.py:factory")
    from edgekit.requests import recipes_for

    return recipes_for(model, targets, **options)


def _warn(recipes: "tuple[Recipe, ...]", *, quiet: bool) -> None:
    """Say before anything heavy is imported which packages are not the ones that edgekit was proved with."""
    from edgekit.doctor import warnings_for

    for text in () if quiet else warnings_for(recipe.target for recipe in recipes):
        console.note(f"WARNING  {text}")


def _show(result: "ExportResult") -> None:
    console.note("")
    _show_written(result.artifacts)
    if result.trained is False:
        console.note("the model is UNTRAINED: its answers mean nothing until it is exported with --weights")
    unproved = [written.target for written in result.artifacts if written.parity.verdict == "not_executed"]
    if unproved:
        console.note(f"NOT EXECUTED, so not proved: {', '.join(unproved)}")


def _show_written(artifacts: "Sequence[ExportedArtifact]") -> None:
    for artifact in artifacts:
        origin = f", from the cache: proved {artifact.proved}" if artifact.proved else ""
        console.note(f"wrote {artifact.path} ({artifact.size_bytes / 1e6:.2f} MB) and its manifest{origin}")
        if artifact.plan is not None:
            _show_blame(artifact.plan, artifact.target)
        for note in artifact.notes:
            console.note(f"  NOTE  {note}")


def _show_blame(plan: "Plan", target: str) -> None:
    from edgekit.quantizing import blame_lines

    if lines := blame_lines(plan):
        console.note(f"  in floats, and what that costs by the table of {target}:")
        for line in lines:
            console.note(f"    {line}")


def _show_plan(recipes: "tuple[Recipe, ...]", paths: list[Path], *, as_json: bool) -> None:
    rows = [{"target": r.target, "precision": r.precision, "path": str(path)} for r, path in zip(recipes, paths, strict=True)]
    if as_json:
        console.print_json({"schema_version": 1, "command": "export", "dry_run": True, "model": recipes[0].model, "artifacts": rows})
        return
    console.print_table(("target", "precision", "would write"), [(row["target"], row["precision"], row["path"]) for row in rows])


def _document(result: "ExportResult") -> dict[str, Any]:
    return {
        "schema_version": 1,
        "command": "export",
        "model": result.model,
        "trained": result.trained,
        "artifacts": [_artifact(written) for written in result.artifacts],
    }


def _artifact(written: "ExportedArtifact") -> dict[str, Any]:
    return {
        "target": written.target,
        "precision": written.precision,
        "path": str(written.path),
        "manifest": str(written.manifest),
        "size_bytes": written.size_bytes,
        "sha256": written.sha256,
        "methods": list(written.methods),
        "seconds": round(written.seconds, 3),
        "rewrites": [
            {"name": r.name, "sites": len(r.sites), "max_error": r.max_error, "skips": [{"site": s.site, "reason": s.reason} for s in r.skips]}
            for r in written.rewrites
        ],
        "delegation": {
            "share": written.delegation.share,
            "not_delegated": dict(written.delegation.not_delegated),
            "subgraphs": written.delegation.subgraphs,
        },
        "parity": written.parity.to_json(),
        "quantization": written.quantization,
        "notes": list(written.notes),
        "from_cache": None if written.proved is None else {"proved": written.proved},
    }
