"""edgekit's artifacts against the vendors' plain exports of the same eager model, in one run.

    taskset -c 0 python benchmarks/against_naive.py emov2-5m [--resolution 512] [--output results.json]

Exits with 1 if an artifact of ours is slower than the naive one, or further than 1e-4 from eager.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from naive import EXPORTERS
from timing import context, interleaved_ms, relative_error, require_one_core, row

import edgekit
from edgekit.quiet import quiet
from edgekit.targets.registry import get_target

SUFFIX = {"tflite": ".tflite", "executorch": ".pte", "onnx": ".onnx"}
MAX_REL_ERROR = 1e-4


def main() -> int:
    """Measure, print a table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--target", action="append", choices=sorted(EXPORTERS))
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    require_one_core()
    torch.set_num_threads(1)

    model = edgekit.build_model(options.model, resolution=options.resolution)
    shape = (1, 3, options.resolution, options.resolution)
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        reference = model(image).numpy()
    results = []
    with tempfile.TemporaryDirectory() as place:
        for target in options.target or sorted(EXPORTERS):
            results.append(measure(target, options, model, image, reference, Path(place)))
            print(json.dumps({key: value for key, value in results[-1].items() if key != "rows"}))
    document = {"benchmark": "against_naive", "model": options.model, "resolution": options.resolution, "context": context(), "results": results}
    if options.output:
        options.output.write_text(json.dumps(document, indent=1) + "\n")
    slower = [r["target"] for r in results if (r["ratio"] is not None and r["ratio"] > 1) or r["ours_max_rel_error"] > MAX_REL_ERROR]
    print(f"slower or wrong: {', '.join(slower)}" if slower else "no artifact is slower than the naive one")
    return 1 if slower else 0


def measure(
    target: str, options: argparse.Namespace, model: torch.nn.Module, image: torch.Tensor, reference: np.ndarray, place: Path
) -> dict[str, Any]:
    """Export both ways and time them together."""
    ours = edgekit.export(options.model, targets=[target], precision="fp32", resolution=options.resolution, output_dir=place)
    runs = {"edgekit": opened(target, ours.artifacts[0].path, image.numpy())}
    naive_path = place / f"naive{SUFFIX[target]}"
    naive_error = None
    try:
        with torch.no_grad(), quiet():
            EXPORTERS[target](model, image, naive_path)
        runs["naive"] = opened(target, naive_path, image.numpy())
        runs["naive"]()
    except Exception as error:  # noqa: BLE001  the vendor's failure is a result too
        runs.pop("naive", None)
        naive_error = f"{type(error).__name__}: {str(error)[:200]}"
    times = interleaved_ms(runs, options.samples)
    rows = {name: row(name, times[name], relative_error(runs[name](), reference)) for name in runs}
    naive_ms = rows["naive"]["min_ms"] if "naive" in rows else None
    return {
        "target": target,
        "edgekit_ms": rows["edgekit"]["min_ms"],
        "naive_ms": naive_ms,
        "ratio": None if naive_ms is None else round(rows["edgekit"]["min_ms"] / naive_ms, 3),
        "naive_error": naive_error,
        "ours_max_rel_error": rows["edgekit"]["max_rel_error"],
        "size_bytes": ours.artifacts[0].size_bytes,
        "rows": list(rows.values()),
    }


def opened(target: str, path: Path, image: np.ndarray) -> Any:
    """Return a function that runs an artifact on the image and returns its logits."""
    executable = get_target(target).open(path, threads=1)
    (method,) = executable.methods
    spec = method.inputs[0]
    given = {spec.name: np.ascontiguousarray(image.transpose(0, 2, 3, 1)) if spec.shape[-1] == 3 else image}
    return lambda: next(iter(executable.run(method.name, given).values()))


if __name__ == "__main__":
    sys.exit(main())
