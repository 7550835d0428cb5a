"""Takes out of a Core AI program what differs between two conversions of one model, and what only a debugger reads.

    before   invoke @layer_norm_xbcolqqs    constant dense_resource<resource_5260741099285812356>    loc(op_id 17)
    after    invoke @layer_norm_0           constant dense_resource<weights_0>

The first name has letters from ``random``; which of several equal composites stays is chance too. The second is a hash
with a seed of its own in every process. Locations number the operations for Core AI's debugger, which needs the
sources to go with them: 24 kB of EMOv2-1M.
"""

import hashlib
import re
from typing import Any

import numpy as np

from edgekit.targets.coreai.graphs import called_by, composite_name, graphs_in, is_method, module_of, name_of, operations_in
from edgekit.targets.coreai.toolbox import Toolbox

_BLOB = re.compile(r'"0x([0-9A-Fa-f]+)"')  # how MLIR prints a resource: its alignment in 4 bytes, then its content
_ALIGNMENT_BYTES = 4


def canonicalise(tools: Toolbox, program: Any) -> None:
    """Edit an ``AIProgram`` in place: names by position, no locations, equal weights once."""
    module = module_of(program)
    with module.context:
        tools.PassManager.parse("builtin.module(strip-debuginfo)").run(module.operation)
        _name_weights(tools, program)
        _name_composites(tools, program)


def _name_weights(tools: Toolbox, program: Any) -> None:
    named: dict[tuple[str, str], Any] = {}
    for graph in graphs_in(program):
        for operation in operations_in(graph):
            if operation.name != "coreai.constant":
                continue
            value = operation.attributes["value"]
            if isinstance(value, tools.ir.DenseElementsAttr):  # small, and written in place
                continue
            alignment, content = _content(tools, operation)
            key = hashlib.sha256(content).hexdigest(), str(value.type)
            if key not in named:
                buffer = np.frombuffer(content, np.uint8)
                named[key] = tools.ir.DenseResourceElementsAttr.get_from_buffer(buffer, f"weights_{len(named)}", value.type, alignment=alignment)
            operation.attributes["value"] = named[key]


def _content(tools: Toolbox, constant: Any) -> tuple[int, bytes]:
    """Return the alignment and the bytes of a constant kept as a resource. The bindings show them in print only, and there at a module's end."""
    alone = tools.ir.Module.create(tools.ir.Location.unknown())
    constant.clone(ip=tools.ir.InsertionPoint(alone.body))
    found = _BLOB.search(alone.operation.get_asm())
    if found is None:
        raise ValueError("Core AI prints a constant without its content")
    blob = bytes.fromhex(found[1])
    return int.from_bytes(blob[:_ALIGNMENT_BYTES], "little"), blob[_ALIGNMENT_BYTES:]


def _name_composites(tools: Toolbox, program: Any) -> None:
    graphs = list(graphs_in(program))
    taken = {name_of(graph) for graph in graphs if is_method(graph)}
    names: dict[str, str] = {}
    for graph in graphs:
        if is_method(graph):
            continue
        candidates = (f"{composite_name(graph)}_{number}" for number in range(len(graphs) + len(taken)))
        names[name_of(graph)] = next(name for name in candidates if name not in taken)
        taken.add(names[name_of(graph)])
        graph.attributes["sym_name"] = tools.ir.StringAttr.get(names[name_of(graph)])
    for graph in graphs:
        for operation in operations_in(graph):
            if (called := called_by(operation)) in names:
                operation.attributes["callee"] = tools.ir.Attribute.parse(f"#param.constant<@{names[called]}> : !param.symbol")
