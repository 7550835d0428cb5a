"""Gives a program weights that are stored small: in place, before a converter sees it.

    before   w = parameter (O, I, 3, 3)                                                      y = conv2d(x, w)
    after    i = buffer uint8 (O, I, 3, 3)  t = buffer (G, 256)  w = looked_up(i, t)         y = conv2d(x, w)
    or       i = buffer int8 (O, I, 3, 3)   s = buffer (O, B, 1, 1)  w = scaled(i, s, 8)     y = conv2d(x, w)

Weights are those of convolutions and linear layers. What is short stays as it is, as in the vendors' tools: bias, norms, the first
convolution of a small network; it would not make the file smaller, and is what every value goes through.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from attrs import frozen
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec, TensorArgument

from edgekit.full_precision import in_full_precision, mark
from edgekit.quantization import operators  # noqa: F401  it registers them
from edgekit.quantization.integers import to_integers
from edgekit.quantization.palettes import palettize
from edgekit.quantization.scheme import Scheme

_ATEN = torch.ops.aten
READERS = frozenset({_ATEN.conv1d.default, _ATEN.conv2d.default, _ATEN.conv3d.default, _ATEN.linear.default})
"""Operators whose second argument is a weight ``(O, I, ...)``."""
FEWEST = 2048
"""Elements of a weight that is worth it; Core ML Tools has the same limit."""


@frozen(kw_only=True)
class Grain:
    """How finely a format tells the parts of a weight apart.

    :param tables: bytes of tables for a byte of indices, at the most; 0: one table a weight.
    :param entry_bytes: of a table.
    :param block: weights of a row that share a scale where integers have fewer than 8 bits; 0: all of a row.
    """

    tables: float = 0.0
    entry_bytes: int = 2
    block: int = 0


@frozen(kw_only=True)
class _Weight:
    node: fx.Node
    values: np.ndarray
    readers: tuple[fx.Node, ...]


def store_weights(program: ExportedProgram, keeps: Callable[[str], bool], scheme: Scheme, grain: Grain) -> tuple[fx.Node, ...]:
    """Store the weights of a program by a scheme, all but those that a kept node reads; return the nodes that read the others, in order.

    A weight stays as it is, too, where something else reads it, where it is read in full precision and in half, and where it is not finite.
    """
    readers: list[fx.Node] = []
    for weight in list(_weights(program, keeps)):
        operator, parts = _stored(weight.values, scheme, grain)
        _replace(program, weight, operator, parts)
        readers.extend(weight.readers)
    program.graph_module.recompile()
    return tuple(sorted(readers))


def _weights(program: ExportedProgram, keeps: Callable[[str], bool]) -> Iterator[_Weight]:
    targets = {spec.arg.name: str(spec.target) for spec in program.graph_signature.input_specs if spec.kind is not InputKind.USER_INPUT}
    for node in program.graph.find_nodes(op="placeholder"):
        value = program.state_dict.get(targets.get(node.name, ""))
        if not isinstance(value, Tensor) or not value.is_floating_point() or value.ndim < 2 or value.numel() < FEWEST:
            continue
        readers = tuple(node.users)
        reads = all(_reads_weight(reader, node) and not keeps(reader.name) for reader in readers)
        if readers and reads and len({in_full_precision(reader) for reader in readers}) == 1 and bool(value.isfinite().all()):
            yield _Weight(node=node, values=value.detach().float().contiguous().numpy(), readers=readers)


def _reads_weight(reader: fx.Node, weight: fx.Node) -> bool:
    others = (*reader.args[:1], *reader.args[2:], *reader.kwargs.values())
    return reader.target in READERS and reader.args[1:2] == (weight,) and weight not in others


def _stored(values: np.ndarray, scheme: Scheme, grain: Grain) -> tuple[Callable[..., Tensor], dict[str, np.ndarray | int]]:
    if scheme.weights == "palette":
        palette = palettize(values, scheme.weight_bits, groups=_groups(values.shape, scheme.weight_bits, grain))
        return torch.ops.edgekit.looked_up.default, {"indices": palette.indices, "lut": palette.tables}
    width, block = values.shape[1], grain.block if scheme.weight_bits < 8 else 0
    found = to_integers(values, scheme.weight_bits, blocks=width // block if block and width % block == 0 else 1)
    return torch.ops.edgekit.scaled.default, {"integers": found.integers, "scales": found.scales, "bits": scheme.weight_bits}


def _groups(shape: tuple[int, ...], bits: int, grain: Grain) -> int:
    """Return into how many groups the rows are split, the most whose tables are not too large."""
    rows = shape[0]
    table = (1 << bits) * grain.entry_bytes
    indices = int(np.prod(shape)) * bits / 8
    return max((count for count in range(1, rows + 1) if rows % count == 0 and count * table <= grain.tables * indices), default=1)


def _replace(program: ExportedProgram, weight: _Weight, operator: Callable[..., Tensor], parts: Mapping[str, np.ndarray | int]) -> None:
    given = [
        value if isinstance(value, int) else add_constant(program, f"{weight.node.name}_{part}", torch.from_numpy(value))
        for part, value in parts.items()
    ]
    with program.graph.inserting_before(min(weight.readers)):
        node = program.graph.call_function(operator, tuple(given), name=f"{weight.node.name}_stored")
    node.meta["val"] = weight.node.meta["val"]
    if in_full_precision(weight.readers[0]):
        mark(node)
    for reader in weight.readers:
        reader.replace_input_with(weight.node, node)
    _remove_constant(program, weight.node)


def add_constant(program: ExportedProgram, name: str, tensor: Tensor) -> fx.Node:
    """Add a buffer before all other inputs."""
    graph = program.graph
    first = next(iter(graph.nodes))
    fake_mode = next(node.meta["val"].fake_mode for node in graph.nodes if hasattr(node.meta.get("val"), "fake_mode"))
    with graph.inserting_before(first):
        node: fx.Node = graph.placeholder(name)
    node.meta["val"] = fake_mode.from_tensor(tensor, static_shapes=True)
    target = f"edgekit_{name}"
    program.state_dict[target] = tensor
    program.graph_signature.input_specs.insert(
        0, InputSpec(kind=InputKind.BUFFER, arg=TensorArgument(name=node.name), target=target, persistent=True)
    )
    return node


def _remove_constant(program: ExportedProgram, node: fx.Node) -> None:
    """Remove the input of a parameter that nothing reads any more; the tensor stays, other programs may hold the same dictionary."""
    specs = program.graph_signature.input_specs
    specs.remove(next(spec for spec in specs if spec.arg.name == node.name))
    program.graph.erase_node(node)
