"""Finds the operator that a vendor's message speaks of where the message does not print the node.

Core ML Tools writes ``convert function for op 'kthvalue' not implemented``, ExecuTorch a bare node or operator name;
:mod:`edgekit.targets.failure` reads the form in which torch.fx prints nodes.
"""

import re
from collections.abc import Callable, Iterable, Mapping

from torch.export import ExportedProgram
from torch.fx import Node

from edgekit.errors import LoweringError
from edgekit.targets.failure import in_words, lowering_error, module_path
from edgekit.user_code import user_line

_SHORTEST_NAME = 5  # characters; "add", "to" or "mean" may be plain English
_NAMED = (
    re.compile(r"Unsupported fx node (\w+), kind"),
    re.compile(r"unsupported ATen ops: ((?:[\w.]+(?:, )?)+)\. Use"),
    re.compile(r"^node (\w+) \(\w+\) got"),
)
"""How converters name the node or the operators themselves."""


def operator_name(node: Node) -> str:
    """Return ``quantile`` for ``aten.quantile.default``, or the plain name of a target that is no ATen operator."""
    schema = getattr(node.target, "_schema", None)
    return schema.name.split("::")[-1] if schema is not None else getattr(node.target, "__name__", str(node.target))


def refusal(target: str, node: Node, why: str) -> LoweringError:
    """Return the error for a node that a target has no form for; ``why`` is put into words where its text is known."""
    place = user_line(node.meta.get("stack_trace")) or module_path(node)
    why, hint = in_words(why, operator_name(node))
    what = f"{node.target}, node {node.name}"
    return LoweringError(f"cannot lower to {target}: {operator_name(node)} is in the way", what=what, where=place, why=why, hint=hint)


def blame(target: str, error: Exception, programs: Mapping[str, ExportedProgram]) -> LoweringError:
    """Return an error that names the node which the message of a converter's exception speaks of, if any.

    :param programs: what was being lowered; its nodes carry the user's lines.
    """
    message = str(error)
    node = _named(message, programs.values()) or _spoken_of(message, programs.values())
    if node is None:
        return lowering_error(target, error, programs)
    return refusal(target, node, f"{type(error).__name__}: {message}").explaining(error)


def _named(message: str, programs: Iterable[ExportedProgram]) -> Node | None:
    """Return the node that a converter names, or one that becomes an operator that it names when composite ones are taken apart."""
    named = {name.strip() for pattern in _NAMED if (found := pattern.search(message)) for name in found[1].split(",")}
    if not named:
        return None
    for program in programs:
        for whole in (program, _taken_apart(program)):
            for node in whole.graph.nodes:
                if node.op == "call_function" and (node.name in named or str(node.target) in named):
                    return node
    return None


def _taken_apart(program: ExportedProgram) -> ExportedProgram:
    try:
        return program.run_decompositions({})
    except Exception:  # noqa: BLE001  it only looks for a better place to point at
        return program


def _spoken_of(message: str, programs: Iterable[ExportedProgram]) -> Node | None:
    """Return the first node whose operator stands in quotes, else whose name or operator is a word of the message."""
    nodes = [node for program in programs for node in program.graph.nodes if node.op == "call_function"]
    quoted = set(re.findall(r"['\"]([A-Za-z_]\w*)['\"]", message))
    words = {word for word in re.findall(r"[A-Za-z_]\w*", message) if len(word) >= _SHORTEST_NAME}
    ways: tuple[Callable[[Node], bool], ...] = (
        lambda node: operator_name(node) in quoted,
        lambda node: node.name in words,
        lambda node: operator_name(node) in words,
    )
    return next((node for way in ways for node in nodes if way(node)), None)
