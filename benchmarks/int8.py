"""Artifacts in integers against the same network in floats, and against what the vendors' tools make of it, in one run.

    taskset -c 0 python benchmarks/int8.py emov2-5m [--target tflite] [--own-only] [--output results.json]

Four files a target, interleaved: the vendor's plain export in float32 and in integers throughout, edgekit's in float32 and as w8a8, calibrated on
groceries. All exits of a network that has several are one graph here. Agreement of untrained networks says that a file computes what it should.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from against_naive import SUFFIX, opened
from naive import EXPORTERS, INTEGER_EXPORTERS
from timing import context, interleaved_ms, relative_error, require_one_core, row

import edgekit
from edgekit.models.registry import model_entry
from edgekit.quiet import quiet


def main() -> None:
    """Measure, print a line a target, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--target", action="append", choices=sorted(INTEGER_EXPORTERS))
    parser.add_argument("--own-only", action="store_true", help="without the vendors' files: faster")
    parser.add_argument("--data", default="groceries")
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--keep", type=Path, help="a folder for the files, which are not made again where they are there")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    require_one_core()
    torch.set_num_threads(1)
    results = []
    for target in options.target or sorted(INTEGER_EXPORTERS):
        with tempfile.TemporaryDirectory() as place:
            results.append(measure(options, target, options.keep or Path(place)))
        print(json.dumps({key: value for key, value in results[-1].items() if key != "rows"}), flush=True)
    document = {"benchmark": "int8", "model": options.model, "data": options.data, "context": context(), "results": results}
    if options.output:
        options.output.write_text(json.dumps(document, indent=1) + "\n")


def measure(options: argparse.Namespace, target: str, place: Path) -> dict[str, Any]:
    """Export, time together, and say how the times compare."""
    model = edgekit.build_model(options.model)
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        answer = model(image)
    reference = (answer if isinstance(answer, torch.Tensor) else answer[0]).numpy()
    files: dict[str, Path] = {}
    failures: dict[str, str] = {}
    form = {"early_exit": "all"} if model_entry(options.model).exit_macs else {}
    for precision in ("fp32", "w8a8"):
        given = {"data": options.data} if precision == "w8a8" else {}
        path = next(iter((place / precision).glob(f"*{SUFFIX[target]}")), None)
        if path is None:
            made = edgekit.export(options.model, targets=[target], precision=precision, output_dir=place / precision, **form, **given)
            path = made.artifacts[0].path
        files[f"edgekit {precision}"] = path
    if not options.own_only:
        for name, exporter in (("fp32", EXPORTERS[target]), ("int8", INTEGER_EXPORTERS[target])):
            path = place / f"naive_{name}{SUFFIX[target]}"
            try:
                if not path.exists():
                    with torch.no_grad(), quiet():
                        exporter(model, image, path)
                files[f"naive {name}"] = path
            except Exception as error:  # noqa: BLE001  the vendor's failure is a result too
                failures[name] = f"{type(error).__name__}: {str(error)[:200]}"
    integers = (image / image.abs().max() * 127).to(torch.int8)  # what has no floats at its edges answers in steps that the file alone knows
    runs = {name: opened(target, path, (integers if name == "naive int8" and target == "tflite" else image).numpy()) for name, path in files.items()}
    times = interleaved_ms(runs, options.samples)
    answers = {name: run() for name, run in runs.items()}
    errors = {name: relative_error(value, reference) if value.dtype == np.float32 else None for name, value in answers.items()}
    rows = {name: row(name, times[name], errors[name]) for name in runs}
    least = {name: value["min_ms"] for name, value in rows.items()}
    return {
        "target": target,
        "min_ms": least,
        "to": {name: round(least["edgekit w8a8"] / value, 3) for name, value in least.items() if name != "edgekit w8a8"},
        "bytes": {name: path.stat().st_size for name, path in files.items()},
        "naive_errors": failures,
        "rows": list(rows.values()),
    }


if __name__ == "__main__":
    main()
