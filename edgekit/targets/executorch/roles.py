"""What XNNPACK has 8-bit kernels for, and which nodes of a captured program get them.

    products     conv2d, linear with constant weights        integers: what quantizing is for
    lookups      gelu, sigmoid, tanh, hardswish              a table of 256 bytes: cheaper than in floats by far
    pairs        add, sub, mul of two values
    clamps       relu, relu6, hardtanh: free behind a product
    moves        permute, reshape, slice, pad, cat, pooling  keep scale and zero point
    a cat of cats stays floats: all of CHASE's in one scale stop XNNPACK (executorch 1.5.1) with "Propagating input shapes failed"
    statistics   a layer norm, and the sums it is of, stay floats: a square of 8 bits has no more than 4 behind a root
    pixels       what rescales them before the first product stays floats: a few of the cheapest operators, and all else depends on them
    the rest     matmul of two values, softmax: XNNPACK computes these in floats alone

Costs are nanoseconds for 1,000 elements of the result, estimated from a few runs of executorch 1.5.1 with AVX-512; only their ratios matter.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import fx

from edgekit.full_precision import in_full_precision
from edgekit.quantization.islands import Cost, integer_operators

_ATEN = torch.ops.aten
PRODUCTS = frozenset({_ATEN.conv2d.default, _ATEN.linear.default})
PAIRS = frozenset({_ATEN.add.Tensor, _ATEN.sub.Tensor, _ATEN.mul.Tensor})
CLAMPS = frozenset({_ATEN.relu.default, _ATEN.relu6.default, _ATEN.hardtanh.default})
LOOKUPS = {_ATEN.gelu.default: 650.0, _ATEN.sigmoid.default: 400.0, _ATEN.tanh.default: 400.0, _ATEN.hardswish.default: 150.0}
MOVES = frozenset(
    {
        _ATEN.permute.default,
        _ATEN.transpose.int,
        _ATEN.reshape.default,
        _ATEN.view.default,
        _ATEN.flatten.using_ints,
        _ATEN.unsqueeze.default,
        _ATEN.squeeze.dim,
        _ATEN.squeeze.dims,
        _ATEN.slice.Tensor,
        _ATEN.pad.default,
        _ATEN.constant_pad_nd.default,
        _ATEN.cat.default,
        _ATEN.max_pool2d.default,
    }
)
MEANS = frozenset({_ATEN.mean.dim, _ATEN.adaptive_avg_pool2d.default})
_ROOTS = frozenset({_ATEN.rsqrt.default, _ATEN.sqrt.default})
_NEVER = float("inf")
_CONVERSION = 100.0


def integer_nodes(graph: fx.Graph, kept: Iterable[str]) -> list[fx.Node]:
    """Return the nodes that compute in integers, in the graph's order.

    :param graph: of a module: parameters are attributes of it.
    :param kept: names of nodes that stay in floats whatever they cost.
    """
    kept = set(kept)
    nodes = [node for node in graph.nodes if node.op == "call_function" and _is_float(node)]
    still = {node for node in nodes if node.name in kept or in_full_precision(node)} | statistics(nodes)
    still |= {node for node in before_products(graph) if node.target not in MOVES} | set(cats_of_cats(nodes))
    costs = {node.name: Cost(_NEVER, 0.0) if node in still else _cost(node) for node in nodes}
    conversions = [(source.name, node.name, _CONVERSION * _size(source)) for node in nodes for source in values_read(node) if source.name in costs]
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    costs |= {node.name: Cost(_NEVER, 0.0) for node in inputs}
    conversions += [(node.name, user.name, _CONVERSION * _size(node)) for node in inputs for user in node.users if user.name in costs]
    chosen = integer_operators(costs, conversions)
    return [node for node in nodes if node.name in chosen]


def before_products(graph: fx.Graph) -> set[fx.Node]:
    """Return the nodes whose value no product takes part in."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        if node.target not in PRODUCTS and found.issuperset(values_read(node)):
            found.add(node)
    return found


def cats_of_cats(nodes: Iterable[fx.Node]) -> list[fx.Node]:
    """Return the concatenations that read the result of another."""
    return [node for node in nodes if node.target == _ATEN.cat.default and any(source.target == _ATEN.cat.default for source in values_read(node))]


