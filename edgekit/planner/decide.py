"""Decides what is quantized: what is cheaper as integers, without what costs too much of the answers.

    1. cost          a minimum cut: each group as integers or floats, conversions between them paid for
    2. sensitivity   of every group in integers, the error that it alone makes in the outputs
    3. limit         those that spoil most for the time they save go back to floats, until all others together keep the limit

A limit in points of accuracy becomes one in dB: rounding errors are like noise on the logits, and which noise changes as many answers as the points
allow is computed from how far apart eager's best classes are on the calibration samples.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram

from edgekit.capabilities import TargetFacts
from edgekit.evaluate import evaluate
from edgekit.full_precision import in_full_precision
from edgekit.interface import MethodSpec
from edgekit.macs import program_macs
from edgekit.planner.costs import CostTable, cost_table
from edgekit.planner.groups import Group, groups_of, nodes_of
from edgekit.planner.plan import Decision, Plan, read_plan
from edgekit.planner.sensitivity import WITH_WEIGHTS, Recording, noise_by_group, record, together, working
from edgekit.quantization.islands import Cost, integer_operators
from edgekit.recipe import Recipe
from edgekit.verification.judged import answering
from edgekit.verification.tolerances import AGREEMENT_A_POINT

_SAMPLES = (4, 24)
"""On how many sensitivity is measured, at least and at most, and ranges of values as well: as many as ``_SAMPLED_MACS`` allow. On four pictures one
region that IMC-Net takes for another one outweighs all rounding."""
_SAMPLED_MACS = 4 * 10**9
_MARGIN_SAMPLES = 64
_DEFAULT_POINTS = 0.5
_UNTRAINED_SQNR_DB = 20.0
"""Of a network whose classes are chance, so that no points can be counted."""
_HEADROOM_DB = 1.0
"""How much better than the limit a plan has to be: it is measured on few samples, and the target's arithmetic differs in rounding."""
_NS_A_BYTE = 0.1
"""What reading a weight takes, of 10 GB/s."""
_ROUNDS = 8
_OUTSIDE = "outside"
_NO_INTEGERS = "the runtime has no such operator in integers"
_FOLLOWS = "between operators in floats: converting costs more than it saves"

Key = tuple[str, str, str]


