"""Every way through a program with conditions, as a tree over one flat graph.

    program   a = f(image);  p = g(a);  c = cond(p, yes, no, (a,));  return h(c)

    tree      p ─┬─ true   h(yes(a))          flat graph   a, p, yes(a), h(yes(a)), no(a), h(no(a))
                 └─ false  h(no(a))

What follows a condition is repeated on either side, knowing which side it is: a second condition on the same predicate, or on
``p | q``, is decided by the first. Only what depends on the condition is there twice. A condition that is *selected* has no sides:

    c = where(p, yes(a), no(a))

Exact: ``where`` takes one of two values as it is, whatever the other. Both branches are computed then.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from attrs import field, frozen
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from edgekit.conditions.flat import FlatGraph
from edgekit.conditions.truths import Known, Truth, assuming, folded, resolved
from edgekit.errors import CaptureError
from edgekit.user_code import model_line

_ATEN = torch.ops.aten
COND = torch.ops.higher_order.cond
_MOST_LEAVES = 64
_COPIES = (_ATEN.alias.default, _ATEN.clone.default, _ATEN.detach.default, _ATEN.lift_fresh_copy.default)
"""Where nothing is written to, a copy is what it is of."""
_VIEWS = (_ATEN.view.default, _ATEN._unsafe_view.default)  # noqa: SLF001
"""Some need the copy before them, for the order of its values in memory; a reshape takes any."""
Value = Any
"""A node of the flat graph, a :class:`Truth`, or a tuple of these."""
Env = Mapping[fx.Node, Value]
Then = Callable[[tuple[Value, ...], Known], "Tree"]


@frozen(eq=False)
class Leaf:
    """An end of the program: what it returns there."""

    outputs: tuple[Value, ...]


@frozen(eq=False)
class Fork:
    """A condition that those before it do not decide.

    :param predicate: in the flat graph. :param before: how many nodes of the flat graph the program computes before it.
    :param condition: in the program.
    """

    predicate: fx.Node
    before: int
    condition: fx.Node
    true: "Tree"
    false: "Tree"


Tree = Leaf | Fork


class TooManyPathsError(Exception):
    """There are more ways through the program than a chain of exits has."""


@frozen(eq=False)
class Paths:
    """The tree; the flat graph's image; and by the other placeholders, the constants: the model's name for each, and its tensor."""

    tree: Tree
    image: fx.Node
    constants: Mapping[fx.Node, tuple[str, Tensor]]


def paths_through(program: ExportedProgram, selected: frozenset[fx.Node] = frozenset()) -> Paths:
    """Lay out a functional program of one input.

    :param selected: conditions of the program that have no sides.
    :raises TooManyPathsError: there are more than 64.
    """
    walk = _Walk(selected)
    specs = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
    env: dict[fx.Node, Value] = {}
    known: dict[fx.Node, bool] = {}
    constants = {}
    image = None
    for node in program.graph.find_nodes(op="placeholder"):
        env[node] = made = walk.flat.placeholder(node)
        target = specs[node.name].target
        if specs[node.name].kind == InputKind.USER_INPUT:
            image = made
            continue
        tensor = program.state_dict[target] if target in program.state_dict else program.constants[target]
        constants[made] = (str(target), tensor)
        if specs[node.name].kind == InputKind.CONSTANT_TENSOR and tensor.dtype is torch.bool and tensor.numel() == 1:
            known[made] = bool(tensor)
    if image is None:
        raise ValueError("a program without an input")
    tree = walk.follow(program.graph_module, 0, env, known, walk.leaf)
    return Paths(tree=tree, image=image, constants=constants)


def conditions_in(module: fx.GraphModule) -> Iterator[fx.Node]:
    """Yield every condition of a graph, those inside branches, too."""
    for node in module.graph.find_nodes(op="call_function", target=COND):
        yield node
        for side in (True, False):
            yield from conditions_in(branch_of(node, side=side))


def branch_of(condition: fx.Node, *, side: bool) -> fx.GraphModule:
    """Return the graph that runs where the predicate has this value."""
    owner, name = condition.graph.owning_module, condition.args[1 if side else 2]
    assert owner is not None and isinstance(name, fx.Node)  # noqa: S101, PT018
    branch: fx.GraphModule = getattr(owner, str(name.target))
    return branch


@frozen
class _Walk:
    selected: frozenset[fx.Node]
    flat: FlatGraph = field(factory=FlatGraph)
    leaves: list[Leaf] = field(factory=list)

    def leaf(self, outputs: tuple[Value, ...], known: Known) -> Tree:
        del known
        self.leaves.append(Leaf(outputs))
        if len(self.leaves) > _MOST_LEAVES:
            raise TooManyPathsError
        return self.leaves[-1]

    def follow(self, module: fx.GraphModule, start: int, env: Env, known: Known, then: Then) -> Tree:
        """Run a graph from its node number ``start`` to its end, then ``then``."""
        here = dict(env)
        for index, node in enumerate(module.graph.nodes):
            if index < start:
                continue
            if node.op == "output":
                returned: Any = node.args[0]
                return then(tuple(resolved(here[value], known) if isinstance(value, fx.Node) else value for value in returned), known)
            if node.op == "call_function" and node.target is not COND:
                here[node] = self._operator(node, here, known)
            if node.op != "call_function" or node.target is not COND:
                continue
            predicate = resolved(here[node.args[0]], known)
            if node in self.selected and not isinstance(predicate, Truth):
                here[node] = self._select(node, predicate, here, known)
                continue

            def after(outputs: tuple[Value, ...], known: Known, node: fx.Node = node, index: int = index) -> Tree:
                return self.follow(module, index + 1, {**here, node: outputs}, known, then)

            if isinstance(predicate, Truth):
                return self._branch(node, here, known, after, side=predicate.value)
            before = len(self.flat.graph.nodes)
            true, false = (self._branch(node, here, assuming(known, predicate, value=side), after, side=side) for side in (True, False))
            return Fork(predicate=predicate, before=before, condition=node, true=true, false=false)
        raise ValueError("a graph without an output")

    def _branch(self, node: fx.Node, env: Env, known: Known, then: Then, *, side: bool) -> Tree:
        branch = branch_of(node, side=side)
        given: Any = node.args[3]
        operands = [env[operand] if isinstance(operand, fx.Node) else operand for operand in given]
        return self.follow(branch, 0, dict(zip(branch.graph.find_nodes(op="placeholder"), operands, strict=True)), known, then)

    def _select(self, node: fx.Node, predicate: fx.Node, env: Env, known: Known) -> tuple[Value, ...]:
        """Compute both branches, and choose."""
        sides = []
        for side in (True, False):
            inside = _Walk(frozenset(conditions_in(branch_of(node, side=side))), self.flat)
            sides.append(inside._branch(node, env, assuming(known, predicate, value=side), inside.leaf, side=side))
        yes, no = (side.outputs for side in sides if isinstance(side, Leaf))
        values = node.meta["val"] if isinstance(node.meta["val"], (tuple, list)) else (node.meta["val"],)
        return tuple(self._where(predicate, *pair, rank=value.dim()) for pair, value in zip(zip(yes, no, strict=True), values, strict=True))

    def _where(self, predicate: fx.Node, yes: Value, no: Value, *, rank: int) -> fx.Node:
        shapes = [tuple(value.meta["val"].shape) if isinstance(value, fx.Node) else value.shape for value in (yes, no)]
        if shapes[0] != shapes[1]:
            raise CaptureError(
                "the branches of a torch.cond return different sizes",
                what=f"{shapes[0]} where the predicate is true, {shapes[1]} where it is false",
                where=model_line(predicate.meta.get("stack_trace")),
                why="the condition is no early exit, so that one of the two is selected",
                hint="return equal sizes from both branches",
            )
        flag = self.flat.call(_ATEN.reshape.default, (predicate, [1] * rank), {}, like=predicate)
        return self.flat.call(_ATEN.where.self, (flag, yes, no), {}, like=predicate)

    def _operator(self, node: fx.Node, env: Env, known: Known) -> Value:
        args, kwargs = _operands(node.args, env, known), _operands(node.kwargs, env, known)
        if node.target is operator.getitem and isinstance(args[0], tuple):
            return args[0][args[1]]
        if node.target in _COPIES and not kwargs:
            return args[0]
        found = folded(node, args)
        if found is not None:
            return found
        if node.target is _ATEN._native_batch_norm_legit_no_training.default:  # noqa: SLF001  rewrites know it by the name it had before
            x, weight, bias, mean, variance, momentum, eps = args
            return (self.flat.call(_ATEN.batch_norm.default, (x, weight, bias, mean, variance, False, momentum, eps, False), {}, like=node),)
        target = _ATEN.reshape.default if node.target in _VIEWS else node.target
        return self.flat.call(target, args, kwargs, like=node, same_value=True)


def _operands(values: Any, env: Env, known: Known) -> Any:
    """Return operands with the nodes of the program replaced by what they are in the flat graph."""
    if isinstance(values, fx.Node):
        return resolved(env[values], known)
    if isinstance(values, (tuple, list)):
        return type(values)(_operands(value, env, known) for value in values)
    if isinstance(values, dict):
        return {name: _operands(value, env, known) for name, value in values.items()}
    return values
