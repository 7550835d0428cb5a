"""Moves in a row inside an XNNPACK payload -> one move, or none.

    before   b = transpose(a, NHWC to NCHW)   c = transpose(b, NCHW to NHWC)   f(c)
    after    f(a)

XNNPACK's convolutions have channels last. The partitioner hands everything else NCHW tensors, and writes a transpose
wherever the two meet; where the program itself moves the channels to the end, two transposes stand in a row that
together move nothing, each a copy of the whole map. They exist only in the payload, so they are removed there: this is
the one rewrite that a target makes on its own, and the run that follows every export proves it. On EMOv2-5m at 224
pixels 74 of 114 transposes stay; 15.0 ms against 15.2 in one interleaved run on one core, and 40 operators less to store.

    transpose(transpose(x, p), q)  ->  transpose(x, p[q]), or x        reshape(reshape(x))  ->  reshape(x)
    pad(transpose(x, p))  ->  transpose(pad(x), p)                     slice, and a sum with a constant, alike: so transposes meet
    slice(slice(x))  ->  slice(x)
    transpose(constant (1, C, 1, 1))  ->  constant (1, 1, 1, C): the same bytes
"""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from edgekit.targets.executorch.joins import align_joins
from edgekit.targets.executorch.lookups import use_tables


@contextlib.contextmanager
def peephole() -> Iterator[None]:
    """Use tables, align joins and merge moves in every XNNPACK payload written inside the block. Not for two threads at once."""
    from executorch.backends.xnnpack import xnnpack_preprocess

    module: Any = xnnpack_preprocess
    serialize = module.serialize_xnnpack_binary

    def merged(graph: Any, constants: Any) -> Any:
        use_tables(graph)
        align_joins(graph)
        merge_moves(graph)
        return serialize(graph, constants)

    module.serialize_xnnpack_binary = merged
    try:
        yield
    finally:
        module.serialize_xnnpack_binary = serialize


def merge_moves(graph: Any) -> int:
    """Merge transposes and reshapes in a row in an ``XNNGraph``, in place; return how many operators went."""
    before = len(graph.xnodes)
    _turn_constant_vectors(graph)
    _sink_transposes(graph)
    makers = {node.xnode_union.output_id: node.xnode_union for node in graph.xnodes if _is_move(node.xnode_union)}
    same: dict[int, int] = {}
    for node in graph.xnodes:
        operation = node.xnode_union
        for field in _inputs(operation):
            setattr(operation, field, same.get(getattr(operation, field), getattr(operation, field)))
        if not _is_move(operation):
            continue
        maker = makers.get(operation.input_id)
        if maker is not None and type(maker) is type(operation):
            if _is_transpose(operation):
                operation.perm = [maker.perm[axis] for axis in operation.perm]
            elif _is_slice(operation):
                operation.offsets = [first + second for first, second in zip(maker.offsets, operation.offsets, strict=True)]
            operation.input_id = maker.input_id
        moves_nothing = _is_transpose(operation) and operation.perm == sorted(operation.perm)
        if moves_nothing and operation.output_id not in graph.output_ids:
            same[operation.output_id] = operation.input_id
    _drop_unread(graph)
    return before - len(graph.xnodes)


def _turn_constant_vectors(graph: Any) -> None:
    """Give constants with one axis longer than 1 the shape that every reader transposes them to."""
    values = {_tensor(value).id_out: _tensor(value) for value in graph.xvalues}
    readers: dict[int, list[Any]] = {}
    for node in graph.xnodes:
        for field in _inputs(node.xnode_union):
            readers.setdefault(getattr(node.xnode_union, field), []).append(node.xnode_union)
    for identifier, tensor in values.items():
        by = readers.get(identifier, [])
        if not tensor.constant_buffer_idx or sum(size != 1 for size in tensor.dims) != 1:
            continue
        if by and all(_is_transpose(reader) and reader.perm == by[0].perm for reader in by):
            tensor.dims = [tensor.dims[axis] for axis in by[0].perm]
            for reader in by:
                reader.perm = list(range(len(tensor.dims)))


