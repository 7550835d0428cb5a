"""A chain of exits -> stages, each a graph that takes what the ones before hand on.

    flat graph   a, c1, p1 = c1 >= t1, l1 │ b, c2, p2 = c2 >= t2, l2 │ d, l3          l2 and d read a

    stage 1      image    a, c1, l1      -> l1, c1, (a,)
    stage 2      a        b, c2, l2      -> l2, c2, (a, b)
    stage 3      a, b     d, l3          -> l3

A stage holds what its predicate and its exit need, and what the program computes before the condition: where its author put it, though
only a later stage may read it. It is handed what it or a later stage reads of
the stages before, and nothing else. What a stage hands on and is also its answer, or was handed to it, is handed on in another shape,
(1, 1, n): formats take two outputs of one value for one, and an output that is an input for none. The operators that only a decision
reads, back to the first with weights, are computed in full precision. Constants keep the names that they have in the model.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from attrs import frozen
from torch import Tensor, fx

from edgekit.conditions.chain import Chain, needed
from edgekit.conditions.decision import Decision
from edgekit.conditions.flat import like_mode
from edgekit.full_precision import mark

_ATEN = torch.ops.aten


@frozen(kw_only=True)
class Part:
    """One stage: the image or features to ``(*answers, *features)``.

    :param answers: how many outputs are not features: logits, and confidence ``(1,)`` float32 where it decides.
    """

    module: fx.GraphModule
    answers: int


def cut(chain: Chain, returned: Sequence[Sequence[Any]], decisions: Sequence[Decision]) -> tuple[Part, ...]:
    """Cut a chain in as many stages as it has exits.

    :param returned: by each exit, values of the flat graph. :param decisions: of each exit but the last.
    """
    order = list(chain.paths.image.graph.nodes)
    wanted = [value for values in returned for value in values if isinstance(value, fx.Node)]
    used = needed([*wanted, *(decision.value for decision in decisions)])
    owner: dict[fx.Node, int] = {chain.paths.image: 0}
    for number, values in enumerate(returned):
        decided = [decisions[number].value] if number < len(decisions) else []
        before = [node for node in order[: chain.exits[number].before] if node in used]
        _claim([*values, *decided, *before], number, owner, chain.paths.constants)
    readers = {node: max((owner.get(user, -1) for user in node.users), default=-1) for node in order}
    # A later exit may return what a stage before computed.
    for number, values in enumerate(returned):
        readers |= {value: max(readers[value], number) for value in values if isinstance(value, fx.Node)}
    stages = []
    given: dict[fx.Node, bool] = {chain.paths.image: False}
    for number, values in enumerate(returned):
        stage = _Stage(chain, given)
        for node in order:
            if owner.get(node) == number:
                stage.copy(node)
        answers = [stage.value(value) for value in values]
        if number < len(decisions):
            answers.append(stage.confidence(decisions[number], answers))
        live = [node for node in order if owner.get(node, number + 1) <= number < readers[node]]
        given = {node: not given[node] if node in given else node in values for node in live}
        stages.append(
            Part(module=stage.finish([*answers, *(stage.handed_on(node, flat=flat) for node, flat in given.items())]), answers=len(answers))
        )
    return tuple(stages)


def _claim(wanted: Sequence[Any], number: int, owner: dict[fx.Node, int], constants: Mapping[fx.Node, tuple[str, Tensor]]) -> None:
    waiting = [value for value in wanted if isinstance(value, fx.Node)]
    while waiting:
        node = waiting.pop()
        if node not in owner and node not in constants:
            owner[node] = number
            waiting += node.all_input_nodes


class _Stage:
    def __init__(self, chain: Chain, given: Mapping[fx.Node, bool]) -> None:
        self.constants = chain.paths.constants
        self.graph = fx.Graph()
        self.made: dict[fx.Node, fx.Node] = {}
        self.used: dict[str, Tensor] = {}
        for node, flat in given.items():
            self.made[node] = self.graph.placeholder(node.name)
            self.made[node].meta = dict(node.meta)
            if flat:
                self.made[node] = self._reshape(self.made[node], list(node.meta["val"].shape))

    def handed_on(self, node: fx.Node, *, flat: bool) -> fx.Node:
        """Return what the next stage is given for a node of the flat graph."""
        return self._reshape(self.made[node], [1, 1, node.meta["val"].numel()]) if flat else self.made[node]

    def _reshape(self, value: fx.Node, shape: list[int]) -> fx.Node:
        made = self.graph.call_function(_ATEN.reshape.default, (value, shape))
        made.meta = dict(value.meta)
        return made

    def value(self, value: Any) -> Any:
        """Return what a value of the flat graph is here."""
        return self.node(value) if isinstance(value, fx.Node) else value

    def node(self, node: fx.Node) -> fx.Node:
        """Return what a node of the flat graph is here: an operator, or a constant."""
        if node not in self.made:
            name, tensor = self.constants[node]
            self.used[name] = tensor
            self.made[node] = self.graph.create_node("get_attr", name)  # fx warns of constants that are not there yet, with get_attr()
            self.made[node].meta = {"val": node.meta["val"]}
        return self.made[node]

    def copy(self, node: fx.Node) -> None:
        """Add an operator of the flat graph."""
        if node not in self.made:
            args, kwargs = fx.map_arg((node.args, node.kwargs), self.node)
            self.made[node] = self.graph.create_node("call_function", node.target, args, kwargs, name=node.name)
            self.made[node].meta = dict(node.meta)

    def confidence(self, decision: Decision, answers: Sequence[Any]) -> fx.Node:
        """Add a decision's number, ``(1,)`` float32."""
        value = self.node(decision.value)
        self._ask_full_precision(value, answers)
        if decision.flipped:
            value = self._call(_ATEN.logical_not.default, value)
        if value.meta["val"].dtype is not torch.float32:
            value = self._call(_ATEN.to.dtype, value, torch.float32)
        if decision.sign < 0:
            value = self._call(_ATEN.neg.default, value)
        return self._call(_ATEN.reshape.default, value, [1])

    def _call(self, target: torch._ops.OpOverload, value: fx.Node, *args: Any) -> fx.Node:
        made = self.graph.call_function(target, (value, *args))
        made.meta = dict(value.meta)
        with like_mode(value):
            made.meta["val"] = target(value.meta["val"], *args)
        mark(made)
        return made

    def _ask_full_precision(self, value: fx.Node, others: Sequence[Any]) -> None:
        """Mark what only the decision reads, back to the first operator with weights."""
        asked = {value}
        for node in reversed(list(self.graph.nodes)):
            only = node in asked or (node.users and set(node.users) <= asked and node not in others)
            if only and node.op == "call_function" and not any(source.op == "get_attr" for source in node.all_input_nodes):
                asked.add(node)
                mark(node)

    def finish(self, outputs: Sequence[Any]) -> fx.GraphModule:
        self.graph.output(tuple(outputs))
        self.graph.lint()
        return fx.GraphModule(self.used, self.graph, class_name="Stage")
