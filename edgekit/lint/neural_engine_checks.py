"""What finds each of the Neural Engine's rules broken in a Core ML program; the rules are in :mod:`edgekit.lint.neural_engine`.

A check yields one hit a place, with the shapes and types that show it.
"""

from collections.abc import Iterator

import torch

from edgekit.lint.mil_graph import MilGraph, tensors_of
from edgekit.lint.rules import Hit
from edgekit.mil.program import Operator
from edgekit.mil.types import TensorType
from edgekit.targets.coreml.open import node_name

_MAX_RANK = 5
_DTYPES = frozenset({"fp16", "int8", "int16"})
_ALIGNMENT_BYTES = 64
_FEWEST_ELEMENTS = 32  # fp16: 64 bytes
_LARGE_KERNEL = 9  # the published example of a large one; 5 is the published example of a small one
_LARGEST_DILATION = 3  # 2 and 3 are what larger ones are to be factored into
_POOL_STRIDES = (1, 2, 4)
_ELEMENT_BYTES = {"fp16": 2, "fp32": 4, "fp64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1}
_FLOAT_CASTS = {("fp16", "fp32"), ("fp32", "fp16")}
_BETWEEN_NORM_PARTS = frozenset({"add", "sub", "mul", "real_div", "cast", "clip", "maximum", "square"})
_MEANS = frozenset({"reduce_mean", "reduce_sum", "reduce_sum_square"})
_INDEX_OPERATORS = ("topk", "argsort", "reduce_argmax", "reduce_argmin", "gather", "gather_nd", "gather_along_axis", "non_zero")


def _hit(graph: MilGraph, operator: Operator, problem: str, *, hint: str | None = None) -> Hit:
    return Hit(method=graph.method, operator=operator.kind, name=operator.name, problem=problem, node=_node(graph, operator), hint=hint)


def _node(graph: MilGraph, operator: Operator) -> str | None:
    """Return the captured program's node that an operator stands for.

    Core ML Tools gives the node's name away to the function's output, where a cast makes that of the operator's result.
    """
    if not operator.outputs:
        return None
    readers = graph.readers.get(operator.outputs[0].name, ())
    if len(readers) == 1 and readers[0].kind == "cast" and readers[0].outputs[0].name in graph.outputs:
        return readers[0].outputs[0].name
    return node_name(operator)


def _tensors(graph: MilGraph) -> Iterator[tuple[Operator, TensorType]]:
    """Yield every tensor that an operator computes."""
    for operator in graph.operators:
        for tensor in tensors_of(operator):
            yield operator, tensor


def _first_per_operator(hits: Iterator[tuple[Operator, Hit]]) -> Iterator[Hit]:
    """An operator with several results breaks a rule once."""
    seen: set[int] = set()
    for operator, hit in hits:
        if id(operator) not in seen:
            seen.add(id(operator))
            yield hit


def rank(graph: MilGraph) -> Iterator[Hit]:
    """``ane-rank``: tensors of rank 6 and more."""
    return _first_per_operator(
        (operator, _hit(graph, operator, f"a result of rank {len(tensor.shape)}: {tensor}"))
        for operator, tensor in _tensors(graph)
        if len(tensor.shape) > _MAX_RANK
    )


def dtype(graph: MilGraph) -> Iterator[Hit]:
    """``ane-dtype``: values in a type that it does not compute in."""
    return _first_per_operator(
        (operator, _hit(graph, operator, f"computes in {tensor.dtype}"))
        for operator, tensor in _tensors(graph)
        if tensor.dtype not in _DTYPES and operator.kind != "cast"  # casts have a rule of their own
    )


def static(graph: MilGraph) -> Iterator[Hit]:
    """``ane-static-shapes``: shapes that only a run knows."""
    return _first_per_operator(
        (operator, _hit(graph, operator, f"a result whose size is known at run time only: {tensor}"))
        for operator, tensor in _tensors(graph)
        if None in tensor.shape
    )


def interface(graph: MilGraph) -> Iterator[Hit]:
    """``ane-interface-alignment``: inputs and outputs whose last axis is not a multiple of 64 bytes."""
    for side, names in (("input", [value.name for value in graph.function.inputs]), ("output", graph.function.block.outputs)):
        for name in names:
            tensor = graph.tensor(name)
            if tensor is None or not tensor.shape or tensor.shape[-1] is None:
                continue
            size = tensor.shape[-1] * _ELEMENT_BYTES.get(tensor.dtype, 1)
            if size % _ALIGNMENT_BYTES:
                maker = graph.makers.get(name)
                node = None if maker is None else _node(graph, maker)
                yield Hit(method=graph.method, operator=side, name=name, problem=f"{tensor}: rows of {size} bytes", node=node)


def singleton(graph: MilGraph) -> Iterator[Hit]:
    """``ane-singleton-last-axis``: a last axis of size 1."""
    return _first_per_operator(
        (operator, _hit(graph, operator, f"{tensor}: each value is padded to {_ALIGNMENT_BYTES} bytes"))
        for operator, tensor in _tensors(graph)
        if tensor.shape and tensor.shape[-1] == 1 and any(size != 1 for size in tensor.shape)
    )


def narrow(graph: MilGraph) -> Iterator[Hit]:
    """``ane-narrow-last-axis``: a last axis of fewer than 32 elements."""
    return _first_per_operator(
        (operator, _hit(graph, operator, f"{tensor}: {tensor.shape[-1]} elements on the last axis"))
        for operator, tensor in _tensors(graph)
        if tensor.shape and tensor.shape[-1] is not None and 1 < tensor.shape[-1] < _FEWEST_ELEMENTS
    )


def linear(graph: MilGraph) -> Iterator[Hit]:
    """``ane-linear``: linear operators."""
    for operator in graph.operators:
        if operator.kind == "linear":
            yield _hit(graph, operator, "a linear operator")
        elif operator.kind == "matmul" and (graph.is_constant(operator, "x") or graph.is_constant(operator, "y")):
            yield _hit(graph, operator, "a product with stored weights")


def decomposed_norm(graph: MilGraph) -> Iterator[Hit]:
    """``ane-decomposed-norm``: roots whose operand goes back to a mean."""
    for operator in graph.operators:
        if (operator.kind == "rsqrt" or _is_root(graph, operator)) and _comes_from_mean(graph, operator):
            yield _hit(graph, operator, "the root of a mean: part of a normalization written out")


def _is_root(graph: MilGraph, operator: Operator) -> bool:
    if operator.kind == "sqrt":
        return True
    exponent = graph.constant(operator, "y")
    return operator.kind == "pow" and isinstance(exponent, torch.Tensor) and exponent.numel() == 1 and abs(float(exponent)) == 0.5


def _comes_from_mean(graph: MilGraph, operator: Operator) -> bool:
    """Whether what an operator reads goes back to a mean through sums, products and casts."""
    waiting, seen = graph.running(operator), set()
    while waiting:
        maker = waiting.pop()
        if maker.kind in _MEANS:
            return True
        if maker.kind in _BETWEEN_NORM_PARTS and id(maker) not in seen:
            seen.add(id(maker))
            waiting.extend(graph.running(maker))
    return False


def strides(graph: MilGraph) -> Iterator[Hit]:
    """``ane-stride``: strides of convolutions with other prime factors than 2 and 3, or large and unequal."""
    for operator in graph.operators:
        if operator.kind not in ("conv", "conv_transpose"):
            continue
        strides = graph.numbers(operator, "strides")
        if not all(map(_of_twos_and_threes, strides)):
            yield _hit(graph, operator, f"strides {strides}: another prime factor than 2 and 3")
        elif len(set(strides)) > 1 and min(strides) > 2:
            yield _hit(graph, operator, f"strides {strides}: large and not equal")


def dilations(graph: MilGraph) -> Iterator[Hit]:
    """``ane-dilation``: dilations above 3."""
    for operator in graph.operators:
        dilations = graph.numbers(operator, "dilations") if operator.kind in ("conv", "conv_transpose") else []
        if not all(map(_of_twos_and_threes, dilations)):
            hint = "choose a dilation whose prime factors are 2 and 3, then factor it; the model has to be trained again"
            yield _hit(graph, operator, f"dilations {dilations}: another prime factor than 2 and 3", hint=hint)
        elif any(dilation > _LARGEST_DILATION for dilation in dilations):
            yield _hit(graph, operator, f"dilations {dilations}")


def _of_twos_and_threes(number: int) -> bool:
    for factor in (2, 3):
        while number and number % factor == 0:
            number //= factor
    return number == 1


def large_kernel(graph: MilGraph) -> Iterator[Hit]:
    """``ane-large-kernel``: kernels of 9 and more."""
    for operator in graph.operators:
        if operator.kind not in ("conv", "conv_transpose"):
            continue
        kernel = _weight_shape(graph, operator)[2:]
        if any(size >= _LARGE_KERNEL for size in kernel):
            yield _hit(graph, operator, f"a kernel of {' x '.join(map(str, kernel))}")


def _weight_shape(graph: MilGraph, operator: Operator) -> tuple[int, ...]:
    value, tensor = graph.constant(operator, "weight"), graph.operand_tensor(operator, "weight")
    if isinstance(value, torch.Tensor):
        return tuple(value.shape)
    return () if tensor is None else tuple(size or 0 for size in tensor.shape)


def pool_strides(graph: MilGraph) -> Iterator[Hit]:
    """``ane-pool-stride``: strides of pooling other than 1, 2 and 4."""
    for operator in graph.operators:
        if operator.kind not in ("max_pool", "avg_pool", "l2_pool"):
            continue
        strides = graph.numbers(operator, "strides")
        pools_everything = all(size == 1 for tensor in tensors_of(operator) for size in tensor.shape[2:])
        if not pools_everything and any(stride not in _POOL_STRIDES for stride in strides):
            yield _hit(graph, operator, f"strides {strides}")


def infinite(graph: MilGraph) -> Iterator[Hit]:
    """``ane-infinite-mask``: constants of minus infinity."""
    for operator in graph.operators:
        if operator.kind == "clip":  # no bound is a bound of infinity
            continue
        if any(value.is_floating_point() and bool(torch.isneginf(value).any()) for value in graph.constants(operator)):
            yield _hit(graph, operator, "a stored value of minus infinity")


def upcasts(graph: MilGraph) -> Iterator[Hit]:
    """``ane-upcast``: functions that may be lowered through float32."""
    hints = {
        "silu": "none in Core ML: its tools fuse x * sigmoid(x), the form recommended for Core AI, back into silu",
        "tanh": "2 * sigmoid(2 * x) - 1",
        "exp": "keep its result in half precision; softmax as one operator needs none",
    }
    for operator in graph.operators:
        if operator.kind in hints:
            yield _hit(graph, operator, f"{operator.kind} may be computed between casts to float32 and back", hint=hints[operator.kind])


def indices(graph: MilGraph) -> Iterator[Hit]:
    """``ane-indices``: places found by comparing values, and reading at them."""
    for operator in graph.operators:
        if operator.kind not in _INDEX_OPERATORS:
            continue
        selects = operator.kind.startswith("gather")
        if selects and graph.is_constant(operator, "indices"):
            continue
        yield _hit(graph, operator, "selects by computed indices" if selects else "computes indices")


def casts(graph: MilGraph) -> Iterator[Hit]:
    """``ane-cast``: casts between the two float types."""
    for operator in graph.operators:
        tensor = graph.operand_tensor(operator, "x")
        if operator.kind != "cast" or tensor is None or not graph.inputs.isdisjoint(graph.operands(operator)):
            continue
        (result,) = operator.outputs
        to = graph.tensor(result.name)
        only_leaves = result.name in graph.outputs and not graph.readers.get(result.name)
        if to is not None and (tensor.dtype, to.dtype) in _FLOAT_CASTS and not only_leaves:
            yield _hit(graph, operator, f"{tensor.dtype} to {to.dtype} inside the program")


def softmax_axis(graph: MilGraph) -> Iterator[Hit]:
    """``ane-softmax-axis``: softmax over a side of a map."""
    for operator in graph.operators:
        tensor = graph.operand_tensor(operator, "x")
        axes = graph.numbers(operator, "axis")
        if operator.kind == "softmax" and tensor is not None and axes and axes[0] % len(tensor.shape) > 1:
            yield _hit(graph, operator, f"softmax over axis {axes[0] % len(tensor.shape)} of {tensor}")


def moves(graph: MilGraph) -> Iterator[Hit]:
    """``ane-move``: reshapes and transposes that touch the last axis."""
    for operator in graph.operators:
        tensor = graph.operand_tensor(operator, "x")
        if tensor is None or not tensor.shape:
            continue
        if operator.kind == "transpose":
            order = graph.numbers(operator, "perm")
            if order and order[-1] % len(tensor.shape) != len(tensor.shape) - 1:
                yield _hit(graph, operator, f"moves the last axis of {tensor}")
        elif operator.kind == "reshape":
            results = tensors_of(operator)
            if results and results[0].shape and results[0].shape[-1] != tensor.shape[-1]:
                yield _hit(graph, operator, f"{tensor} to {results[0]}: another last axis")
