"""Walks a Core AI program: an MLIR module of graphs, of which the public ones are methods and the private ones composite operators.

graph private @layer_norm_xbcolqqs(input, gamma, beta) composite_decl "layer_norm" { reduce_mean ... output }
graph @forward(image) { conv2d ... invoke @layer_norm_xbcolqqs ... output }
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgekit.targets.coreai.toolbox import coreai

_CALLED = re.compile(r'@"?([^">]+)')  # #param.constant<@layer_norm_xbcolqqs> : !param.symbol
_DECLARED = re.compile(r'"([^"]+)"')  # #coreai.composite_declaration<"layer_norm" = {input_names = ...


def load_program(path: Path) -> Any:
    """Return the ``AIProgram`` in an asset. Damaged bytecode ends the process: see :mod:`edgekit.targets.coreai.guard`."""
    # The library takes absolute paths only.
    return coreai().AIModelAsset.load(path.resolve()).program


def module_of(program: Any) -> Any:
    """Return the MLIR module of an ``AIProgram``, which has no public name for it."""
    return program._module._mlir_module  # noqa: SLF001


def graphs_in(program: Any) -> Iterator[Any]:
    """Yield the graphs of a program, in its order."""
    for operation in module_of(program).body.operations:
        if operation.operation.name == "coreai.graph":
            yield operation.operation


def name_of(graph: Any) -> str:
    """Return the symbol a graph is called by."""
    return str(graph.attributes["sym_name"].value)


def is_method(graph: Any) -> bool:
    """Whether a graph can be called from outside."""
    return "priv" not in graph.attributes


def composite_name(graph: Any) -> str:
    """Return what a private graph is, ``layer_norm``; its own symbol where it does not say."""
    found = _DECLARED.search(str(graph.attributes["composite_decl"])) if "composite_decl" in graph.attributes else None
    return found[1] if found else name_of(graph)


def called_by(operation: Any) -> str | None:
    """Return the symbol that an ``invoke`` calls. The bindings only print it."""
    found = _CALLED.search(str(operation.attributes["callee"])) if operation.name == "coreai.invoke" else None
    return found[1] if found else None


def operations_in(operation: Any) -> Iterator[Any]:
    """Yield the operations inside one, and those inside them (branches, loops)."""
    for region in operation.regions:
        for block in region:
            for inner in block.operations:
                yield inner.operation
                yield from operations_in(inner.operation)
