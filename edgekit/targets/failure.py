"""Turns a vendor converter's exception into one that names the operator and the user's line."""

import re
from collections.abc import Iterator, Mapping

from torch import fx
from torch.export import ExportedProgram

from edgekit.errors import LoweringError
from edgekit.explanations import explanation
from edgekit.targets.texts import CONVERTER_TEXTS, OPERATOR_HINTS
from edgekit.user_code import user_line

# How torch.fx prints the node it was at, in litert_torch's and torch.onnx's messages alike.
_NODE = re.compile(r"%(\w+) :.*?call_function\[target=(?:torch\.ops\.)?([\w.]+)\]")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST_REASON = 300


def lowering_error(target: str, error: BaseException, programs: Mapping[str, ExportedProgram]) -> LoweringError:
    """Explain ``error``: the operator and node where the message names one, and where the model calls it.

    :param programs: what was being lowered, by method name; its nodes carry the source lines.
    """
    texts = [_COLOUR.sub("", str(link)) for link in _chain(error)]
    said = f"{type(error).__name__}: {texts[-1]}"
    found = next((match for text in texts if (match := _NODE.search(text))), None)
    if found is None:
        why, hint = in_words(said, None)
        return LoweringError(f"cannot lower to {target}", why=why, hint=hint).explaining(error)
    name, operator = found[1], found[2]
    why, hint = in_words(said, operator)
    place = next((line for text in texts if (line := user_line(text))), None) or _place(programs, name, operator)
    what = f"{operator}, node {name}"
    return LoweringError(f"cannot lower to {target}: {operator} is in the way", what=what, where=place, why=why, hint=hint).explaining(error)


def in_words(said: str, operator: str | None) -> tuple[str, str | None]:
    """Return what a text means and what to try; its first line where nobody knows.

    :param operator: the one in the way, which may have a hint of its own.
    """
    known = explanation(said, CONVERTER_TEXTS)
    own = None if operator is None else explanation(operator, OPERATOR_HINTS)
    why = known.why if known is not None else _first_line(said)[:_LONGEST_REASON]
    if own is None:
        return why, None if known is None else known.hint
    return f"{why}; {own.why}", own.hint


def module_path(node: fx.Node) -> str:
    """Return the dotted path of the innermost module a node came from (``stage1.0.proj``), or the node's own name."""
    stack = node.meta.get("nn_module_stack") or {}
    path = next((path for path, _ in reversed(list(stack.values()))), "")
    return path or node.name


def _place(programs: Mapping[str, ExportedProgram], name: str, operator: str) -> str | None:
    """Return the user's line, or else the module, of the node of this name, of the first call of this operator, or of what it was taken apart from.

    What a converter takes apart itself it often calls after the whole: ``linalg_inv_ex`` of ``linalg_inv``.
    """
    nodes = [node for program in programs.values() for node in program.graph.nodes if node.op == "call_function"]
    node = next((n for n in nodes if n.name == name), None) or next((n for n in nodes if str(n.target) == operator), None)
    node = node or max((n for n in nodes if name.startswith(f"{n.name}_")), key=lambda n: len(n.name), default=None)
    return None if node is None else user_line(node.meta.get("stack_trace")) or module_path(node)


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no message")
