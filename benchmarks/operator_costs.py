"""What an operator of each kind costs on a runtime, in float32 and as 8-bit integers: the tables that the planner decides by.

    taskset -c 0 python benchmarks/operator_costs.py tflite [--note "..."] [--output edgekit/planner/tables/tflite.json]

Chains of two and of six operators are lowered as any export is, timed in one interleaved run, and the difference divided by four: what a run costs
beside them, and what conversions at both ends cost, cancels. Two sizes a kind; a kind's cost is the mean, per multiply-add where it has any, else per
value that it writes. A conversion is what every second operator in floats adds. Rows of the table that is there stay where they are not measured:
what is fused into the operator before it costs nothing, and what the runtime has no integers for is null.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import context, interleaved_ms, require_one_core
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.capabilities import target_facts
from edgekit.declared import method_spec
from edgekit.errors import EdgekitError
from edgekit.macs import program_macs
from edgekit.methods import FORWARD
from edgekit.planner.groups import kind_of
from edgekit.programs import rewritten_program
from edgekit.quantization.job import Quantization
from edgekit.quantization.scheme import SCHEMES
from edgekit.recipe import Recipe
from edgekit.targets.base import LoweringJob, Metadata
from edgekit.targets.registry import get_target
from edgekit.verification.cases import Case

SHORT, LONG = 2, 6
SIZES = ((64, 28), (192, 14))
"""Channels, and the side of the image: tokens where an operator takes tokens."""
STEM_SIZES = ((24, 112), (32, 112))
DEPTHWISE_SIZES = ((192, 28), (640, 14))
"""Mobile networks have them where they are wide. In floats XNNPACK is twice as fast on x86 while the weights stay in the first cache (3x3 of 64
channels: 0.03 ns a multiply-add), and no faster than in integers where they do not."""


class Chain(nn.Module):
    """A convolution that everything starts from, then ``length`` operators of one kind."""

    def __init__(self, kind: str, channels: int, length: int) -> None:
        super().__init__()
        self.kind = kind
        self.stem = nn.Conv2d(3, channels, 1)
        made: Callable[[], nn.Module] = {
            "conv": lambda: nn.Conv2d(channels, channels, 1),
            "stem": lambda: nn.Conv2d(3, channels, 3, padding=1),
            "depthwise": lambda: nn.Conv2d(channels, channels, 5, padding=2, groups=channels),
            "linear": lambda: nn.Linear(channels, channels),
        }.get(kind, nn.Identity)
        self.layers = nn.ModuleList(made() for _ in range(length))

    def forward(self, image: Tensor) -> Tensor:
        """Return a value that all of the chain takes part in."""
        x = first = self.stem(image)
        if self.kind in ("linear", "matmul", "softmax", "norm"):
            x = first = x.flatten(2).transpose(1, 2)
        square = first @ first.transpose(1, 2) * 0.01 if self.kind == "matmul" else first
        for layer in self.layers:
            x = self.step(layer, x, first, square)
        return x

    def step(self, layer: nn.Module, x: Tensor, first: Tensor, square: Tensor) -> Tensor:
        """Apply one operator."""
        if self.kind == "matmul":
            return torch.bmm(square, x)
        return {
            "add": lambda: x + first,
            "mul": lambda: x * first,
            "mul, every second": lambda: x * first,
            "activation": lambda: F.silu(x),
            "gelu": lambda: F.gelu(x + first),  # in a row they would become one table to look up in
            "mean": lambda: x + x.mean((2, 3), keepdim=True),
            "pool": lambda: F.max_pool2d(x, 3, 1, 1),
            "norm": lambda: F.layer_norm(x, x.shape[-1:]),
            "softmax": lambda: x.softmax(-1),
            "stem": lambda: F.relu(layer(x[:, :3])),
        }.get(self.kind, lambda: F.relu(layer(x)))()  # fused into the operator; without it layers in a row would be merged


KINDS = ("conv", "stem", "depthwise", "linear", "matmul", "add", "mul", "mul, every second", "activation", "gelu", "mean", "pool", "norm", "softmax")


def main() -> int:
    """Lower all chains, time them, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target")
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--only", action="append")
    parser.add_argument("--note", default=None, help="what is to be known about the machine meanwhile")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    require_one_core()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows: dict[str, dict[str, Any]] = {}
    for kind in options.only or KINDS:
        rows[kind] = measured(options.target, kind, options.samples)
        print(kind, json.dumps(rows[kind]), flush=True)
    before = json.loads(options.output.read_text()) if options.output and options.output.exists() else {"ns": {}}
    document = {
        "schema_version": 1,
        "target": options.target,
        "widens_weights": before.get("widens_weights", False),
        "measured": context() | {"note": options.note, "samples": options.samples, "statistic": "minimum"},
        "ns": before["ns"] | {kind: row for kind, row in table(rows).items() if row.get("fp32", row.get("ns")) is not None},
    }
    text = json.dumps(document, indent=1) + "\n"
    print(text)
    if options.output:
        options.output.write_text(text)
    return 0


