"""Where the time of a run goes, of edgekit's file and of the vendor's plain export: what is arithmetic, and what could be saved at best.

    taskset -c 0 python benchmarks/where_time_goes.py emov2-5m [--resolution 512] [--target onnx] [--output results.json]

Each operator counts with the least of its times over several runs, as its runtime's own profiler tells them. ``floor`` is what edgekit's file would
take of the plain export's time if only products of matrices, convolutions and functions of one value were left, with the kernels that the runtime
has: no rewrite of what lies between them gets lower.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from timing import context, require_one_core

CLASSES = {
    "products": ("conv", "gemm", "matmul", "matrix multiply", "fully connected"),
    "moves": ("transpose", "reshape", "reorder", "copy", "concat", "slice", "split", "pad", "gather", "squeeze", "expand", "identity"),
    "functions": ("sigmoid", "gelu", "softmax", "tanh", "silu", "exp", "erf"),  # after expand
}
OTHER = "sums, norms and the rest"
KEPT = ("products", "functions")


def main() -> int:
    """Profile both forms for each target, print shares, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--target", action="append", choices=("tflite", "executorch", "onnx"))
    parser.add_argument("--repeats", type=int, default=4, help="profiles of a file, of ten runs each")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    require_one_core()
    results = []
    with tempfile.TemporaryDirectory() as place:
        for target in options.target or ("tflite", "executorch", "onnx"):
            results.append(measured(target, options.model, options.resolution, options.repeats, Path(place)))
            print(f"{target}: floor {results[-1]['floor']}, edgekit {results[-1]['edgekit']['classes']}")
    document = {
        "benchmark": "where_time_goes",
        "model": options.model,
        "resolution": options.resolution,
        "context": context(),
        "profiles_of": results,
    }
    if options.output:
        options.output.write_text(json.dumps(document, indent=1) + "\n")
    return 0


def measured(target: str, model: str, resolution: int, repeats: int, place: Path) -> dict[str, Any]:
    """Export both ways and profile both."""
    import torch
    from naive import EXPORTERS

    import edgekit
    from edgekit.quiet import quiet

    torch.set_num_threads(1)
    eager = edgekit.build_model(model, resolution=resolution)
    image = torch.randn((1, 3, resolution, resolution), generator=torch.Generator().manual_seed(0))
    ours = edgekit.export(model, targets=[target], precision="fp32", resolution=resolution, output_dir=place).artifacts[0].path
    naive = place / f"naive{ours.suffix}"
    with torch.no_grad(), quiet():
        EXPORTERS[target](eager, image, naive)
    return compared(target, told(ours, repeats), told(naive, repeats))


def told(path: Path, repeats: int) -> dict[str, tuple[float, int]]:
    """Return least milliseconds and calls by kind of operator."""
    from edgekit.bench.profiling import profile

    profiles = [profile(path, threads=1)[0] for _ in range(repeats)]
    if not profiles[0].rows:
        raise SystemExit(f"no profile of {path.name}: {profiles[0].note}")
    kinds: dict[str, tuple[float, int]] = {}
    for rows in zip(*(each.rows for each in profiles), strict=True):
        ms, calls = kinds.get(rows[0].name, (0.0, 0))
        kinds[rows[0].name] = (ms + min(row.least_ms for row in rows if row.least_ms is not None), calls + rows[0].calls)
    return kinds


def compared(target: str, ours: dict[str, tuple[float, int]], naive: dict[str, tuple[float, int]]) -> dict[str, Any]:
    """Return both breakdowns and the floor."""
    forms = {"edgekit": described(ours), "naive": described(naive)}
    whole = sum(forms["naive"]["classes"].values())
    kept = sum(ms for name, ms in forms["edgekit"]["classes"].items() if name in KEPT)
    return {
        "target": target,
        "ratio": round(sum(forms["edgekit"]["classes"].values()) / whole, 3),
        "floor": round(kept / whole, 3),
        **forms,
    }


def described(kinds: dict[str, tuple[float, int]]) -> dict[str, Any]:
    """Return milliseconds by class, and by kind with the slowest first."""
    classes = dict.fromkeys((*CLASSES, OTHER), 0.0)
    for name, (ms, _) in kinds.items():
        classes[class_of(name)] += ms
    slowest = sorted(kinds.items(), key=lambda item: -item[1][0])
    return {
        "classes": {name: round(ms, 3) for name, ms in classes.items()},
        "kinds": [{"name": name, "class": class_of(name), "least_ms": round(ms, 4), "calls": calls} for name, (ms, calls) in slowest],
    }


def class_of(kind: str) -> str:
    """Return the class of a runtime's operator by its name."""
    return next((name for name, words in CLASSES.items() if _has(kind, words)), OTHER)


def _has(kind: str, words: Iterable[str]) -> bool:
    return any(word in kind.lower() for word in words)


if __name__ == "__main__":
    sys.exit(main())
