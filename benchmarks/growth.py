"""How cost grows: with resolution, pictures, threads and depth, one at a time, for edgekit's file and for the vendor's plain export.

    python benchmarks/growth.py tflite resolution --output benchmarks/results/growth_tflite_resolution.json
    python benchmarks/growth.py --plot benchmarks/results/growth.svg [benchmarks/results]

Both are timed in one interleaved run at each point, in a process of its own on as many cores as it has threads: ExecuTorch's pool takes every core it
sees. edgekit's file takes one picture, so of a batch it runs once a picture; the plain export is made for the batch. ``growth`` is the exponent of
time over what grows, by least squares on logarithms: 1 is linear, -1 is what threads could give at best.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

MODEL, RESOLUTION = "emov2-5m", 224
AXES: dict[str, tuple[Any, ...]] = {
    "resolution": (224, 256, 320, 384, 448, 512),
    "batch": (1, 2, 4, 8),
    "threads": (1, 2),
    "depth": ("emov2-1m", "emov2-2m", "emov2-5m", "emov2-20m"),
}
MAX_REL_ERROR = 1e-4


@frozen(kw_only=True)
class Point:
    """One place on an axis, and all else as it is in the middle of them."""

    target: str
    model: str = MODEL
    resolution: int = RESOLUTION
    batch: int = 1
    threads: int = 1


def point_on(target: str, axis: str, value: Any) -> Point:
    """Return the point of an axis with a value."""
    return Point(target=target, **{"model" if axis == "depth" else axis: value})


def main() -> int:
    """Measure an axis, one process a point; or plot what is stored."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="?", help="tflite, executorch or onnx; with --plot the folder of results")
    parser.add_argument("axis", nargs="?", choices=sorted(AXES))
    parser.add_argument("--samples", type=int, default=30)
    parser.add_argument("--value", action="append", help="only these values; repeat for several")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--plot", type=Path, metavar="SVG")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.point:
        print(json.dumps(measured(Point(**json.loads(options.point)), options.samples)))
        return 0
    if options.plot:
        from growth_plot import drawn

        folder = Path(options.target or "benchmarks/results")
        options.plot.write_text(drawn([json.loads(path.read_text()) for path in sorted(folder.glob("growth_*.json"))]))
        return 0
    if options.target is None or options.axis is None:
        parser.error("a target and an axis, or --plot")
    if options.output and not options.output.parent.is_dir():
        parser.error(f"{options.output.parent} is no folder")
    values = [value for value in AXES[options.axis] if not options.value or str(value) in options.value]
    document = grown(options.target, options.axis, values, lambda point: in_a_process(point, options.samples))
    print(f"growth: {json.dumps(document['growth'])}; wrong: {document['wrong']}")
    if options.output:
        options.output.write_text(json.dumps(document, indent=1) + "\n")
    return 1 if document["wrong"] else 0


def grown(target: str, axis: str, values: list[Any], measure: Callable[[Point], dict[str, Any]]) -> dict[str, Any]:
    """Return the document of one axis."""
    points = []
    for value in values:
        points.append({"value": value, **measure(point_on(target, axis, value))})
        times = {row["variant"]: row["min_ms"] for row in points[-1]["timed"]}
        print(f"{axis} {value}: {times}", file=sys.stderr)
    from timing import context

    wrong = [point["value"] for point in points if any(row["max_rel_error"] > MAX_REL_ERROR for row in point["timed"])]
    by_variant = {name: exponent(axis, points, name) for name in ("edgekit", "naive")}
    return {"benchmark": "growth", "target": target, "axis": axis, "context": context(), "points": points, "growth": by_variant, "wrong": wrong}


def exponent(axis: str, points: list[dict[str, Any]], variant: str) -> float | None:
    """Return the slope of log time over the log of what grows: pixels, multiply-adds of the models, pictures or threads."""
    measure = {"resolution": lambda p: p["value"] ** 2, "depth": lambda p: p["macs"]}.get(axis, lambda p: p["value"])
    pairs = [(math.log(measure(point)), math.log(row["min_ms"])) for point in points for row in point["timed"] if row["variant"] == variant]
    if len(pairs) < 2:
        return None
    mean_x, mean_y = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
    return round(sum((x - mean_x) * (y - mean_y) for x, y in pairs) / sum((x - mean_x) ** 2 for x, _ in pairs), 3)


def in_a_process(point: Point, samples: int) -> dict[str, Any]:
    """Measure a point in a process that sees only its cores."""
    command = [sys.executable, __file__, "--point", json.dumps(asdict(point)), "--samples", str(samples)]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": str(point.threads)})
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return told


def measured(point: Point, samples: int) -> dict[str, Any]:
    """Export both ways and time them together, on the first cores that this process may use."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < point.threads:
        raise SystemExit(f"{point.threads} threads need as many cores, and {len(cores)} may be used here")
    os.sched_setaffinity(0, cores[: point.threads])
    import numpy as np
    import torch
    from naive import EXPORTERS
    from timing import interleaved_ms, relative_error, row

    import edgekit
    from edgekit.artifact import read_manifest
    from edgekit.quiet import quiet

    torch.set_num_threads(point.threads)
    model = edgekit.build_model(point.model, resolution=point.resolution)
    images = torch.randn((point.batch, 3, point.resolution, point.resolution), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        reference = model(images).numpy()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        made = edgekit.export(point.model, targets=[point.target], precision="fp32", resolution=point.resolution, output_dir=place).artifacts[0]
        naive = place / f"naive{made.path.suffix}"
        with torch.no_grad(), quiet():
            EXPORTERS[point.target](model, images, naive)
        one = opened(point.target, made.path, point.threads)
        whole = opened(point.target, naive, point.threads)
        runs = {
            "edgekit": lambda: np.concatenate([one(image[None]) for image in images.numpy()]),
            "naive": lambda: whole(images.numpy()),
        }
        times = interleaved_ms(runs, samples)
        timed = [row(name, times[name], relative_error(run(), reference)) for name, run in runs.items()]
        manifest = read_manifest(made.path)
        macs = None if manifest is None else sum(manifest.document["macs"].values())
    return {**asdict(point), "macs": macs, "timed": timed}


def opened(target: str, path: Path, threads: int) -> Callable[[Any], Any]:
    """Return a function that runs a file on pictures ``(B, 3, H, W)`` and returns its logits."""
    import numpy as np

    from edgekit.targets.registry import get_target

    executable = get_target(target).open(path, threads=threads)
    (method,) = executable.methods
    spec = method.inputs[0]
    last = spec.shape[-1] == 3

    def run(images: Any) -> Any:
        given = np.ascontiguousarray(images.transpose(0, 2, 3, 1)) if last else images
        return next(iter(executable.run(method.name, {spec.name: given}).values()))

    return run


if __name__ == "__main__":
    sys.exit(main())