def table(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return nanoseconds for a multiply-add or a value, by kind and precision; ``null`` where the runtime has no such operator."""
    found = {kind: row for kind, row in rows.items() if "every second" not in kind}
    for precision in ("fp32", "w8a8"):
        for kind in ("mean", "gelu"):
            if kind in found and "add" in found and found[kind][precision] is not None:
                found[kind][precision] = max(0.0, round(found[kind][precision] - (found["add"][precision] or 0.0), 6))
    if "mul, every second" in rows and rows["mul, every second"]["w8a8"] is not None:
        mixed = rows["mul, every second"]["w8a8"] - (rows["mul"]["fp32"] + rows["mul"]["w8a8"]) / 2
        found["convert"] = {"per": "value", "ns": max(0.0, round(mixed, 6))}  # one there and one back for two operators
    return found


def measured(target: str, kind: str, samples: int) -> dict[str, Any]:
    """Return one kind's row."""
    per: dict[str, list[float]] = {"fp32": [], "w8a8": []}
    unit = "mac" if kind in ("conv", "stem", "depthwise", "linear", "matmul") else "value"
    for channels, side in {"depthwise": DEPTHWISE_SIZES, "stem": STEM_SIZES}.get(kind, SIZES):
        with tempfile.TemporaryDirectory() as place:
            runs, work = {}, {}
            for length in (SHORT, LONG):
                for precision in per:
                    name = f"{precision}_{length}"
                    try:
                        runs[name], work[length] = lowered(target, kind, channels, side, length, precision, Path(place) / name, unit)
                    except EdgekitError as error:
                        print(f"  {kind} {precision}: {error.summary}: {error.why}", file=sys.stderr)
            times = {name: min(row) for name, row in interleaved_ms(runs, samples).items()}
        for precision, found in per.items():
            if f"{precision}_{LONG}" in times and f"{precision}_{SHORT}" in times:
                found.append(1e6 * (times[f"{precision}_{LONG}"] - times[f"{precision}_{SHORT}"]) / (work[LONG] - work[SHORT]))
    return {"per": unit, **{precision: round(max(0.0, sum(found) / len(found)), 6) if found else None for precision, found in per.items()}}


def lowered(target: str, kind: str, channels: int, side: int, length: int, precision: str, path: Path, unit: str) -> tuple[Callable[[], Any], int]:
    """Write one chain and return what runs it, and how much work its operators of the kind are."""
    facts, module = target_facts(target), Chain(kind, channels, length).eval()
    image = torch.randn(1, 3, side, side)
    program, _ = rewritten_program("chain", module, facts, (image,))
    with torch.no_grad():
        output = module(image).numpy()
    case = Case(method=FORWARD, module=module, after=None, inputs=({"image": image.numpy()},), outputs={"logits": [output]})
    recipe = Recipe(model="chain", target=target, input="tensor", precision="fp32")
    methods = (method_spec(recipe, facts, case),)
    given = {"image": image.numpy().transpose(0, 2, 3, 1).copy() if facts.image_layout == "NHWC" else image.numpy()}
    products = [node for node in program.graph.nodes if kind_of(node) == "mul"]
    kept = frozenset(node.name for node in products[1::2]) if "every second" in kind else frozenset()
    quantization = Quantization(scheme=SCHEMES["w8a8"], kept_float={FORWARD: kept}, calibration={FORWARD: (given,) * 2})
    metadata = Metadata(description="", author="", license="", edgekit_version="", preprocessing=None)
    place = path.with_name(path.name + facts.suffix)
    implementation = get_target(target)
    implementation.lower(
        LoweringJob(
            programs={FORWARD: program},
            methods=methods,
            recipe=recipe,
            metadata=metadata,
            destination=place,
            quantization=quantization if precision == "w8a8" else None,
        )
    )
    executable = implementation.open(place)
    own = executable.methods[0].inputs[0].name
    work = (program_macs(program).total or 0) if unit == "mac" else length * int(np.prod(output.shape))
    return (lambda: executable.run(FORWARD, {own: given["image"]})), work


if __name__ == "__main__":
    sys.exit(main())
