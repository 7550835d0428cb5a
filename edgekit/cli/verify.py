"""``edgekit verify``."""

from pathlib import Path
from typing import Annotated

import typer

from edgekit.cli import console
from edgekit.errors import ParityError


def verify(
    artifact: Annotated[Path, typer.Argument(help="An artifact that edgekit wrote; its manifest lies beside it.")],
    *,
    model: Annotated[str | None, typer.Option(help="Where the model's own file lies now: path/to/file.py:factory.")] = None,
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
    from edgekit.quiet import stdout_to_stderr
    from edgekit.reverify import verify as run

    with stdout_to_stderr():
        parity = run(artifact, model=model, weights=weights, atol=atol)
    found = {"artifact": str(artifact), "parity": parity.to_json()}
    try:
        require_parity(parity, artifact.name)
    except ParityError as error:
        error.details |= found
        raise
    if as_json:
        console.print_json({"schema_version": 1, "command": "verify", **found})
    else:
        console.note(f"{artifact.name}  {describe_parity(parity)}")
