"""Refuses what is left of sizes and numbers that depend on data, with the user's line, before a vendor's converter sees them."""

from collections.abc import Sequence
from typing import Any

from torch import fx
from torch.export import ExportedProgram
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols

from edgekit.errors import DataDependentError
from edgekit.ops.kept_places import KEPT_PLACES
from edgekit.rewrites.graph import argument, is_call, shape_of, site_of
from edgekit.rewrites.report import RewriteReport
from edgekit.user_code import model_line


def refuse_dynamic(name: str, program: ExportedProgram) -> None:
    """Refuse a program in which a size, or a number in Python's hands, is decided by what a tensor holds.

    :param name: the model's, for the error. :raises DataDependentError: there is one.
    """
    for node in program.graph.nodes:
        if node.op == "call_function" and free_unbacked_symbols(_values(node.meta.get("val"))):
            raise DataDependentError(
                f"cannot export {name}: a size is decided by what a tensor holds",
                what=f"{_operator(node)}{inside(node)}, whose result {_described(node.meta['val'])}",
                where=model_line(node.meta.get("stack_trace")),
                why="an exported graph is static, whatever the target",
                hint="compute on all values and weigh them, torch.where(mask, x, 0), or keep a fixed number of them, x[torch.topk(s, k).indices]",
            )


def refuse_masks_left(name: str, program: ExportedProgram, reports: Sequence[RewriteReport]) -> None:
    """Refuse masks that no rewrite has taken.

    :param name: the model's, for the error. :param reports: of the rewrites, which say why. :raises DataDependentError: there is one.
    """
    reasons = {skip.site: skip.reason for report in reports if report.name.startswith("kept_") for skip in report.skips}
    for node in program.graph.nodes:
        if is_call(node, KEPT_PLACES):
            raise DataDependentError(
                f"cannot export {name}: a boolean mask has no form for this target",
                what=f"a boolean mask of {shape_of(argument(node, 0, 'mask'))[0]} places{inside(node)}",
                where=model_line(node.meta.get("stack_trace")),
                why=reasons.get(site_of(node), "no rewrite for this target looks at masks"),
                hint="select among fewer places, for example by windows or after pooling",
            )


def inside(node: fx.Node) -> str:
    """Return ``, in module.path`` of the module that computes a node; nothing for what the model itself does."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return f", in {stack[-1][0]}" if stack and stack[-1][0] else ""


def _operator(node: fx.Node) -> str:
    return str(node.target).removesuffix(".default")


def _values(value: Any) -> Any:
    return [one for one in (value if isinstance(value, (tuple, list)) else [value]) if one is not None]


def _described(value: Any) -> str:
    depending = next(one for one in _values(value) if free_unbacked_symbols(one))
    shape = getattr(depending, "shape", None)
    return "is a number that depends on the values" if shape is None else f"has the shape ({', '.join(map(str, shape))})"
