"""IMC-Net in edgekit's form against ViT-B/16 in the vendors' plain export, and what the vendors make of IMC-Net itself.

    taskset -c 0 python benchmarks/imcnet.py [--target tflite] [--samples 40] [--output results.json]

For each runtime, in one interleaved run: imcnet-b16 as shipped, its dense-mask form, and ViT-B/16 (86.57 M parameters, ``vit.py``). Then the
vendor's converter is given the eager imcnet-b16, and what comes of it is written down: a failure is caught and kept, with its stage.
Exits with 1 if the shipped form is slower than its dense-mask form or a ratio to ViT-B/16 is below the limit.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from against_naive import MAX_REL_ERROR, SUFFIX, opened
from naive import EXPORTERS
from timing import context, interleaved_ms, relative_error, require_one_core, row
from vit import ViT

import edgekit
from edgekit import pipeline
from edgekit.capabilities import Form, target_facts
from edgekit.quiet import quiet

MIN_RATIO = {"tflite": 2.0, "executorch": 2.2, "onnx": 2.2}
_FIXED = "fixed_count_"


def main() -> int:
    """Measure, print a table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="imcnet-b16")
    parser.add_argument("--target", action="append", choices=sorted(EXPORTERS))
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    require_one_core()
    torch.set_num_threads(1)
    model, vit = edgekit.build_model(options.model), ViT().eval()
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        reference, plain = model(image).numpy(), vit(image).numpy()
    results = []
    with tempfile.TemporaryDirectory() as place:
        for target in options.target or sorted(EXPORTERS):
            folder = Path(place) / target
            results.append(measure(target, options, model, vit, image, (reference, plain), folder))
            print(json.dumps({key: value for key, value in results[-1].items() if key != "rows"}))
    document = {"benchmark": "imcnet", "model": options.model, "context": context(), "results": results}
    if options.output:
        options.output.write_text(json.dumps(document, indent=1) + "\n")
    bad = [
        r["target"] for r in results if r["ratio_to_vit"] < MIN_RATIO[r["target"]] or r["ratio_to_dense"] < 1 or r["max_rel_error"] > MAX_REL_ERROR
    ]
    print(f"too slow or wrong: {', '.join(bad)}" if bad else "faster than both everywhere")
    return 1 if bad else 0


def measure(
    target: str,
    options: argparse.Namespace,
    model: torch.nn.Module,
    vit: torch.nn.Module,
    image: torch.Tensor,
    references: tuple[np.ndarray, np.ndarray],
    place: Path,
) -> dict[str, Any]:
    """Export all three, time them together, and try the vendor on the eager model."""
    place.mkdir()
    facts = target_facts(target)
    paths = {"edgekit": edgekit.export(options.model, targets=[target], precision="fp32", output_dir=place).artifacts[0].path}
    paths["edgekit, dense mask"] = with_forms(
        options.model, target, tuple(form for form in facts.forms if not form.rewrite.startswith(_FIXED)), place / "dense"
    )
    paths["ViT-B/16, naive"] = place / f"vit{SUFFIX[target]}"
    with torch.no_grad(), quiet():
        EXPORTERS[target](vit, image, paths["ViT-B/16, naive"])
    runs = {name: opened(target, path, image.numpy()) for name, path in paths.items()}
    times = interleaved_ms(runs, options.samples)
    own, plain = references
    rows = {name: row(name, times[name], relative_error(runs[name](), plain if "ViT" in name else own)) for name in runs}
    shipped = rows["edgekit"]["min_ms"]
    return {
        "target": target,
        **{f"{name}_ms": rows[name]["min_ms"] for name in rows},
        "ratio_to_vit": round(rows["ViT-B/16, naive"]["min_ms"] / shipped, 3),
        "ratio_to_dense": round(rows["edgekit, dense mask"]["min_ms"] / shipped, 3),
        "max_rel_error": rows["edgekit"]["max_rel_error"],
        "size_bytes": paths["edgekit"].stat().st_size,
        "vendor_on_eager": vendor(target, model, image, own, place),
        "rows": list(rows.values()),
    }


def with_forms(model: str, target: str, forms: tuple[Form, ...], place: Path) -> Path:
    """Export with other rewrites than the target's own."""
    shipped = pipeline.target_facts
    pipeline.target_facts = lambda name: attrs.evolve(shipped(name), forms=forms)
    try:
        return edgekit.export(model, targets=[target], precision="fp32", output_dir=place).artifacts[0].path
    finally:
        pipeline.target_facts = shipped


def vendor(target: str, model: torch.nn.Module, image: torch.Tensor, reference: np.ndarray, place: Path) -> str:
    """Give the vendor's converter the eager model; say how far that went."""
    path = place / f"eager{SUFFIX[target]}"
    run: Callable[[], np.ndarray] | None = None
    for stage, step in (("converting", lambda: EXPORTERS[target](model, image, path)), ("loading", lambda: opened(target, path, image.numpy()))):
        try:
            with torch.no_grad(), quiet():
                run = step()
        except Exception as error:  # noqa: BLE001  the failure is the result
            return f"fails when {stage}: {described(error)}"
    try:
        assert run is not None  # noqa: S101
        return f"runs, relative error {relative_error(run(), reference):.1e}"
    except Exception as error:  # noqa: BLE001
        return f"fails when running: {described(error)}"


def described(error: Exception) -> str:
    """Return an error in one line, without the colours that torch puts into it."""
    return f"{type(error).__name__}: {' '.join(re.sub(chr(27) + '[^m]*m', '', str(error)).split())[:200]}"


if __name__ == "__main__":
    sys.exit(main())
