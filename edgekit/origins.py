"""Where the nodes of a program come from: module and source line, as a compact table that a manifest carries.

    {"modules": ["stem.conv", ...], "lines": ["emov2.py:88, in forward", ...],
     "nodes": {"forward": {"conv2d": [0, 0], "mean": [null, 4]}}}

By method, because two methods may give one name to different nodes. A method's outputs are there too, under their own
names. A line is the file's name and a number, never a path; what is not known is null.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import field, frozen
from torch import fx
from torch.export import ExportedProgram

from edgekit.errors import ArtifactError
from edgekit.user_code import model_line

_CODE = "    "  # stands between a line's place and its code in what model_line gives


@frozen(kw_only=True)
class Origin:
    """Module path and source line (``file.py:88, in forward``); ``None`` where unknown."""

    module: str | None = None
    line: str | None = None


@frozen
class Origins:
    """Origins by method and node."""

    methods: Mapping[str, Mapping[str, Origin]] = field(factory=dict)

    def of_node(self, method: str, node: str) -> Origin:
        """Return a node's origin. Formats may name an only method otherwise (``main``), so one that is alone answers to any name."""
        return self._of(method).get(node, Origin())

    def of_module(self, method: str, path: str) -> Origin:
        """Return the origin of all that a module computes: its line is known where all its nodes come from one."""
        found = {origin for origin in self._of(method).values() if origin.module == path}
        return found.pop() if len(found) == 1 else Origin(module=path if found else None)

    def _of(self, method: str) -> Mapping[str, Origin]:
        if len(self.methods) == 1:
            return next(iter(self.methods.values()))
        return self.methods.get(method, {})


def origins_table(programs: Mapping[str, ExportedProgram], outputs: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the table for a manifest, in the order of the nodes, so that equal programs give equal tables.

    :param outputs: by method, what its outputs are called in the artifact, in the program's order.
    """
    modules: dict[str, int] = {}
    lines: dict[str, int] = {}
    nodes: dict[str, dict[str, list[int | None]]] = {}
    for method, program in programs.items():
        nodes[method] = {
            node.name: [_index(modules, _module(node)), _index(lines, _line(node))]
            for node in program.graph.nodes
            if node.op == "call_function" and (_module(node) or _line(node))
        }
        returned = zip(outputs[method], program.graph_signature.user_outputs, strict=False)  # a classifier returns more than its method
        nodes[method] |= {name: nodes[method][str(node)] for name, node in returned if str(node) in nodes[method]}
    return {"modules": list(modules), "lines": list(lines), "nodes": nodes}


def _index(places: dict[str, int], text: str | None) -> int | None:
    return None if text is None else places.setdefault(text, len(places))


def _module(node: fx.Node) -> str | None:
    """Return the path of the innermost module; ``None`` for what the model itself computes between its modules."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return (stack[-1][0] or None) if stack else None


def _line(node: fx.Node) -> str | None:
    line = model_line(node.meta.get("stack_trace"))
    return None if line is None else line.partition(_CODE)[0]


def origins_from_json(table: Any) -> Origins:
    """Read a table back.

    :raises ArtifactError: not of that form.
    """
    try:
        modules, lines = _texts(table["modules"]), _texts(table["lines"])
        methods = {
            str(method): {str(node): Origin(module=_text(modules, module), line=_text(lines, line)) for node, module, line in _rows(nodes)}
            for method, nodes in table["nodes"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ArtifactError(
            "the manifest's origins cannot be read", why=f"{type(error).__name__}: {error}", hint="export again with --overwrite"
        ) from error
    return Origins(methods)


def _rows(nodes: Any) -> Iterator[tuple[Any, Any, Any]]:
    for node, (module, line) in nodes.items():
        yield node, module, line


def _texts(values: Any) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("modules and lines are lists of texts")
    return values


def _text(texts: list[str], index: Any) -> str | None:
    if index is None:
        return None
    if type(index) is not int or index < 0:
        raise ValueError(f"{index!r} is no place in a list")
    return texts[index]
