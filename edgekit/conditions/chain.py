"""Which conditions are early exits: those of a tree that is a chain.

    p1 ─┬─ exit 1                           every fork ends the program on one side, and that side costs next to nothing
        └─ p2 ─┬─ exit 2
               └─ the last exit

What a side costs are the multiply-adds that only it needs. An exit may compute its own classifier, up to a tenth of what going on
costs. A condition that is none (two experts, a block that may be skipped) is selected, and the program laid out again.
"""

import math
from collections.abc import Iterable, Iterator

import torch
from attrs import frozen
from torch import Tensor, fx
from torch.export import ExportedProgram

from edgekit.conditions.paths import Fork, Leaf, Paths, TooManyPathsError, Tree, Value, conditions_in, paths_through
from edgekit.macs import node_macs
from edgekit.user_code import model_line

_ATEN = torch.ops.aten
_LARGEST_SHARE = 0.1
"""Of what going on costs, that an exit may cost. The classifiers of MSDNet are up to 5% of the layers behind them."""

_FREE = (
    _ATEN.full.default,
    _ATEN.full_like.default,
    _ATEN.new_full.default,
    _ATEN.new_zeros.default,
    _ATEN.ones.default,
    _ATEN.reshape.default,
    _ATEN.squeeze.default,
    _ATEN.squeeze.dim,
    _ATEN.unsqueeze.default,
    _ATEN.view.default,
    _ATEN.zeros.default,
)


@frozen(kw_only=True)
class Exit:
    """One end of a chain. ``predicate`` is ``None`` at the last, which takes what is left.

    :param condition: in the program. :param before: how many nodes of the flat graph the program computes before it.
    :param leaves_when: the predicate's value with which this exit is taken.
    """

    condition: fx.Node | None = None
    predicate: fx.Node | None = None
    before: int = 0
    leaves_when: bool = True
    outputs: tuple[Value, ...]


@frozen(kw_only=True)
class Selected:
    """A condition that is no exit; ``reason`` is a sentence for people."""

    line: str | None
    reason: str


@frozen(kw_only=True)
class Chain:
    """The exits of a program, at least one: the last. And its conditions that are none."""

    paths: Paths
    exits: tuple[Exit, ...]
    selected: tuple[Selected, ...] = ()


def chain_of(program: ExportedProgram) -> Chain:
    """Lay out a functional program as a chain of exits; conditions that do not fit in are selected."""
    selected: dict[fx.Node, Selected] = {}
    while True:
        try:
            paths = paths_through(program, frozenset(selected))
            found = _exits(paths.tree)
        except TooManyPathsError:
            first = next(node for node in conditions_in(program.graph_module) if node not in selected)
            found = _Misfit(first, "there are too many conditions in a row, of which none ends the forward")
        if not isinstance(found, _Misfit):
            return Chain(paths=paths, exits=found, selected=tuple(selected.values()))
        selected[found.condition] = Selected(line=line_of(found.condition), reason=found.reason)


def without_exits(program: ExportedProgram, reason: str) -> Chain:
    """Lay out a program with all its conditions selected, for this reason."""
    conditions = tuple(conditions_in(program.graph_module))
    paths = paths_through(program, frozenset(conditions))
    assert isinstance(paths.tree, Leaf)  # noqa: S101  nothing forks
    selected = tuple(Selected(line=line_of(condition), reason=reason) for condition in conditions)
    return Chain(paths=paths, exits=(Exit(outputs=paths.tree.outputs),), selected=selected)


def line_of(condition: fx.Node) -> str | None:
    """Return the user's line of a condition."""
    return model_line(condition.meta.get("stack_trace"))


@frozen
class _Misfit:
    condition: fx.Node
    reason: str


def _exits(tree: Tree) -> tuple[Exit, ...] | _Misfit:
    exits: list[Exit] = []
    done: set[fx.Node] = set()
    while isinstance(tree, Fork):
        done |= needed([tree.predicate])
        sides = {side: needed(_read(branch)) - done for side, branch in ((True, tree.true), (False, tree.false))}
        shared = sides[True] & sides[False]  # needed either way, and not yet: whoever comes first computes it
        leaving = _leaving_side(tree, {side: nodes - shared for side, nodes in sides.items()})
        if isinstance(leaving, _Misfit):
            return leaving
        end, rest = (tree.true, tree.false) if leaving else (tree.false, tree.true)
        assert isinstance(end, Leaf)  # noqa: S101  by _leaving_side
        exits.append(Exit(condition=tree.condition, predicate=tree.predicate, before=tree.before, leaves_when=leaving, outputs=end.outputs))
        done |= sides[leaving]
        tree = rest
    return (*exits, Exit(outputs=tree.outputs))


def _leaving_side(fork: Fork, only: dict[bool, set[fx.Node]]) -> bool | _Misfit:
    """Return the predicate's value with which a fork leaves."""
    ends = [side for side, branch in ((True, fork.true), (False, fork.false)) if isinstance(branch, Leaf)]
    cost = {side: _cost(nodes) for side, nodes in only.items()}
    for side in ends:
        if cost[side] <= _LARGEST_SHARE * cost[not side] and cost[not side] > 0:
            return side
    words = " and ".join(f"{int(cost[side]):,}" for side in (True, False))
    if not ends:
        return _Misfit(fork.condition, "neither side of it ends the forward")
    return _Misfit(fork.condition, f"its sides cost {words} multiply-adds; an exit costs at most a tenth of going on")


def _cost(nodes: set[fx.Node]) -> float:
    """Return multiply-adds; of a side that has none, less than one if it computes anything at all."""
    counts = [node_macs(node) for node in nodes if any(isinstance(source.meta.get("val"), Tensor) for source in node.all_input_nodes)]
    if None in counts:
        return math.inf
    total = sum(count for count in counts if count is not None)
    return total or (0.5 if any(node.op == "call_function" and node.target not in _FREE for node in nodes) else 0.0)


def _read(tree: Tree) -> Iterator[fx.Node]:
    """Yield what a tree decides by and returns."""
    if isinstance(tree, Leaf):
        yield from (value for value in tree.outputs if isinstance(value, fx.Node))
        return
    yield tree.predicate
    yield from _read(tree.true)
    yield from _read(tree.false)


def needed(wanted: Iterable[fx.Node]) -> set[fx.Node]:
    """Return nodes and all that they are computed from."""
    found: set[fx.Node] = set()
    waiting = list(wanted)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    return found
