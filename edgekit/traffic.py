"""Counts the bytes that a program's operators read and write, from the shapes that its nodes carry.

    add (1, 8, 4, 4) + (1, 8, 4, 4)     512 read twice, 512 written       1,536
    conv with a weight (16, 8, 3, 3)    input, weight and output          each once
    view, unsqueeze, squeeze            only another shape                0
    slice, expand                       what is taken is read and written

A proxy for what a phone's memory carries: each operator by itself, in the program's own float32. Runtimes fuse some of them and compute in fewer
bytes; what they share is that a program which moves more is slower where memory is what it waits for.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

_SAME_BYTES = frozenset({"view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "flatten", "unflatten", "alias", "detach"})
_TAKES_PART = frozenset({"slice", "select", "narrow", "expand", "split", "split_with_sizes", "chunk", "unbind"})


def program_bytes_moved(program: ExportedProgram) -> int | None:
    """Return what one run reads and writes, in bytes; ``None``: a size is decided by what the tensors hold, or a branch is."""
    counts = [_node_bytes(node) for node in program.graph.nodes if node.op == "call_function"]
    return None if None in counts else sum(count for count in counts if count is not None)


def _node_bytes(node: fx.Node) -> int | None:
    operator: Any = node.target
    if not isinstance(operator, torch._ops.OpOverload):  # noqa: SLF001
        # getitem takes one of an operator's results, and nothing moves; a condition moves what its branch does
        return 0 if not isinstance(operator, torch._ops.HigherOrderOperator) else None  # noqa: SLF001
    name = operator.overloadpacket.__name__
    if name in _SAME_BYTES:
        return 0
    written = _bytes_of([node])
    read = written if name in _TAKES_PART else _bytes_of(dict.fromkeys(node.all_input_nodes))
    return None if written is None or read is None else written + read


def _bytes_of(nodes: Iterable[fx.Node]) -> int | None:
    values = [leaf for node in nodes for leaf in pytree.tree_leaves(node.meta.get("val")) if isinstance(leaf, Tensor)]
    sizes = [value.numel() * value.element_size() for value in values]
    return sum(sizes) if all(isinstance(size, int) for size in sizes) else None
