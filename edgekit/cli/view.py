"""``edgekit view``."""

from pathlib import Path
from typing import Annotated

import typer

from edgekit.cli import console


def view(
    artifact: Annotated[Path, typer.Argument(help="A .tflite, .onnx, .pte or .mlpackage, edgekit's or not.")],
    *,
    viewer: Annotated[str | None, typer.Option("--with", help="netron or model-explorer; by default the first that is installed.")] = None,
) -> None:
    """Open an artifact's graph in Netron or Model Explorer, if one is installed; otherwise say how to get one.

    Nothing is sent anywhere: the viewer serves a page to a browser on this machine, until it is interrupted.

    \b
    edgekit view emov2-5m_224_fp32.tflite
    edgekit view emov2-5m_224_fp16.mlpackage --with netron
    """
    from edgekit.viewers import view as run

    chosen, code = run(artifact, name=viewer)
    if code:
        console.note(f"{chosen.name} ended with {code}")
        raise typer.Exit(code=1)
