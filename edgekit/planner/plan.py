"""What of a network becomes integers, as a decision that can be stored, read and pinned.

    {"schema_version": 1, "model": "emov2-5m", "target": "tflite", "precision": "w8a8",
     "limit": {"kind": "sqnr_db", "value": 25.0}, "expected_sqnr_db": 27.1, "costs": {...}, "groups": [...]}

A group that stays in floats says why. Manifests hold the same under ``quantization.plan``, and ``--plan`` takes either file.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

from edgekit.errors import BadInputError
from edgekit.planner.groups import Group
from edgekit.policy.strict_json import Fields, read_json

SCHEMA_VERSION = 1


@frozen(kw_only=True)
class Decision:
    """One group: whether it is quantized, and why not.

    :param nodes: how many. :param why: ``None`` where it is quantized.
    :param sqnr_db: of the logits with only this group rounded; ``None``: not measured.
    :param cost_ms: what staying in floats costs, by the cost table, borders between floats and integers included; 0 or less: it saves time.
    :param weight_bits: its weights are stored in; ``None``: it has none. Also in floats it may have weights of 8 bits, which are widened when the
        file is loaded.
    :param cost_bytes: what weights in four bytes instead of one cost in the file.
    """

    method: str
    path: str
    kind: str
    nodes: int
    quantized: bool
    why: str | None = None
    sqnr_db: float | None = None
    weight_bits: int | None = None
    cost_ms: float | None = None
    cost_bytes: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from the others, as a group's."""
        return self.method, self.path, self.kind


@frozen(kw_only=True)
class Plan:
    """All decisions for one model on one target.

    :param limit: ``{"kind": "sqnr_db" | "points", "value": ...}``. :param costs: what the cost table was measured on.
    :param expected_sqnr_db: of all that is quantized together, measured where the sensitivity was.
    """

    model: str
    target: str
    precision: str
    limit: Mapping[str, Any] | None = None
    expected_sqnr_db: float | None = None
    costs: Mapping[str, Any] | None = None
    groups: tuple[Decision, ...] = field(repr=False)

    @property
    def blame(self) -> tuple[Decision, ...]:
        """What stays in floats, the dearest first."""
        kept = [row for row in self.groups if not row.quantized]
        return tuple(sorted(kept, key=lambda row: -(row.cost_ms or 0.0)))

    def kept_float(self, groups: Sequence[Group]) -> dict[str, frozenset[str]]:
        """Return by method the names of the nodes that stay in floats.

        :raises BadInputError: the groups of the model are others than the plan's.
        """
        quantized = {row.key: row.quantized for row in self.groups}
        missing = [group for group in groups if group.key not in quantized]
        foreign = set(quantized) - {group.key for group in groups}
        if missing or foreign:
            named = missing[0].label if missing else " ".join(min(foreign)[1:])
            raise BadInputError(
                "the plan is for another network",
                what=f"{len(missing)} groups are not in it and {len(foreign)} of it are not in the network, for one {named}",
                hint="leave out --plan for a new decision; its manifest holds the new plan",
            )
        kept: dict[str, set[str]] = {group.method: set() for group in groups}
        for group in groups:
            if not quantized[group.key]:
                kept[group.method].update(group.nodes)
        return {method: frozenset(nodes) for method, nodes in kept.items()}

    def stored(self, groups: Sequence[Group]) -> dict[str, frozenset[str]]:
        """Return by method the names of the nodes that compute in floats with weights of 8 bits."""
        stored = {row.key for row in self.groups if not row.quantized and row.weight_bits == 8}
        return {
            method: frozenset(node for group in groups if group.method == method and group.key in stored for node in group.nodes)
            for method in {group.method for group in groups}
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"schema_version": SCHEMA_VERSION, **attrs.asdict(self)}


def read_plan(path: Path, *, model: str, target: str, precision: str) -> Plan:
    """Read a plan, or the one in a manifest.

    :raises BadInputError: not readable, not a plan, or for another model, target or precision.
    """
    document = read_json(path, BadInputError, "a plan")
    if isinstance(document, dict) and "quantization" in document:
        section = document["quantization"]
        document = section.get("plan") if isinstance(section, dict) else None
        if document is None:
            raise BadInputError(f"{path.name} is the manifest of an artifact without a plan", hint="a w8a8 export has one")
    plan = plan_from_json(document, path.name)
    for name, value in {"model": model, "target": target, "precision": precision}.items():
        if getattr(plan, name) != value:
            raise BadInputError(f"{path.name} is for {name} {getattr(plan, name)}", what=f"the export is for {value}", hint="leave out --plan")
    return plan


def plan_from_json(document: Any, where: str) -> Plan:
    """Build a plan from plain JSON values.

    :raises BadInputError: not of that form.
    """
    fields = Fields(document, ("schema_version", *(one.name for one in attrs.fields(Plan))), where, BadInputError)
    if (version := fields.integer("schema_version")) != SCHEMA_VERSION:
        raise BadInputError(f"{where} is of schema version {version}", what=f"known: {SCHEMA_VERSION}")
    rows = fields.row("groups", None)
    groups = tuple(_decision(row, f"{where}, groups[{index}]") for index, row in enumerate(rows))
    if len({group.key for group in groups}) != len(groups):
        raise BadInputError(f"{where} has a group twice")
    return Plan(
        model=fields.text("model"),
        target=fields.text("target"),
        precision=fields.text("precision"),
        limit=_object(fields.raw("limit"), f"{where}, limit"),
        expected_sqnr_db=_number(fields, "expected_sqnr_db"),
        costs=_object(fields.raw("costs"), f"{where}, costs"),
        groups=groups,
    )


def _decision(row: Any, where: str) -> Decision:
    fields = Fields(row, tuple(one.name for one in attrs.fields(Decision)), where, BadInputError)
    return Decision(
        method=fields.text("method"),
        path=fields.text("path"),
        kind=fields.text("kind"),
        nodes=fields.integer("nodes"),
        quantized=fields.flag("quantized"),
        why=None if fields.is_null("why") else fields.text("why"),
        sqnr_db=_number(fields, "sqnr_db"),
        weight_bits=None if fields.is_null("weight_bits") else fields.integer("weight_bits"),
        cost_ms=_number(fields, "cost_ms"),
        cost_bytes=fields.integer("cost_bytes"),
    )


def _number(fields: Fields, key: str) -> float | None:
    return None if fields.is_null(key) else fields.number(key)


def _object(value: Any, where: str) -> Mapping[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise BadInputError(f"{where} is no JSON object")
    return value