def values_read(node: fx.Node) -> list[fx.Node]:
    """Return what a node reads that is computed, without constants."""
    return [source for source in node.all_input_nodes if source.op != "get_attr"]


def clamp_behind(node: fx.Node) -> fx.Node | None:
    """Return the clamp that XNNPACK computes together with a product, if one follows."""
    user = next(iter(node.users), None)
    return user if user is not None and len(node.users) == 1 and node.target in PRODUCTS and user.target in CLAMPS else None


def statistics(nodes: Iterable[fx.Node]) -> set[fx.Node]:
    """Return what makes up the norms that are spelled in arithmetic: from the sums they are of to the product with a root's reciprocal.

    The sums are those of a network's residuals. In floats they cost an addition of floats for one of integers, no conversion more, and every
    block behind them is spared a rounding.
    """
    found: set[fx.Node] = set()
    for root in (node for node in nodes if node.target in _ROOTS):
        found.update((root, *root.users))
        todo = list(root.all_input_nodes)
        while todo:
            node = todo.pop()
            if node not in found and (node.target in PAIRS or _is_average(node)):
                found.add(node)
                todo += values_read(node)
    return found


def _is_average(node: fx.Node) -> bool:
    """Whether a node is a product with one result for each place, as the forms of layer norm have them."""
    return node.target in PRODUCTS and weight_shape(node)[0] == 1


def weight_shape(node: fx.Node) -> tuple[int, ...]:
    """Return the shape of a product's weight."""
    weight = node.args[1]
    return tuple(weight.meta["val"].shape) if isinstance(weight, fx.Node) else ()


def _cost(node: fx.Node) -> Cost:
    """Return what a node costs in either; a product has to be integers if it can be."""
    size = _size(node)
    if node.target in PRODUCTS:
        constant = isinstance(node.args[1], fx.Node) and node.args[1].op == "get_attr"
        return Cost(0.0, _NEVER) if constant else Cost(_NEVER, 0.0)
    if node.target in LOOKUPS:
        return Cost(50.0 * size, LOOKUPS[node.target] * size)
    if node.target in PAIRS and len(node.args) == 2 and all(isinstance(part, fx.Node) for part in node.args) and not node.kwargs:
        return Cost(60.0 * size, 200.0 * size)
    if node.target in CLAMPS or (node.target in MOVES and _keeps_zero(node)):
        return Cost(50.0 * size, 150.0 * size)
    if node.target in MEANS and _over_map(node):
        read = sum(_size(source) for source in values_read(node))
        return Cost(30.0 * read, 60.0 * read)
    return Cost(_NEVER, 0.0)


def _keeps_zero(node: fx.Node) -> bool:
    """Whether a move fills with nothing but zeros, and between nothing but floats."""
    if node.target == _ATEN.pad.default:
        return node.args[2:3] in ((), ("constant",)) and (node.args[3:4] or (None,))[0] in (None, 0, 0.0)
    if node.target == _ATEN.constant_pad_nd.default:
        return bool((node.args[2:3] or (0,))[0] == 0)
    return True


def _over_map(node: fx.Node) -> bool:
    """Whether a mean is over the sides of a map and keeps them, the one that XNNPACK has."""
    if node.target == _ATEN.adaptive_avg_pool2d.default:
        return tuple(node.args[1]) == (1, 1)  # type: ignore[arg-type]
    axes = sorted(axis % 4 for axis in node.args[1])  # type: ignore[union-attr, operator]
    return len(values_read(node)[0].meta["val"].shape) == 4 and axes == [2, 3] and node.args[2:3] == (True,) and not node.kwargs


def _is_float(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.dtype == torch.float32 and all(_float_operands(node))


def _float_operands(node: fx.Node) -> Iterator[bool]:
    for source in node.all_input_nodes:
        value = source.meta.get("val")
        yield isinstance(value, torch.Tensor) and value.dtype == torch.float32


def _size(node: fx.Node) -> float:
    """Return a value's number of elements, in thousands."""
    return float(node.meta["val"].numel()) / 1000
