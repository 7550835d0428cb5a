"""``edgekit inspect``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.capabilities import TARGETS
from edgekit.cli import console
from edgekit.cli.places import places_document, show_places, stopped
from edgekit.cli.sites import show_sites, sites_document
from edgekit.errors import UsageError

if TYPE_CHECKING:
    from edgekit.inspection import ArtifactReport, ModelReport


def inspect(
    subject: Annotated[
        str, typer.Argument(metavar="ARTIFACT_OR_MODEL", help="A file edgekit wrote or any other of its formats; or a model to export.")
    ],
    *,
    target: Annotated[list[str] | None, typer.Option("--target", "-t", help="For a model: only these targets.")] = None,
    resolution: Annotated[int | None, typer.Option(help="For a model: height and width in pixels.")] = None,
    input: Annotated[list[str] | None, typer.Option(help="For a model of your own: what it is called with, ids=1x6:int64:50.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="For a model: lower, load and run it, too, without comparing; end with exit code 4 if a target stops.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Look into an artifact (methods, operators, delegation, bytes by section) or a model (what each target would get, and could).

    \b
    edgekit inspect emov2-5m_224_fp32.pte
    edgekit inspect emov2-5m --target executorch
    edgekit inspect my_net.py:build
    edgekit inspect my_net.py:build --target coreml --strict
    """
    from edgekit.quiet import stdout_to_stderr

    if Path(subject).suffix in {facts.suffix for facts in TARGETS} | {".mlmodel"}:  # the last is refused with what it is
        if strict:
            raise UsageError(
                "--strict is for a model", what=f"{subject} is an artifact", hint="edgekit verify runs it, edgekit lint --strict reads it"
            )
        from edgekit.inspection import inspect_artifact

        with stdout_to_stderr():
            found = inspect_artifact(Path(subject))
        console.print_json(_artifact_document(found)) if as_json else _show_artifact(found)
        return
    from edgekit.inspection import inspect_model

    with stdout_to_stderr():
        report = inspect_model(
            subject,
            targets=tuple(target or ()),
            resolution=resolution,
            inputs=", ".join(input or ()) or None,
            strict=strict,
            listener=console.StageLines(quiet=quiet),
        )
    if report.obstacles:
        if not as_json:
            _show_model(report)
        raise stopped(report, _model_document(report))
    console.print_json(_model_document(report)) if as_json else _show_model(report)


def _artifact_document(report: "ArtifactReport") -> dict[str, Any]:
    import attrs

    rest = attrs.asdict(report.inspection)
    head = {"artifact": str(report.path), "target": report.target, "sha256": report.sha256, "size_bytes": report.size_bytes}
    return {"schema_version": 1, "command": "inspect", **head, **rest}


def _show_artifact(report: "ArtifactReport") -> None:
    inspection = report.inspection
    console.line(f"{report.path.name}  {report.target}  {report.size_bytes:,} bytes  sha256 {report.sha256[:16]}...\n")
    for method in inspection.methods:
        takes, gives = (
            ", ".join(f"{t.name} {t.dtype} {'x'.join(map(str, t.shape))} {t.layout}" for t in ts) for ts in (method.inputs, method.outputs)
        )
        console.line(f"{method.name}: {takes} -> {gives}")
    console.line()
    console.print_table(("section", "bytes"), [(name, str(size)) for name, size in inspection.sections.items()])
    if inspection.weights:
        console.line()
        rows = [(row.name, str(row.tensors), str(row.values), str(row.size_bytes), f"{row.bits_per_value:.2f}") for row in inspection.weights]
        console.print_table(("weights", "tensors", "values", "bytes", "bits each"), rows)
    delegation = inspection.delegation
    if delegation.share is not None:
        pieces = "" if delegation.subgraphs is None else f" in {delegation.subgraphs} subgraphs"
        outside = ", ".join(f"{count} {name}" for name, count in delegation.not_delegated.items()) or "nothing"
        console.line(f"\ndelegated {delegation.share:.1%} of the operators{pieces}; outside: {outside}")
    console.line()
    console.print_table(("operator", "count"), [(name, str(count)) for name, count in sorted(inspection.operators.items(), key=lambda row: -row[1])])


def _model_document(report: "ModelReport") -> dict[str, Any]:
    rows = {name: [rewrite.to_json() for rewrite in rewrites] for name, rewrites in report.targets.items()}
    head = {"model": report.model, "resolution": report.resolution, "parameters": report.parameters, "macs": report.macs}
    return {"schema_version": 1, "command": "inspect", **head, "sites": sites_document(report), **places_document(report), "targets": rows}


def _show_model(report: "ModelReport") -> None:
    size = f"{report.resolution}x{report.resolution}  {report.parameters / 1e6:.2f} M parameters"
    macs = "?" if report.macs is None else f"{report.macs / 1e6:,.2f}"
    console.line(f"{report.model}  {size}  {macs} M multiply-adds as written, on the first sample")
    show_sites(report)
    show_places(report)
    for name, reports in report.targets.items():
        console.line(f"\n{name}")
        for r in reports:
            if r.sites or r.skips:
                console.line(f"  {r.name:<36} {len(r.sites):3} sites  {console.shortened(r.sites)}")
            by_reason: dict[str, list[str]] = {}
            for skip in r.skips:
                by_reason.setdefault(skip.reason, []).append(skip.site)
            for reason, sites in by_reason.items():
                console.line(f"      left alone: {console.shortened(sites)}: {reason}")
