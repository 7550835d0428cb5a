"""Captures an eager model as an ``ExportedProgram``, and names the user's line where that is not possible."""

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from edgekit.capture_texts import CAPTURE_TEXTS, VALUE_READS
from edgekit.errors import CaptureError
from edgekit.explanations import explanation
from edgekit.full_precision import mark_full_precision
from edgekit.quiet import quiet
from edgekit.user_code import model_line, user_frame, user_line

_MISFIT = re.compile(r"""call_function cond\(.*: got \w+\(["'](?P<reason>.*)["']\)""")


def capture(name: str, model: nn.Module, example: tuple[Tensor, ...], *, largest_batch: int = 1) -> ExportedProgram:
    """Capture ``model`` for inputs shaped like ``example``; the nodes of modules that ask for full precision are marked.

    :param largest_batch: up to how many the first axis of every input may be long; above 1 it is left open.
    :raises CaptureError: ``torch.export`` stops; ``where`` is the line of the user's model.
    """
    try:
        with torch.no_grad(), quiet():
            if largest_batch == 1:
                program = torch.export.export(model, example, strict=False)
            else:
                # Two of each: of a size of 1 the capture would take it that it stays 1.
                pairs = tuple(torch.cat((value, value)) for value in example)
                axes = tuple({0: torch.export.Dim("batch", min=1, max=largest_batch)} for _ in example)
                program = torch.export.export(model, pairs, dynamic_shapes=axes, strict=False)
    except Exception as error:
        raise _explain(name, error).explaining(error) from error
    _refuse_chance(name, program)
    mark_full_precision(program, model)
    return program


def _explain(name: str, error: Exception) -> CaptureError:
    where = user_frame(error)
    cause: Any = error
    while cause is not None and where is None:
        where, cause = user_frame(cause) or user_line(str(cause)), cause.__cause__ or cause.__context__
    kind, text = type(error).__name__, str(error)
    if "data-dependent" in text.lower() or "DataDependent" in kind or "GuardOnDataDependent" in text:
        read = explanation(_code(where), VALUE_READS)
        return CaptureError(
            f"cannot capture {name}: its forward depends on a tensor's value",
            what=None if read is None else read.why,
            where=where,
            why="an exported graph is static; torch.export stops where Python needs the value",
            hint=None if read is None else read.hint,
        )
    if (misfit := _MISFIT.search(text)) is not None:
        return CaptureError(
            f"cannot capture {name}: the branches of a torch.cond do not fit together",
            what=misfit["reason"].partition(" Hint:")[0],
            where=where,
            why="both have to return as many tensors, of the same sizes and types",
            hint="let the branch that has less to do return it in the other's form, for example with torch.zeros",
        )
    first = next((line for line in text.splitlines() if line.strip()), kind)
    if (known := explanation(text, CAPTURE_TEXTS)) is not None:
        return CaptureError(f"cannot capture {name}", what=f"torch.export: {kind}: {first}", where=where, why=known.why, hint=known.hint)
    return CaptureError(
        f"cannot capture {name}", what=f"torch.export: {kind}: {first}", where=where, hint="see the line above: it cannot be traced as it stands"
    )


def _code(where: str | None) -> str:
    """Return the code of a described line."""
    return (where or "").partition("    ")[2]


def _refuse_chance(name: str, program: ExportedProgram) -> None:
    """Refuse a program that draws random numbers: it computes something else each time, and no target draws the same.

    :raises CaptureError: it does.
    """
    for node in _random(program):
        raise CaptureError(
            f"cannot capture {name}: it draws random numbers",
            what=str(node.target).removesuffix(".default"),
            where=model_line(node.meta.get("stack_trace")),
            why="its answer is another one each time, so nothing can be compared with it",
            hint="draw while training only, if self.training; or draw once in __init__ and keep it with register_buffer",
        )


def _random(program: ExportedProgram) -> Iterator[fx.Node]:
    """Yield the nodes that draw; a dropout or attention is one only where it drops."""
    for node in program.graph.nodes:
        if node.op != "call_function" or torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ()):
            continue
        schema = node.target._schema.arguments  # noqa: SLF001
        given = {spec.name: spec.default_value for spec in schema} | {spec.name: value for spec, value in zip(schema, node.args, strict=False)}
        given |= node.kwargs
        if given.get("train", given.get("training", True)) and given.get("p", given.get("dropout_p", True)) not in (0, 0.0):
            yield node
