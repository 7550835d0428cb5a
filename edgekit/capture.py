"""Captures an eager model as an ``ExportedProgram``, and names the user's line where that is not possible."""

import re
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from edgekit.errors import CaptureError
from edgekit.full_precision import mark_full_precision
from edgekit.quiet import quiet
from edgekit.user_code import user_frame, user_line

_BRANCH_HINT = (
    "return torch.cond(confidence > t, exit_now, go_on, (features, logits)), which edgekit splits into methods; or declare the stages of a network "
    "with exits with exit_stages(); or compute both sides and choose with torch.where"
)
_MISFIT = re.compile(r"""call_function cond\(.*: got \w+\(["'](?P<reason>.*)["']\)""")


def capture(name: str, model: nn.Module, example: tuple[Tensor, ...]) -> ExportedProgram:
    """Capture ``model`` for inputs shaped like ``example``; the nodes of modules that ask for full precision are marked.

    :raises CaptureError: ``torch.export`` stops; ``where`` is the line of the user's model.
    """
    try:
        with torch.no_grad(), quiet():
            program = torch.export.export(model, example, strict=False)
    except Exception as error:
        raise _explain(name, error) from error
    mark_full_precision(program, model)
    return program


def _explain(name: str, error: Exception) -> CaptureError:
    where = user_frame(error)
    cause: Any = error
    while cause is not None and where is None:
        where, cause = user_frame(cause) or user_line(str(cause)), cause.__cause__ or cause.__context__
    kind, text = type(error).__name__, str(error)
    if "data-dependent" in text.lower() or "DataDependent" in kind or "GuardOnDataDependent" in text:
        return CaptureError(
            f"cannot capture {name}: its forward depends on a tensor's value",
            what="a Python branch, an index or a shape that is decided by what a tensor holds",
            where=where,
            why="an exported graph is static; torch.export stops where Python needs the value",
            hint=_BRANCH_HINT,
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
    return CaptureError(
        f"cannot capture {name}", what=f"torch.export: {kind}: {first}", where=where, hint="see the line above: it cannot be traced as it stands"
    )
