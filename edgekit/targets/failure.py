"""Turns a vendor converter's exception into one that names the operator and the user's line."""

import re
from collections.abc import Iterator, Mapping

from torch import fx
from torch.export import ExportedProgram

from edgekit.errors import LoweringError
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
    why = f"{type(error).__name__}: {_first_line(texts[-1])[:_LONGEST_REASON]}"
    found = next((match for text in texts if (match := _NODE.search(text))), None)
    if found is None:
        return LoweringError(f"cannot lower to {target}", why=why)
    name, operator = found[1], found[2]
    place = next((line for text in texts if (line := user_line(text))), None) or _place(programs, name, operator)
    return LoweringError(f"cannot lower to {target}: {operator} is in the way", what=f"{operator}, node {name}", where=place, why=why)


def module_path(node: fx.Node) -> str:
    """Return the dotted path of the innermost module a node came from (``stage1.0.proj``), or the node's own name."""
    stack = node.meta.get("nn_module_stack") or {}
    path = next((path for path, _ in reversed(list(stack.values()))), "")
    return path or node.name


def _place(programs: Mapping[str, ExportedProgram], name: str, operator: str) -> str | None:
    """Return the user's line, or else the module, of the node of this name or of the first call of this operator."""
    nodes = [node for program in programs.values() for node in program.graph.nodes if node.op == "call_function"]
    node = next((n for n in nodes if n.name == name), None) or next((n for n in nodes if str(n.target) == operator), None)
    return None if node is None else user_line(node.meta.get("stack_trace")) or module_path(node)


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no message")
