"""What an operator of each kind costs on a runtime of this machine, in float32 and as 8-bit integers: a table for the planner.

    conv ── op ── op                                  run, in turn with
    conv ── op ── op ── op ── op ── op ── op          a quarter of the difference is an operator's own time

What a run costs beside the operators, and the conversions at both ends, cancel. A conversion costs what every second operator in floats adds.
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import frozen

from edgekit.bench import machine
from edgekit.bench.operator_chains import CONVERT, COUNTED_IN_MACS, KINDS, Chain, Size, sizes_of
from edgekit.bench.sampling import interleaved
from edgekit.capabilities import TargetFacts, target_facts
from edgekit.declared import method_spec
from edgekit.errors import EdgekitError, UnknownNameError, UsageError
from edgekit.interface import FORWARD, IMAGE, LOGITS
from edgekit.macs import program_macs
from edgekit.planner.costs import TABLE_SCHEMA, stored_table
from edgekit.planner.groups import kind_of
from edgekit.policy.policy import place_file
from edgekit.programs import rewritten_program
from edgekit.progress import Listener, Silent, stage
from edgekit.quantization.job import Quantization
from edgekit.quantization.scheme import SCHEMES
from edgekit.recipe import Recipe
from edgekit.targets.base import LoweringJob, Metadata
from edgekit.targets.registry import get_target
from edgekit.verification.cases import Case

TIMED = ("tflite", "executorch", "onnx")
"""Targets whose runtime is the one of a phone, or of a server, and runs here."""
_SHORT, _LONG = 2, 6
_PRECISIONS = ("fp32", "w8a8")


@frozen(kw_only=True)
class Costs:
    """A table as a file holds it, and what could not be measured: by kind and precision, why."""

    document: dict[str, Any]
    refused: Mapping[str, str]


def measure_costs(target: str, *, kinds: Sequence[str] = (), samples: int = 60, note: str | None = None, listener: Listener | None = None) -> Costs:
    """Time every kind of operator on this machine, on one thread.

    :param kinds: which; all where none is named. Rows of edgekit's own table that are not measured are taken over: what is fused into the operator
        before it costs nothing, and what the runtime has no integers for is null.
    :param samples: rounds; every chain runs once a round, and the minimum counts.
    :param note: what is to be known about the machine meanwhile.
    :raises UnknownNameError: a kind that is not on the list, or an unknown target.
    :raises UsageError: a target that does not run here as it does where it is used, or fewer than one round.
    """
    facts = target_facts(target)
    if facts.name not in TIMED:
        raise UsageError(f"what operators cost on {facts.name} cannot be measured here", what=f"runtimes of this machine: {', '.join(TIMED)}")
    if samples < 1:
        raise UsageError(f"samples is {samples}; the least of at least 1 counts")
    for kind in kinds:
        if kind not in KINDS:
            raise UnknownNameError("kind of operator", kind, KINDS)
    listener = listener or Silent()
    rows: dict[str, dict[str, Any]] = {}
    refused: dict[str, str] = {}
    for kind in (*kinds, *(("mul",) if CONVERT in kinds and "mul" not in kinds else ())) or KINDS:
        with stage(listener, f"{facts.name} {kind}") as running:
            rows[kind] = _measured(facts, kind, samples, refused)
            running.detail = ", ".join(f"{name} {rows[kind][name]} ns" for name in _PRECISIONS) + f" a {rows[kind]['per']}"
    before = stored_table(facts.name) or {"ns": {}}
    taken = {kind: row for kind, row in as_rows(rows).items() if row.get("fp32", row.get("ns")) is not None}
    document = {
        "schema_version": TABLE_SCHEMA,
        "target": facts.name,
        "widens_weights": before.get("widens_weights", False),
        "measured": machine.context(1) | {"note": note, "samples": samples, "statistic": "minimum", "kinds": sorted(taken)},
        "ns": before["ns"] | taken,
    }
    return Costs(document=document, refused=refused)


def write_costs(costs: Costs, path: Path) -> None:
    """Write the table, whole or not at all.

    :raises OutputError: the folder cannot be made or written.
    """
    place_file(path, (json.dumps(costs.document, indent=1, allow_nan=False) + "\n").encode())


def as_rows(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return a table's rows from those of the chains: an operator that was measured with another one without that, and the conversion."""
    found = {kind: dict(row) for kind, row in rows.items() if kind != CONVERT}
    for precision in _PRECISIONS:
        for kind in ("mean", "gelu"):
            if kind in found and "add" in found and found[kind][precision] is not None:
                found[kind][precision] = max(0.0, round(found[kind][precision] - (found["add"][precision] or 0.0), 6))
    if "mul" in rows and CONVERT in rows and rows[CONVERT]["w8a8"] is not None and rows["mul"]["w8a8"] is not None:
        mixed = rows[CONVERT]["w8a8"] - (rows["mul"]["fp32"] + rows["mul"]["w8a8"]) / 2
        found["convert"] = {"per": "value", "ns": max(0.0, round(mixed, 6))}  # one there and one back for two operators
    return found


