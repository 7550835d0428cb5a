"""Lists the operators inside an XNNPACK payload, so that a delegation share counts operators and not calls.

The payload is a header (``XH00``) and a flatbuffer, ``XNNGraph``; constants lie in the program's named data.
Source: ``backends/xnnpack/serialization/`` of executorch 1.5.1.
"""

import functools
import importlib.resources
import re

from edgekit.quiet import quiet

_HEADER_BYTES = 30
_XNODES = 4 + 2 * 1  # place of the second field in a vtable: two sizes of two bytes, then two bytes a field
_UNION_TYPE = 4


def operators_in(payload: bytes) -> list[str]:
    """Return names such as ``Conv2d`` in execution order.

    :raises ValueError: no XNNPACK payload. :raises Exception: a damaged one; the reader does not check offsets.
    """
    with quiet():
        from executorch.backends.xnnpack.serialization.xnnpack_graph_serialize import XNNHeader
    from flatbuffers.number_types import Uint8Flags
    from flatbuffers.table import Table

    header = XNNHeader.from_bytes(payload[:_HEADER_BYTES])
    graph = memoryview(payload)[header.flatbuffer_offset : header.flatbuffer_offset + header.flatbuffer_size]
    root = Table(graph, int.from_bytes(graph[:4], "little"))
    vector = root.Offset(_XNODES)
    if not vector:
        return []
    names = _union_names()
    found = []
    for index in range(root.VectorLen(vector)):
        node = Table(graph, root.Indirect(root.Vector(vector) + 4 * index))
        found.append(names[node.Get(Uint8Flags, node.Pos + node.Offset(_UNION_TYPE))])
    return found


@functools.cache
def _union_names() -> tuple[str, ...]:
    """Return the union's members by type number, 0 being none, as the installed schema lists them."""
    schema = (importlib.resources.files("executorch.backends.xnnpack.serialization") / "schema.fbs").read_text()
    body = re.search(r"union XNodeUnion \{(.*?)\}", schema, re.DOTALL)
    members = re.findall(r"^\s*XNN(\w+)", body[1], re.MULTILINE) if body else []
    return ("none", *members)
