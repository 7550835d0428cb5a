"""Which form of each rewrite a runtime likes best: the measurement behind the ``forms`` rows in capabilities.

    taskset -c 0 python benchmarks/forms.py tflite emov2-5m [--resolution 224] [--output results.json]

Every variant is the target's own list of rewrites with one change: another window form, a rewrite left out, or one
added. All are lowered, checked against eager, and timed in one interleaved run. Core ML does not run on Linux:
for it the operators of the lowered programs are counted instead.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import attrs
import torch
from against_naive import opened
from timing import context, interleaved_ms, relative_error, require_one_core, row

from edgekit.capabilities import Form, TargetFacts, target_facts
from edgekit.declared import metadata_for, method_spec
from edgekit.methods import FORWARD
from edgekit.models.source import SourceModel, load_source
from edgekit.programs import rewritten_program
from edgekit.recipe import Recipe
from edgekit.rewrites.registry import MODULE_REWRITES
from edgekit.rewrites.static_windows import StaticWindows
from edgekit.targets.base import LoweringJob
from edgekit.targets.registry import get_target
from edgekit.verification.cases import Case

WINDOWS = tuple(rewrite.name for rewrite in MODULE_REWRITES if isinstance(rewrite, StaticWindows))
OPTIONAL = (
    "batch_window_partitions",
    "transpose_keys",
    "layer_norm_as_arithmetic",
    "layer_norm_as_convs",
    "post_scale_layer_norm",
    "merge_shared_projections",
    "merge_shared_projections_sliced",
    "keep_mean_axes",
)


def variants(facts: TargetFacts) -> dict[str, tuple[str, ...]]:
    """Return the rewrites of each variant by its name; ``as shipped`` first."""
    shipped = tuple(form.rewrite for form in facts.forms)
    window = next(name for name in shipped if name in WINDOWS)
    found = {"as shipped": shipped}
    for other in WINDOWS:
        if other != window:
            found[f"windows: {other}"] = tuple(other if name == window else name for name in shipped)
    for name in OPTIONAL:
        if name in shipped:
            found[f"without {name}"] = tuple(n for n in shipped if n != name)
        else:
            found[f"with {name}"] = (*shipped, name)
    for name in shipped:
        if name not in WINDOWS and name not in OPTIONAL:
            found[f"without {name}"] = tuple(n for n in shipped if n != name)
    return found


def main() -> int:
    """Lower every variant, time them together, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target")
    parser.add_argument("model")
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--only", action="append", help="part of a variant's name; repeat for several")
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    require_one_core()
    torch.set_num_threads(1)
    facts, target = target_facts(options.target), get_target(options.target)
    source = load_source(options.model, resolution=options.resolution)
    image = torch.randn(source.input_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        reference = source.module(image).numpy()
    chosen = {
        name: forms
        for name, forms in variants(facts).items()
        if name == "as shipped" or not options.only or any(part in name for part in options.only)
    }
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        paths = {name: lower(name, forms, source, facts, image, reference, Path(place)) for name, forms in chosen.items()}
        counts = {
            name: {"operators": dict(target.inspect(path).operators), "subgraphs": target.inspect(path).delegation.subgraphs}
            for name, path in paths.items()
        }
        if target.executed_by is None or facts.name == "coreml":
            rows = [{"variant": name, **counts[name]} for name in paths]
        else:
            runs = {name: opened(facts.name, path, image.numpy()) for name, path in paths.items()}
            times = interleaved_ms(runs, options.samples)
            rows = [row(name, times[name], relative_error(runs[name](), reference)) | counts[name] for name in runs]
    for entry in rows:
        total = sum(entry["operators"].values())
        print(f"{entry['variant']:<46} {entry.get('min_ms', float('nan')):8.3f} ms  {total:5} operators  {entry['subgraphs']} subgraphs")
    document = {
        "benchmark": "forms",
        "target": facts.name,
        "model": options.model,
        "resolution": options.resolution,
        "context": context(),
        "rows": rows,
    }
    if options.output:
        options.output.write_text(json.dumps(document, indent=1) + "\n")
    return 0


def lower(name: str, forms: tuple[str, ...], source: SourceModel, facts: TargetFacts, image: torch.Tensor, reference: Any, place: Path) -> Path:
    """Write one variant and return its path."""
    wanted = attrs.evolve(facts, forms=tuple(Form(rewrite=form, measured="under test") for form in forms))
    program, _ = rewritten_program(source.name, source.module, wanted, (image,))
    recipe = Recipe(model=source.name, target=facts.name, input="tensor")
    path = place / (name.replace(" ", "_").replace(":", "") + facts.suffix)
    case = Case(method=FORWARD, module=source.module, after=None, inputs=({"image": image.numpy()},), outputs={"logits": [reference]})
    methods = (method_spec(recipe, facts, case),)
    get_target(facts.name).lower(
        LoweringJob(programs={FORWARD: program}, methods=methods, recipe=recipe, metadata=metadata_for(source, ()), destination=path)
    )
    return path


if __name__ == "__main__":
    sys.exit(main())
