"""``edgekit verify``."""

from pathlib import Path
from typing import Annotated

import typer

from edgekit.cli import console


def verify(
    artifact: Annotated[Path, typer.Argument(help="An artifact that edgekit wrote; its manifest lies beside it.")],
    *,
    weights: Annotated[Path | None, typer.Option(help="The checkpoint it was exported with.")] = None,
    atol: Annotated[float | None, typer.Option(help="Largest absolute error allowed, instead of the precision's own limits.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")] = False,
) -> None:
    """Run an artifact against its eager model again.

    \b
    edgekit verify emov2-5m_224_fp32.tflite
    edgekit verify emov2-5m_224_fp32.onnx --weights EMOv2_5M_224.pth --json
    """
    from edgekit.pipeline import describe_parity, require_parity
    from edgekit.reverify import verify as run

    parity = run(artifact, weights=weights, atol=atol)
    if as_json:
        console.print_json({"schema_version": 1, "command": "verify", "artifact": str(artifact), "parity": parity.to_json()})
    else:
        console.note(f"{artifact.name}  {describe_parity(parity)}")
    require_parity(parity, artifact.name)