def _measured(facts: TargetFacts, kind: str, samples: int, refused: dict[str, str]) -> dict[str, Any]:
    """Return one kind's row: nanoseconds for a multiply-add or a value, ``None`` where the target has no such operator."""
    found: dict[str, list[float]] = {precision: [] for precision in _PRECISIONS}
    for size in sizes_of(kind):
        with tempfile.TemporaryDirectory() as place:
            runs: dict[str, Callable[[], Any]] = {}
            work: dict[int, int] = {}
            for length in (_SHORT, _LONG):
                for precision in _PRECISIONS:
                    name = f"{precision}_{length}"
                    try:
                        runs[name], work[length] = _lowered(facts, kind, size, length, precision, Path(place) / f"{name}{facts.suffix}")
                    except EdgekitError as error:
                        refused[f"{kind} {precision}"] = f"{error.summary}: {error.why}"
            times = {name: min(row) for name, row in interleaved(runs, samples).variants.items()}
        for precision, row in found.items():
            if f"{precision}_{_LONG}" in times and f"{precision}_{_SHORT}" in times:
                row.append(1e6 * (times[f"{precision}_{_LONG}"] - times[f"{precision}_{_SHORT}"]) / (work[_LONG] - work[_SHORT]))
    means = {precision: round(max(0.0, sum(row) / len(row)), 6) if row else None for precision, row in found.items()}
    return {"per": "mac" if kind in COUNTED_IN_MACS else "value", **means}


def _lowered(facts: TargetFacts, kind: str, size: Size, length: int, precision: str, path: Path) -> tuple[Callable[[], Any], int]:
    """Write one chain as any export is written; return what runs it, and how much work its operators are."""
    torch.manual_seed(0)
    module, image = Chain(kind, size, length).eval(), torch.randn(1, 3, size.side, size.side)
    program, _ = rewritten_program("chain", module, facts, (image,))
    with torch.no_grad():
        output = module(image).numpy()
    case = Case(method=FORWARD, module=module, after=None, inputs=({IMAGE: image.numpy()},), outputs={LOGITS: [output]})
    recipe = Recipe(model="chain", target=facts.name, input="tensor", precision="fp32")
    given = {IMAGE: np.ascontiguousarray(image.numpy().transpose(0, 2, 3, 1)) if facts.image_layout == "NHWC" else image.numpy()}
    products = [node.name for node in program.graph.nodes if kind_of(node) == "mul"]
    kept = frozenset(products[1::2]) if kind == CONVERT else frozenset()
    quantization = Quantization(scheme=SCHEMES["w8a8"], kept_float={FORWARD: kept}, calibration={FORWARD: (given,) * 2})
    target = get_target(facts.name)
    target.lower(
        LoweringJob(
            programs={FORWARD: program},
            methods=(method_spec(recipe, facts, case),),
            recipe=recipe,
            metadata=Metadata(description="", author="", license="", edgekit_version="", preprocessing=None),
            destination=path,
            quantization=quantization if precision == "w8a8" else None,
        )
    )
    executable = target.open(path, threads=1)
    (own,) = executable.methods[0].inputs
    work = (program_macs(program).total or 0) if kind in COUNTED_IN_MACS else length * int(np.prod(output.shape))
    return (lambda: executable.run(FORWARD, {own.name: given[IMAGE]})), work
