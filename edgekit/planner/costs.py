"""What operators cost on a target, from a table that was measured once: ``edgekit/planner/tables/<target>.json``.

    {"schema_version": 1, "target": "tflite", "measured": {"cpu": ..., "versions": ...},
     "ns": {"conv": {"per": "mac", "fp32": 0.021, "w8a8": 0.006}, "softmax": {"per": "value", "fp32": 1.1, "w8a8": null},
            "gelu": {"per": "value", "fp32": 1.4, "w8a8": null}, "convert": {"per": "value", "ns": 0.3}}}

A row is of a kind of work, or of one operator that is not like the others of its kind. ``stem`` is a convolution of fewer than eight input
channels, like a network's first: products in integers take eight of them at once, or four, and are mostly idle there. ``depthwise_cached`` is a
depthwise convolution whose weights and window fit the first cache in floats, which is then twice as fast; in integers they always fit.
Another machine has other nanoseconds; what decides is which precision is faster, and by how much compared with a conversion.
``edgekit bench --costs TARGET`` measures a table again.
"""

import json
import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from attrs import field, frozen
from torch import fx
from torch.export import ExportedProgram

from edgekit.errors import BadInputError
from edgekit.macs import node_macs
from edgekit.planner.groups import kind_of, name_of
from edgekit.policy.strict_json import Fields, read_json
from edgekit.rewrites.graph import shape_of

TABLE_SCHEMA = 1
"""Version of a table's file."""
_DEAREST_NS = 1e9
_CANNOT = float("inf")
_STEM = "stem"
_FULL_STEP = 8
_CACHED = "depthwise_cached"
_FIRST_CACHE = 32 * 1024
"""Bytes: of a phone's performance core, 32 KiB to 128 KiB; of an x86 server, 32 or 48."""


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
        row = None
        if kind == "conv" and _is_stem(node):
            row = self.ns.get(_STEM)
        elif kind == "depthwise" and _is_cached(node):
            row = self.ns.get(_CACHED)
        row = row or self.ns.get(name_of(node), self.ns.get(str(kind)))
        if row is None:
            return (0.0, 0.0) if kind == "moving" else (0.0, _CANNOT)
        work = (node_macs(node, program.graph_module) or 0) if row["per"] == "mac" else _values(node)
        return work * float(row["fp32"]), _CANNOT if row["w8a8"] is None else work * float(row["w8a8"])


def cost_table(target: str, own: Path | None = None) -> CostTable | None:
    """Return a target's table; ``None`` where nobody measured one.

    :param own: the file of one that was measured elsewhere, instead of the one that comes with edgekit.
    :raises BadInputError: the file is not readable, not a table, or another target's.
    """
    if own is not None:
        return _read(own, target)
    document = stored_table(target)
    return None if document is None else _table(document)


def stored_table(target: str) -> dict[str, Any] | None:
    """Return the table of a target that comes with edgekit, as its file holds it; ``None`` where nobody measured one."""
    file = resources.files("edgekit") / "planner" / "tables" / f"{target}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def _read(path: Path, target: str) -> CostTable:
    fields = Fields(
        read_json(path, BadInputError, "a cost table"), ("schema_version", "target", "widens_weights", "measured", "ns"), path.name, BadInputError
    )
    if (version := fields.integer("schema_version")) != TABLE_SCHEMA:
        raise BadInputError(f"{path.name} is of schema version {version}", what=f"known: {TABLE_SCHEMA}")
    if fields.text("target") != target:
        raise BadInputError(f"{path.name} is a cost table of {fields.text('target')}", what=f"the export is for {target}")
    rows, measured, widens = fields.raw("ns"), fields.raw("measured"), fields.raw("widens_weights")
    if not isinstance(rows, dict) or not isinstance(measured, dict) or not isinstance(widens, bool):
        raise BadInputError(f"{path.name} is no cost table", hint=f"edgekit bench --costs {target} writes one")
    for kind, row in rows.items():
        if not _is_row(kind, row):
            raise BadInputError(
                f"{path.name} has a row that is none", what=f"{kind}: {row}"[:200], hint=f"edgekit bench --costs {target} writes them"
            )
    if "convert" not in rows:
        raise BadInputError(f"{path.name} does not say what a conversion costs", hint="edgekit bench --costs measures it: --kind convert")
    return CostTable(target=target, ns=rows, provenance=measured, widens_weights=widens)


def _is_row(kind: str, row: Any) -> bool:
    if not isinstance(row, dict) or row.get("per") not in ("mac", "value"):
        return False
    wanted = ("ns",) if kind == "convert" else ("fp32", "w8a8")
    return row.keys() == {"per", *wanted} and all(_is_cost(row[name]) or (name == "w8a8" and row[name] is None) for name in wanted)


def _is_cost(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _DEAREST_NS


def _table(document: Mapping[str, Any]) -> CostTable:
    return CostTable(
        target=document["target"], ns=document["ns"], provenance=document["measured"], widens_weights=document.get("widens_weights", False)
    )


def _is_stem(node: fx.Node) -> bool:
    """Whether a convolution sums over fewer channels than products in integers take at once, at more than one place each."""
    weight = shape_of(node.all_input_nodes[1])
    return len(weight) == 4 and weight[1] < _FULL_STEP and math.prod(weight[2:]) > 1


def _is_cached(node: fx.Node) -> bool:
    """Whether a depthwise convolution's weights, and as many values as they are multiplied with, fit the first cache in float32."""
    return 2 * 4 * math.prod(shape_of(node.all_input_nodes[1])) <= _FIRST_CACHE


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