def decide(
    recipe: Recipe,
    facts: TargetFacts,
    model: str,
    programs: Mapping[str, ExportedProgram],
    methods: Sequence[MethodSpec],
    calibration: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    trained: bool | None,
    above_db: float = 0.0,
) -> Plan:
    """Return the plan that a recipe pins, or make one.

    :param model: its name, without a folder. :param calibration: by method, inputs as the programs take them.
    :param above_db: what to expect at least, whatever the limit: a plan that expected less was measured and did not keep it.
    :raises BadInputError: the plan is for another network, target or precision.
    """
    groups = groups_of(programs)
    if recipe.plan is not None:
        plan = read_plan(recipe.plan, model=model, target=facts.name, precision=recipe.precision)
        plan.kept_float(groups)  # refuses a plan for another network
        return plan
    table = cost_table(facts.name, recipe.costs)
    inputs = {method: [_as_tensors(row) for row in rows] for method, rows in calibration.items() if method in programs}
    limit_db, limit = _limit(recipe, programs, methods, inputs, trained=trained)
    kinds = facts.precision(recipe.precision).kinds
    pinned: dict[Key, str] = {group.key: _NO_INTEGERS for group in groups if kinds and group.kind not in kinds}
    pinned |= _in_full_precision(programs, groups)
    integers = _cheapest(programs, groups, table, pinned)
    costs = _costs(programs, groups, table)
    reasons = {group.key: pinned.get(group.key, _too_slow(costs[group.key])) for group in groups if group.key not in integers}
    work = sum(program_macs(program).total or _SAMPLED_MACS for program in programs.values())
    samples = min(max(_SAMPLED_MACS // max(1, work), _SAMPLES[0]), _SAMPLES[1])
    recordings = {method: record(program, inputs[method][:samples]) for method, program in programs.items()}
    noise = {
        key: power
        for method, recording in recordings.items()
        for key, power in noise_by_group(recording, method, [group for group in groups if group.key in integers]).items()
    }
    savings = _savings(programs, groups, table, costs, integers)
    # Methods in a row hand their errors on: each gets its share.
    wanted = 10 ** (-max(limit_db + _HEADROOM_DB, above_db) / 10) / len(programs)
    weighty = [group for group in groups if group.kind in WITH_WEIGHTS and _float_bytes(programs, group)]
    widens = bool(kinds) if table is None else table.widens_weights
    stores = widens and max(_together(recordings, [], weighty), default=0.0) <= wanted / 2
    allowed, expected = wanted, 0.0
    for _ in range(_ROUNDS):
        for key in _dropped(noise, integers, savings, allowed):
            pinned[key] = reasons[key] = f"alone it takes the outputs to {_db(noise[key]):.0f} dB"
        integers = _cheapest(programs, groups, table, pinned)
        reasons |= {group.key: _FOLLOWS for group in groups if group.key not in integers and group.key not in reasons}
        chosen = [group for group in groups if group.key in integers]
        stored = [group for group in weighty if stores and group.key not in integers]
        expected = max(_together(recordings, chosen, stored), default=0.0)
        if expected <= wanted or not integers:
            break
        allowed *= min(0.7, wanted / expected)
    rows = tuple(
        Decision(
            method=group.method,
            path=group.path,
            kind=group.kind,
            nodes=len(group.nodes),
            quantized=group.key in integers,
            why=None if group.key in integers else reasons[group.key],
            sqnr_db=round(_db(noise[group.key]), 2) if group.key in noise else None,
            weight_bits=None if group not in weighty else 8 if stores or group.key in integers else 32,
            cost_ms=None if table is None or group.key in integers else round(_saved_ns(costs[group.key]) / 1e6, 4),
            cost_bytes=0 if stores or group.key in integers or group not in weighty else _float_bytes(programs, group),
        )
        for group in groups
    )
    return Plan(
        model=model,
        target=facts.name,
        precision=recipe.precision,
        limit=limit | ({"above_db": round(above_db, 2)} if above_db else {}),
        expected_sqnr_db=round(_db(expected * len(programs)), 2),
        costs=None if table is None else table.provenance,
        groups=rows,
    )


def _limit(
    recipe: Recipe,
    programs: Mapping[str, ExportedProgram],
    methods: Sequence[MethodSpec],
    inputs: Mapping[str, Sequence[tuple[Tensor, ...]]],
    *,
    trained: bool | None,
) -> tuple[float, dict[str, Any]]:
    """Return the limit in dB, and as the plan tells it."""
    if recipe.sqnr is not None:
        return recipe.sqnr, {"kind": "sqnr_db", "value": recipe.sqnr, "sqnr_db": recipe.sqnr}
    if recipe.accuracy_budget is None and trained is False:
        return _UNTRAINED_SQNR_DB, {"kind": "sqnr_db", "value": _UNTRAINED_SQNR_DB, "sqnr_db": _UNTRAINED_SQNR_DB}
    points = _DEFAULT_POINTS if recipe.accuracy_budget is None else recipe.accuracy_budget
    limits = [
        decibels_for(logits, AGREEMENT_A_POINT * points / 100)
        for method in methods
        if method.name in programs
        for logits in _logits(programs[method.name], method, inputs[method.name][:_MARGIN_SAMPLES])
    ]
    found = max(limits, default=_UNTRAINED_SQNR_DB)
    return found, {"kind": "points", "value": points, "sqnr_db": round(found, 2)}


def decibels_for(logits: np.ndarray, share: float) -> float:
    """Return the SQNR at which noise changes the largest of the logits on this share of the samples.

    :param logits: ``(N, classes)``.
    """
    best = np.sort(logits, axis=1)[:, ::-1]
    margins = best[:, :1] - best[:, 1:6]  # the next few decide
    power = float(np.square(logits).mean())

    def changed(decibels: float) -> float:
        deviation = math.sqrt(2 * power * 10 ** (-decibels / 10))
        tails = np.vectorize(math.erfc)(margins / (deviation * math.sqrt(2))) / 2
        return float(np.minimum(1.0, tails.sum(1)).mean())

    low, high = 0.0, 80.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if changed(middle) > share else (low, middle)
    return high


def _logits(program: ExportedProgram, method: MethodSpec, inputs: Sequence[tuple[Tensor, ...]]) -> list[np.ndarray]:
    """Return a method's logits, ``(N, classes)`` each."""
    nodes = dict(zip((spec.name for spec in method.outputs), map(str, program.graph_signature.user_outputs), strict=True))
    wanted = [nodes[name] for name in answering(nodes)]
    rows = [evaluate(program, row, set(wanted)) for row in inputs]
    found = [np.concatenate([row[name].detach().numpy() for row in rows]) for name in wanted]
    return [logits for logits in found if logits.ndim == 2 and logits.shape[1] > 1]


def _cheapest(programs: Mapping[str, ExportedProgram], groups: Sequence[Group], table: CostTable | None, pinned: Mapping[Key, str]) -> frozenset[Key]:
    """Return the groups that are integers in the cheapest choice; those pinned are floats."""
    if table is None:
        return frozenset(group.key for group in groups if group.key not in pinned)
    chosen: set[Key] = set()
    for method, program in programs.items():
        group_of = nodes_of(groups, method)
        names: dict[str, Key] = {}
        floats: dict[str, float] = {}
        integers: dict[str, float] = {}
        nodes = working(program)
        for name, node in nodes.items():
            group = group_of.get(name)
            label = name if group is None else "\0".join(group.key)
            in_floats, in_integers = table.of(node, program)
            if group is not None:
                names[label] = group.key
                in_integers = float("inf") if group.key in pinned else in_integers
            floats[label] = floats.get(label, 0.0) + in_floats
            integers[label] = integers.get(label, 0.0) + in_integers
        costs = {label: Cost(integers=integers[label], floats=floats[label]) for label in floats} | {_OUTSIDE: Cost(float("inf"), 0.0)}
        found = integer_operators(costs, _conversions(program, nodes, group_of, table))
        chosen |= {names[label] for label in found if label in names}
    return frozenset(chosen)


def _conversions(program: ExportedProgram, nodes: Mapping[str, Any], group_of: Mapping[str, Group], table: CostTable) -> list[tuple[str, str, float]]:
    constants = {spec.arg.name for spec in program.graph_signature.input_specs if hasattr(spec.arg, "name") and spec.target is not None}

    def label(name: str) -> str:
        group = group_of.get(name)
        return "\0".join(group.key) if group is not None else name if name in nodes else _OUTSIDE

    found = []
    for name, node in nodes.items():
        for source in node.all_input_nodes:
            value = source.meta.get("val")
            if source.name in constants or not isinstance(value, Tensor) or not value.is_floating_point() or label(source.name) == label(name):
                continue
            found.append((label(source.name), label(name), table.conversion_ns * float(value.numel())))
    outputs = {str(name) for name in program.graph_signature.user_outputs}
    found += [(label(name), _OUTSIDE, table.conversion_ns * float(node.meta["val"].numel())) for name, node in nodes.items() if name in outputs]
    return found


def _dropped(noise: Mapping[Key, float], integers: frozenset[Key], savings: Mapping[Key, float], allowed: float) -> list[Key]:
    """Return the groups that have to be floats so that the others' errors add up to what is allowed: most error for the least time first."""
    total = sum(noise[key] for key in integers)
    found = []
    for key in sorted(integers, key=lambda key: -noise[key] / (max(0.0, savings[key]) + 1e3)):
        if total <= allowed:
            break
        if noise[key] < 1e-3 * allowed:
            continue  # it would save nothing worth its time
        total -= noise[key]
        found.append(key)
    return found


def _saved_ns(costs: Sequence[tuple[float, float]]) -> float:
    return sum(floats - integers for floats, integers in costs if integers != math.inf)


def _savings(
    programs: Mapping[str, ExportedProgram],
    groups: Sequence[Group],
    table: CostTable | None,
    costs: Mapping[Key, Sequence[tuple[float, float]]],
    integers: frozenset[Key],
) -> dict[Key, float]:
    """Return what a group saves in integers among others that are, in ns: its own time, conversions on either side, its weights' way from memory."""
    found = {group.key: _saved_ns(costs[group.key]) + _NS_A_BYTE * _float_bytes(programs, group) for group in groups}
    if table is None:
        return found
    labels = {"\0".join(key): key for key in found}
    for method, program in programs.items():
        for one, other, paid in _conversions(program, working(program), nodes_of(groups, method), table):
            for own, neighbour in ((one, other), (other, one)):
                if own in labels and neighbour != _OUTSIDE and labels.get(neighbour, labels[own]) in integers:
                    found[labels[own]] += paid
    return found


def _together(recordings: Mapping[str, Recording], groups: Sequence[Group], stored: Sequence[Group]) -> list[float]:
    return [power for method, recording in recordings.items() for power in together(recording, method, groups, stored=stored)]


def _costs(programs: Mapping[str, ExportedProgram], groups: Sequence[Group], table: CostTable | None) -> dict[Key, list[tuple[float, float]]]:
    """Return what each node of a group costs in floats and in integers, in ns; nothing where no table tells."""
    if table is None:
        return {group.key: [] for group in groups}
    nodes = {method: working(program) for method, program in programs.items()}
    return {group.key: [table.of(nodes[group.method][name], programs[group.method]) for name in group.nodes] for group in groups}


def _float_bytes(programs: Mapping[str, ExportedProgram], group: Group) -> int:
    """Return the bytes that a group's weights take more in floats than in 8 bits."""
    nodes = working(programs[group.method])
    weights = {
        source for name in group.nodes for source in nodes[name].all_input_nodes if source.op == "placeholder" and source.name.startswith("p_")
    }
    return sum(3 * int(source.meta["val"].numel()) for source in weights if source.meta["val"].ndim > 1)


def _in_full_precision(programs: Mapping[str, ExportedProgram], groups: Sequence[Group]) -> dict[Key, str]:
    marked = {
        (method, node.name)
        for method, program in programs.items()
        for node in program.graph.nodes
        if node.op == "call_function" and in_full_precision(node)
    }
    return {
        group.key: "it decides what is computed, and asks for full precision"
        for group in groups
        if any((group.method, n) in marked for n in group.nodes)
    }


def _too_slow(costs: Sequence[tuple[float, float]]) -> str:
    if any(integers == math.inf for _, integers in costs):
        return _NO_INTEGERS
    return "not faster in integers" if sum(integers - floats for floats, integers in costs) >= 0 else _FOLLOWS


def _db(power: float) -> float:
    return 200.0 if power <= 0 else min(200.0, -10 * math.log10(power))


def _as_tensors(row: Mapping[str, Any]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(np.ascontiguousarray(value)) for value in row.values())