def _sink_transposes(graph: Any) -> None:
    """Move a transpose behind its only reader, where that pads, slices or combines it with a constant; in order, so through several."""
    values = {_tensor(value).id_out: value.xvalue_union for value in graph.xvalues}
    tensors = {_tensor(value).id_out: _tensor(value) for value in graph.xvalues}
    read = Counter(getattr(node.xnode_union, field) for node in graph.xnodes for field in _inputs(node.xnode_union))
    at = {node.xnode_union.output_id: index for index, node in enumerate(graph.xnodes) if _is_transpose(node.xnode_union)}
    for index, node in enumerate(graph.xnodes):
        reader = node.xnode_union
        name = type(reader).__name__
        if name not in _AXIS_FIELDS and name not in _ELEMENTWISE:
            continue
        operand = "input_id" if name in _AXIS_FIELDS else "input1_id"
        place = at.get(getattr(reader, operand))
        if place is None:
            continue
        transpose = graph.xnodes[place].xnode_union
        between, result = transpose.output_id, reader.output_id
        if read[between] != 1 or between in graph.output_ids:
            continue
        if name in _ELEMENTWISE:
            # The other operand has to come through the same transpose, from something that is there from the start.
            other = at.get(reader.input2_id)
            second = None if other is None else graph.xnodes[other].xnode_union
            if second is None or second.perm != transpose.perm or second.input_id not in graph.input_ids or read[second.output_id] != 1:
                continue
            reader.input2_id = second.input_id
        for field in _AXIS_FIELDS.get(name, ()):  # axis i of the transpose's result is axis perm[i] of its input
            setattr(reader, field, _turned(getattr(reader, field), transpose.perm))
        tensors[between].dims = _turned(tensors[result].dims, transpose.perm)
        if hasattr(values[result], "quant_params"):  # the value in between is now the reader's result, not yet moved
            values[between].quant_params = values[result].quant_params
        setattr(reader, operand, transpose.input_id)
        reader.output_id, transpose.input_id, transpose.output_id = between, between, result
        # They trade places; what stood between neither read nor wrote their values.
        graph.xnodes[place], graph.xnodes[index] = graph.xnodes[index], graph.xnodes[place]
        del at[between]
        at[result] = index


_ELEMENTWISE = ("XNNAdd", "XNNMultiply", "XNNSubtract")
_AXIS_FIELDS = {"XNNStaticConstantPad": ("pre_paddings", "post_paddings"), "XNNStaticSlice": ("offsets", "sizes")}


def _turned(values: list[int], perm: list[int]) -> list[int]:
    """Return one value an axis, given for a transpose's result, in the order of its input."""
    turned = [0] * len(perm)
    for axis, source in enumerate(perm):
        turned[source] = values[axis]
    return turned


def _drop_unread(graph: Any) -> None:
    """Remove moves nobody reads, from the end backwards, and the values that no operator mentions any more."""
    read = Counter(getattr(node.xnode_union, field) for node in graph.xnodes for field in _inputs(node.xnode_union))
    kept = []
    for node in reversed(graph.xnodes):
        operation = node.xnode_union
        if _is_move(operation) and not read[operation.output_id] and operation.output_id not in graph.output_ids:
            read[operation.input_id] -= 1
        else:
            kept.append(node)
    graph.xnodes[:] = kept[::-1]
    mentioned = {value for node in graph.xnodes for name, value in vars(node.xnode_union).items() if name.endswith("_id")}
    mentioned.update(graph.input_ids, graph.output_ids)
    graph.xvalues[:] = [value for value in graph.xvalues if _tensor(value).id_out in mentioned]


def _is_transpose(operation: Any) -> bool:
    return type(operation).__name__ == "XNNStaticTranspose"


def _is_slice(operation: Any) -> bool:
    return type(operation).__name__ == "XNNStaticSlice"


def _is_move(operation: Any) -> bool:
    return type(operation).__name__ in ("XNNStaticTranspose", "XNNStaticReshape", "XNNStaticSlice")


def _inputs(operation: Any) -> list[str]:
    return [name for name in vars(operation) if name.endswith("_id") and not name.startswith("output")]


def _tensor(value: Any) -> Any:
    """Return the tensor part of a value, quantized or not."""
    return getattr(value.xvalue_union, "tensor_value", value.xvalue_union)
