"""Finds which operators XNNPACK really takes, by asking the runtime that will do it.

Applying the delegate replaces each part it takes by one DELEGATE node, but keeps the original operators listed.
Such a node's inputs are all that its part reads from outside, so walking from its outputs back to its inputs
meets exactly the operators inside:

    0 CONV_2D  a -> b    1 ARG_MAX  b -> c    2 SOFTMAX  b -> d    3 DELEGATE  a -> b, d        inside: 0, 2
"""

import struct
from collections import Counter
from collections.abc import Sequence
from typing import Any

from attrs import frozen

from edgekit.targets.delegated import Delegation
from edgekit.targets.tflite.flatbuffer import operators_of, parse
from edgekit.targets.tflite.runtime import CannotRunError, ready_interpreter


def delegation_of(content: bytes, graphs: Sequence[int]) -> Delegation:
    """Return what XNNPACK takes of the subgraphs with these indices; no share where LiteRT cannot load the file."""
    model = parse(content)
    taken, subgraphs = 0, 0
    outside: Counter[str] = Counter()
    for index in graphs:
        found = partition_of(content, index)
        if found is None:
            return Delegation(share=None)
        taken += len(found.inside)
        subgraphs += found.delegates
        outside.update(name for position, name in enumerate(operators_of(model, model.Subgraphs(index))) if position not in found.inside)
    total = taken + outside.total()
    return Delegation(share=taken / total if total else None, not_delegated=dict(sorted(outside.items())), subgraphs=subgraphs)


@frozen(kw_only=True)
class Partition:
    """What XNNPACK takes of one subgraph: the positions of the operators, and in how many parts."""

    inside: frozenset[int]
    delegates: int


def partition_of(content: bytes, index: int) -> Partition | None:
    """Return what XNNPACK takes of the subgraph with this index; ``None`` where LiteRT cannot load the file."""
    try:
        interpreter = ready_interpreter(with_first_subgraph(content, index), threads=1)
    except CannotRunError:
        return None
    operators = parse(content).Subgraphs(index).OperatorsLength()
    nodes = _nodes(interpreter)
    delegates = nodes[operators:]
    inside = frozenset(position for delegate in delegates for position in _inside(delegate, nodes[:operators]))
    return Partition(inside=inside, delegates=len(delegates))


@frozen
class _Node:
    """A node of the first subgraph: the tensors it reads and writes, by number."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def _nodes(interpreter: Any) -> list[_Node]:
    """List the first subgraph's nodes; the DELEGATE nodes come after all original operators."""
    native = interpreter._interpreter  # noqa: SLF001 - the only listing there is
    return [_Node(tuple(map(int, native.NodeInputs(index))), tuple(map(int, native.NodeOutputs(index)))) for index in range(native.NumNodes())]


def _inside(delegate: _Node, operators: Sequence[_Node]) -> set[int]:
    """Return the positions of the operators that a DELEGATE node stands for."""
    producer = {tensor: position for position, operator in enumerate(operators) for tensor in operator.outputs}
    borders = set(delegate.inputs)
    waiting = list(delegate.outputs)
    found: set[int] = set()
    while waiting:
        tensor = waiting.pop()
        position = producer.get(tensor)
        if tensor in borders or position is None or position in found:
            continue
        found.add(position)
        waiting.extend(operators[position].inputs)
    return found


def with_first_subgraph(content: bytes, index: int) -> bytes:
    """Return the flatbuffer with subgraph ``index`` and subgraph 0 changing places, without the signatures.

    LiteRT's Python interface lists the nodes of the first subgraph only. A vector of tables is a row of offsets,
    each relative to its own place, so two entries swap by rewriting eight bytes.
    """
    if index == 0:
        return content
    model = parse(content)
    swapped = bytearray(content)
    table = model._tab  # noqa: SLF001 - positions are not offered otherwise
    first = table.Vector(table.Offset(_field(2)))
    places = [first, first + 4 * index]
    targets = [place + struct.unpack_from("<I", content, place)[0] for place in places]
    for place, target in zip(places, reversed(targets), strict=True):
        struct.pack_into("<I", swapped, place, target - place)
    vtable = table.Pos - struct.unpack_from("<i", content, table.Pos)[0]
    struct.pack_into("<H", swapped, vtable + _field(7), 0)  # signature_defs: absent, as they would now name the wrong subgraphs
    return bytes(swapped)


def _field(number: int) -> int:
    """Return the place of a table's field in its vtable: two sizes of two bytes, then one offset of two bytes a field."""
    return 4 + 2 * number
