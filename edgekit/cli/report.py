"""``edgekit report``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import console

if TYPE_CHECKING:
    from edgekit.report.build import Report


def report(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Folders and files of stored results.")],
    *,
    output_dir: Annotated[Path, typer.Option("--output-dir", "-o", help="Where edgekit-report.html and .md go; older ones are replaced.")] = Path(),
    title: Annotated[str, typer.Option(help="The page's heading.")] = "edgekit report",
    regions: Annotated[list[str] | None, typer.Option(help="An IMC-Net whose regions on a photograph are computed and shown.")] = None,
    photograph: Annotated[Path | None, typer.Option(help="With --regions: the photograph; by default one that edgekit brings.")] = None,
    weights: Annotated[Path | None, typer.Option(help="With --regions: a checkpoint. By default untrained weights, and the page says so.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")] = False,
) -> None:
    """Make one self-contained HTML page and the same as Markdown from stored results. Measures nothing.

    Reads manifests of artifacts, policies, stored benchmarks, and what bench, gate, verify,
    policy and device run print with --json or keep.
    What is missing is shown as missing, and what was not executed never as a pass.

    \b
    edgekit report build
    edgekit bench build/*.tflite --json > build/bench.json && edgekit report build -o site
    edgekit report build benchmarks/results --regions imcnet-ti16 --photograph street.jpg
    """
    from edgekit.errors import UsageError
    from edgekit.quiet import stdout_to_stderr
    from edgekit.report.build import build_report

    if not regions and (photograph is not None or weights is not None):
        raise UsageError("--photograph and --weights are for --regions", hint="--regions imcnet-ti16")
    with stdout_to_stderr():
        made = build_report(paths, output_dir=output_dir, title=title, regions=regions or (), photograph=photograph, weights=weights)
    for name, why in made.results.evidence.others:
        console.note(f"not shown: {name}: {why}")
    if as_json:
        console.print_json(_document(made))
        return
    console.note(made.page.made)
    console.note(f"wrote {made.html} and {made.markdown}")


def _document(made: "Report") -> dict[str, Any]:
    results = made.results
    return {
        "schema_version": 1,
        "command": "report",
        "html": made.html,
        "markdown": made.markdown,
        "sections": [section.key for section in made.page.sections],
        "artifacts": [
            {
                "name": row.name,
                "sha256": row.sha256,
                "target": row.target,
                "model": row.model,
                "precision": row.precision,
                "trained": row.trained,
                "status": row.parity.status.replace(" ", "_"),
                "executed_by": row.parity.executed_by,
                "file_date": row.date.isoformat(),
                "size_bytes": row.size_bytes,
            }
            for row in results.artifacts
        ],
        "sources": [{"file": s.name, "kind": s.kind, "file_date": s.date.isoformat(), "sha256": s.sha256} for s in results.evidence.sources],
        "not_shown": [{"file": name, "reason": why} for name, why in results.evidence.others],
    }
