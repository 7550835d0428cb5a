"""What is decided about together: the nodes of one module that do one kind of work.

    stage1.0.ffn.fc1    linear        one group
    stage1.0.ffn.act    activation    another
    stage1.0            add           what the block itself does between its modules
    features.0          conv          a clamp or a ReLU behind a product goes with it: runtimes compute both at once, and its range is the product's
    stage3.1.norm       norm          its mean, its differences and their products are one piece of work: a variance in 8 bits has lost the small ones

Nodes that only move data belong to no group: they follow what they move.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from attrs import field, frozen
from torch import fx
from torch.export import ExportedProgram

from edgekit.rewrites.graph import site_of

KINDS = ("conv", "depthwise", "linear", "matmul", "add", "mul", "activation", "mean", "pool", "norm", "softmax", "other")
"""Kinds of work, as a cost table lists them."""

_BY_NAME = {
    "conv": ("conv1d", "conv2d", "convolution", "conv_transpose2d"),
    "linear": ("linear", "addmm"),
    "matmul": ("matmul", "bmm", "mm", "baddbmm", "einsum", "scaled_dot_product_attention"),
    "add": ("add", "sub", "rsub"),
    "mul": ("mul", "div"),
    "activation": ("silu", "gelu", "relu", "relu6", "hardswish", "hardsigmoid", "hardtanh", "sigmoid", "tanh", "leaky_relu", "clamp"),
    "mean": ("mean", "sum", "adaptive_avg_pool2d"),
    "pool": ("max_pool2d", "avg_pool2d"),
    "norm": ("layer_norm", "native_layer_norm", "batch_norm", "_native_batch_norm_legit_no_training", "group_norm", "rsqrt", "rms_norm"),
    "softmax": ("softmax", "_softmax", "_safe_softmax", "log_softmax"),
}
_MOVING = (
    *("view", "reshape", "flatten", "unflatten", "permute", "transpose", "t", "squeeze", "unsqueeze", "expand", "clone", "contiguous", "alias"),
    *("detach", "slice", "select", "cat", "stack", "split", "split_with_sizes", "chunk", "unbind", "pad", "constant_pad_nd", "roll", "flip"),
    *("pixel_shuffle", "pixel_unshuffle", "dropout", "_to_copy", "to", "lift_fresh_copy", "_unsafe_view", "view_as", "unfold", "repeat"),
)
CLIPS = frozenset(("relu", "relu6", "hardtanh", "clamp"))
"""What cuts off, and is fused into what is in front of it."""
_CLIPPED = frozenset(("conv", "depthwise", "linear", "matmul", "add"))
_OF_A_NORM = frozenset(("add", "mul", "mean", "linear", "norm"))  # a mean may be written as a product
_KIND_OF = {name: kind for kind, names in _BY_NAME.items() for name in names} | dict.fromkeys(_MOVING, "moving")


@frozen(kw_only=True)
class Group:
    """Nodes of one method that are quantized together or not at all.

    :param path: of the innermost module they come from; of what the model computes between modules, the node's own name.
    :param nodes: names in the captured program, in its order.
    """

    method: str
    path: str
    kind: str
    nodes: tuple[str, ...] = field(repr=False)

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from the others."""
        return self.method, self.path, self.kind

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.path} {self.kind}"


def kind_of(node: fx.Node) -> str | None:
    """Return the kind of work a node does, ``moving`` for one that only moves data, ``None`` for what is no work on floats."""
    value = node.meta.get("val")
    if node.op != "call_function":
        return None
    if not isinstance(value, torch.Tensor):
        return "moving" if isinstance(value, (tuple, list)) else None
    if not value.is_floating_point():
        return None
    name = name_of(node)
    if name == "getitem":
        return "moving"
    kind = _KIND_OF.get(name, "other")
    return "depthwise" if kind == "conv" and _is_depthwise(node) else kind


def groups_of(programs: Mapping[str, ExportedProgram]) -> tuple[Group, ...]:
    """Return the groups of all methods, in the order of their first nodes."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for method, program in programs.items():
        worked = [(node, site_of(node), kind) for node in program.graph.nodes if (kind := kind_of(node)) is not None and kind != "moving"]
        kinds: dict[str, set[str]] = {}
        for _, path, kind in worked:
            kinds.setdefault(path, set()).add(kind)
        norms = {path for path, seen in kinds.items() if "norm" in seen and seen <= _OF_A_NORM}
        keys: dict[fx.Node, tuple[str, str, str]] = {}
        for node, path, kind in worked:
            product = clipped_product(node)
            keys[node] = (method, path, "norm" if path in norms else kind) if product is None else keys[product]
            found.setdefault(keys[node], []).append(node.name)
    return tuple(Group(method=method, path=path, kind=kind, nodes=tuple(nodes)) for (method, path, kind), nodes in found.items())


def clipped_product(node: fx.Node) -> fx.Node | None:
    """Return the product whose values a clip alone reads, and is fused into; ``None`` for any other node."""
    source = node.args[0] if node.args and name_of(node) in CLIPS else None
    alone = isinstance(source, fx.Node) and len(source.users) == 1 and kind_of(source) in _CLIPPED
    return source if alone and isinstance(source, fx.Node) else None


def nodes_of(groups: Sequence[Group], method: str) -> dict[str, Group]:
    """Return the group of each node of a method that is in one."""
    return {node: group for group in groups if group.method == method for node in group.nodes}


def name_of(node: fx.Node) -> str:
    """Return what a node calls: ``conv2d`` for ``aten.conv2d.default``, ``add`` for ``aten.add_.Tensor``, a function's own name."""
    target: Any = node.target
    if isinstance(target, torch._ops.OpOverload):  # noqa: SLF001
        name = str(target._schema.name).rpartition("::")[2]  # noqa: SLF001
        return name if name.startswith("__") else name.rstrip("_")
    return str(getattr(target, "__name__", target))


def _is_depthwise(node: fx.Node) -> bool:
    weight = node.args[1]
    if not isinstance(weight, fx.Node):
        return False
    shape = weight.meta["val"].shape
    source = node.all_input_nodes[0].meta["val"].shape
    return len(shape) == 4 and shape[1] == 1 and source[1] > 1
