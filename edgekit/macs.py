"""Counts multiply-adds: of an eager module while it runs, and of a program from the shapes that its nodes carry.

    convolution      outputs x kernel x input channels of a group          product of matrices    rows x columns x inner
    attention        its two products                                      everything else        0

``torch.utils.flop_counter`` counts either, at two flops for each multiply-add, so a program and the module it was captured from
compare: sums, norms, activations and softmax are free in both. Of ``torch.cond`` the dearer branch counts.
"""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from attrs import frozen
from torch import Tensor, fx, nn
from torch._subclasses import FakeTensor
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree
from torch.utils.flop_counter import FlopCounterMode


@frozen(kw_only=True)
class Macs:
    """Multiply-adds of one run.

    :param total: ``None``: a size is decided by what the tensors hold, and no tensors were there.
    :param by_module: by dotted path, what is inside the module included; of a module that ran, all of its modules, of a program those
        that still have nodes.
    """

    total: int | None
    by_module: Mapping[str, int | None]

    def at(self, path: str) -> int | None:
        """Return those of one module; the network itself is ``""``."""
        return self.by_module.get(path, 0) if path else self.total


def eager_macs(module: nn.Module, example: tuple[Tensor, ...]) -> Macs:
    """Run a module on ``example`` and count. What depends on data is counted as this example has it."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*(value.clone() for value in example))
    torch.compiler.reset()  # a torch.cond compiles its branches, and torch.export cannot trace what was compiled under a counter
    counts = {name.partition(".")[2]: _macs(sum(flops.values())) for name, flops in counter.get_flop_counts().items()}
    by_module = {path: counts.get(path, 0) for path, _ in module.named_modules() if path}
    return Macs(total=_macs(counter.get_total_flops()), by_module=by_module)


def program_macs(program: ExportedProgram) -> Macs:
    """Count a program without running it: each node's operator is called on tensors that have a shape and no content."""
    counts: list[int | None] = []
    by_module: dict[str, int | None] = {}
    for node in program.graph.nodes:
        if not any(isinstance(source.meta.get("val"), Tensor) for source in node.all_input_nodes) or _is_free(node):
            continue
        counts.append(node_macs(node, program.graph_module))
        for path in {path for path, _ in node.meta.get("nn_module_stack", {}).values()}:
            by_module[path] = added((by_module.get(path, 0), counts[-1]))
    return Macs(total=added(counts), by_module=by_module)


def added(counts: Iterable[int | None]) -> int | None:
    """Add multiply-adds up; with one that is not known among them the sum is not known."""
    known = list(counts)
    return None if None in known else sum(count for count in known if count is not None)


def _is_free(node: fx.Node) -> bool:
    """Whether a node multiplies nothing, as most do: those need not be called."""
    operator: Any = node.target
    if not isinstance(operator, torch._ops.OpOverload):  # noqa: SLF001
        return node.op != "call_function"
    return operator.is_view or torch.Tag.pointwise in operator.tags


def node_macs(node: fx.Node, graph_module: fx.GraphModule | None = None) -> int | None:
    """Count one operator from the shapes of its operands; ``None`` as in :class:`Macs`.

    :param graph_module: holds the branches where it is a condition.
    """

    def value(source: fx.Node) -> Any:
        if source.op == "get_attr":
            return getattr(graph_module, str(source.target))
        held = source.meta["val"]
        return held.detach() if isinstance(held, Tensor) else held  # the counter asks what requires gradients for its history

    args, kwargs = pytree.tree_map_only(fx.Node, value, (node.args, node.kwargs))
    fake_mode = next(leaf.fake_mode for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, FakeTensor))
    fresh_sizes = fake_mode.shape_env.ignore_fresh_unbacked_symbols() if fake_mode.shape_env else contextlib.nullcontext()
    operator: Any = node.target
    with FlopCounterMode(display=False) as counter, fake_mode, fresh_sizes, torch.no_grad():
        operator(*args, **kwargs)
    return _macs(counter.get_total_flops())


def _macs(flops: Any) -> int | None:
    """Return half of the flops; ``None`` for a symbol instead of a number."""
    return flops // 2 if isinstance(flops, int) else None
