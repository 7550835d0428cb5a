"""``edgekit verify``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.errors import ParityError

if TYPE_CHECKING:
    from edgekit.verification.parity import Parity


def verify(
    artifact: Annotated[Path, typer.Argument(help="An artifact whose manifest lies beside it; with --model, one that edgekit did not write, too.")],
    *,
    model: Annotated[
        str | None,
        typer.Option(help="Where the model's own file lies now: path/to/file.py:factory. Without a manifest: what the artifact has to equal."),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="The checkpoint it was exported with.")] = None,
    atol: Annotated[float | None, typer.Option(help="Largest absolute error allowed, instead of the precision's own limits.")] = None,
    samples: Annotated[int | None, typer.Option(help="On how many inputs, 9 or more; by default as many as its export had.")] = None,
    data: Annotated[
        str | None, typer.Option(help="Of a quantized artifact: the folder of pictures it was exported with.", metavar="DIR|NAME")
    ] = None,
    provenance: Annotated[
        bool, typer.Option("--provenance", help="First hold the statement and the bill of materials beside it to its files and its manifest.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")] = False,
) -> None:
    """Run an artifact against its eager model again, or one that edgekit did not write against the model you name.

    An artifact without a manifest has to take one square RGB picture. It and the model get the same numbers: normalised
    ones, or pixel values 0 to 255 where it takes a picture. Outputs are compared by position.

    \b
    edgekit verify emov2-5m_224_fp32.tflite
    edgekit verify emov2-5m_224_fp32.onnx --weights EMOv2_5M_224.pth --json
    edgekit verify chase-tiny_32_fp32.pte --samples 256
    edgekit verify emov2-5m_224_fp32.tflite --provenance
    edgekit verify emov2-5m_224_w8a8.tflite --data pictures/
    edgekit verify converted_elsewhere.mlpackage --model my_net.py:build
    """
    from edgekit.pipeline import require_parity
    from edgekit.quiet import stdout_to_stderr
    from edgekit.reverify import verify as run
    from edgekit.sentences import describe_parity

    if provenance:
        from edgekit.provenance.check import check_provenance

        check_provenance(artifact)
    with stdout_to_stderr():
        parity = run(artifact, model=model, weights=weights, atol=atol, samples=samples, data=data)
    found = {"artifact": str(artifact), "parity": parity.to_json(), **({"provenance": "checked"} if provenance else {})}
    try:
        require_parity(parity, artifact.name)
        _require_executed(parity, artifact.name)
    except ParityError as error:
        error.details |= found
        raise
    if as_json:
        console.print_json({"schema_version": 1, "command": "verify", **found})
    else:
        console.note(f"{artifact.name}  {describe_parity(parity)}")


def _require_executed(parity: "Parity", name: str) -> None:
    """Stop when nothing was compared: what is not proved must not look like what is.

    :raises ParityError: the artifact could not be run here.
    """
    if parity.verdict == "not_executed":
        raise ParityError(f"{name} was not executed, so nothing is proved", what=parity.reason)
