"""Parts of a network that are computed in float32 whatever precision the artifact has: those whose numbers decide something.

A module says so of itself and all inside it with ``full_precision = True``, a class attribute; so may a user's own.

    module   full_precision = True      operators of its forward      marked when captured, kept by every rewrite
    target   half precision             a marked operator             float32, between casts; its weights stored in half all the same

An error of one step of half precision moves a value by little, but a comparison of two values by all or nothing: scores near 1,
say, are 2**-11 apart in half precision, so those of log-odds 9 and 12 are equal.
"""

import torch
from torch import fx, nn
from torch.export import ExportedProgram

_KEY = "edgekit.full_precision"
_ATEN = torch.ops.aten
_MOVES = frozenset(
    {
        _ATEN.expand.default,
        _ATEN.flatten.using_ints,
        _ATEN.permute.default,
        _ATEN.reshape.default,
        _ATEN.select.int,
        _ATEN.slice.Tensor,
        _ATEN.squeeze.default,
        _ATEN.squeeze.dim,
        _ATEN.transpose.int,
        _ATEN.unsqueeze.default,
        _ATEN.view.default,
    }
)
"""Operators that compute nothing."""


def mark_full_precision(program: ExportedProgram, model: nn.Module) -> None:
    """Mark in place the nodes that the modules of a captured model ask for, and those that only move what they give.

    Otherwise a reshape between two such modules would round.
    """
    paths = {path for path, module in model.named_modules(remove_duplicate=False) if getattr(module, "full_precision", False) is True}
    for node in program.graph.nodes:
        if node.op != "call_function":
            continue
        stack = (node.meta.get("nn_module_stack") or {}).values()
        # A module that is called again appears as path@1.
        asked = any(path.partition("@")[0] in paths for path, _ in stack)
        if asked or (node.target in _MOVES and in_full_precision(node.args[0])):
            mark(node)


def mark(node: fx.Node) -> None:
    """Ask for a node in full precision."""
    node.meta["custom"] = (node.meta.get("custom") or {}) | {_KEY: True}


def in_full_precision(node: fx.Node) -> bool:
    """Whether a node is marked. Marks survive decompositions: torch carries ``custom`` over."""
    return _KEY in (node.meta.get("custom") or {})
