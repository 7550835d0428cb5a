"""``edgekit weights``: official checkpoints."""

from typing import Annotated

import typer

from edgekit.cli import console

weights = typer.Typer(name="weights", help="Official checkpoints of registered models.", no_args_is_help=True, rich_markup_mode=None)


@weights.callback()
def _weights() -> None:
    """Official checkpoints of registered models."""


@weights.command()
def pull(
    model: Annotated[str, typer.Argument(help="emov2-1m, emov2-2m or emov2-5m.")],
    *,
    kd: Annotated[bool, typer.Option("--kd", help="The checkpoint trained with knowledge distillation.")] = False,
    resolution: Annotated[int, typer.Option(help="224, or 512 (emov2-5m with --kd).")] = 224,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")] = False,
) -> None:
    """Download an official checkpoint and check it against its known git blob id; print where it lies.

    \b
    edgekit weights pull emov2-5m
    edgekit export emov2-5m --target coreml --weights "$(edgekit weights pull emov2-5m)"
    """
    from edgekit.models.weights_hub import pull_weights

    with console.byte_bar() as progress:
        path = pull_weights(model, resolution=resolution, kd=kd, progress=progress)
    if as_json:
        console.print_json({"schema_version": 1, "command": "weights pull", "model": model, "path": str(path)})
    else:
        console.line(f"{path}")
