"""What operators cost on a target, from a table that was measured once: ``edgekit/planner/tables/<target>.json``.

    {"schema_version": 1, "target": "tflite", "measured": {"cpu": ..., "versions": ...},
     "ns": {"conv": {"per": "mac", "fp32": 0.021, "w8a8": 0.006}, "softmax": {"per": "value", "fp32": 1.1, "w8a8": null},
            "gelu": {"per": "value", "fp32": 1.4, "w8a8": null}, "convert": {"per": "value", "ns": 0.3}}}

A row is of a kind of work, or of one operator that is not like the others of its kind. ``stem`` is a convolution of fewer than eight input
channels, like a network's first: products in integers take eight of them at once, or four, and are mostly idle there.
Another machine has other nanoseconds; what decides is which precision is faster, and by how much compared with a conversion.
``benchmarks/operator_costs.py`` measures a table again.
"""

import json
import math
from collections.abc import Mapping
from importlib import resources
from typing import Any

from attrs import field, frozen
from torch import fx
from torch.export import ExportedProgram

from edgekit.macs import node_macs
from edgekit.planner.groups import kind_of, name_of
from edgekit.rewrites.graph import shape_of

_CANNOT = float("inf")
_STEM = "stem"
_FULL_STEP = 8


@frozen(kw_only=True)
class CostTable:
    """One target's table; ``provenance`` is what a plan says of it.

    ``widens_weights``: whether weights of 8 bits may serve operators in floats, widened when a file is loaded: smaller, and no slower.
    """

    target: str
    ns: Mapping[str, Mapping[str, Any]] = field(repr=False)
    provenance: Mapping[str, Any]
    widens_weights: bool = False

    @property
    def conversion_ns(self) -> float:
        """For a value, from floats to integers or back."""
        return float(self.ns["convert"]["ns"])

    def of(self, node: fx.Node, program: ExportedProgram) -> tuple[float, float]:
        """Return what a node costs in floats and in integers, in ns; infinite in integers where the runtime has no such operator."""
        kind = kind_of(node)
        row = self.ns.get(_STEM) if kind == "conv" and _is_stem(node) else None
        row = row or self.ns.get(name_of(node), self.ns.get(str(kind)))
        if row is None:
            return (0.0, 0.0) if kind == "moving" else (0.0, _CANNOT)
        work = (node_macs(node, program.graph_module) or 0) if row["per"] == "mac" else _values(node)
        return work * float(row["fp32"]), _CANNOT if row["w8a8"] is None else work * float(row["w8a8"])


def cost_table(target: str) -> CostTable | None:
    """Return a target's table; ``None`` where nobody measured one."""
    file = resources.files("edgekit") / "planner" / "tables" / f"{target}.json"
    if not file.is_file():
        return None
    document = json.loads(file.read_text(encoding="utf-8"))
    return CostTable(target=target, ns=document["ns"], provenance=document["measured"], widens_weights=document.get("widens_weights", False))


def _is_stem(node: fx.Node) -> bool:
    """Whether a convolution sums over fewer channels than products in integers take at once, at more than one place each."""
    weight = shape_of(node.all_input_nodes[1])
    return len(weight) == 4 and weight[1] < _FULL_STEP and math.prod(weight[2:]) > 1


def _values(node: fx.Node) -> int:
    """Return how many values an operator handles: those that it writes, or reads where it sums up."""
    sizes = [_size(node), *(_size(source) for source in node.all_input_nodes if source.op != "placeholder" and "val" in source.meta)]
    return max(sizes) if kind_of(node) == "mean" else sizes[0]


def _size(node: fx.Node) -> int:
    value = node.meta.get("val")
    if not hasattr(value, "shape"):
        return 0
    count = 1
    for size in shape_of(node):
        count *= size
    return count
