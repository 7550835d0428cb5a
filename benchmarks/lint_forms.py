"""What the linter predicts for each form of a network's Core ML program, beside the vendor's plain export.

    python benchmarks/lint_forms.py emov2-5m [--resolution 224] [--output results.json]

Counts operators and findings by rule. Nothing is timed: it shows what choosing another form would trade for what.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import naive
import torch
from forms import lower, variants
from timing import context

from edgekit.capabilities import target_facts
from edgekit.lint.run import lint_artifact
from edgekit.models.source import load_source
from edgekit.targets.registry import get_target

SHOWN = ("windows", "linear_as_conv")


def main() -> int:
    """Lower every variant, lint it, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    facts, source = target_facts("coreml"), load_source(options.model, resolution=options.resolution)
    image = torch.randn(source.input_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        reference = source.module(image).numpy()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        plain = Path(place) / "plain.mlpackage"
        naive.coreml(source.module, image, plain)
        rows.append({"variant": "Core ML Tools' own export"} | counts(plain))
        for name, forms in variants(facts).items():
            if name == "as shipped" or any(part in name for part in SHOWN):
                rows.append({"variant": name} | counts(lower(name, forms, source, facts, image, reference, Path(place))))
    for row in rows:
        found = "  ".join(f"{rule} {count}" for rule, count in row["findings"].items())
        moved = {kind: row["operators"].get(kind, 0) for kind in ("reshape", "transpose")}
        print(f"{row['variant']:<46} {sum(row['operators'].values()):5} operators  {moved}  {found}")
    document = {"benchmark": "lint_forms", "model": options.model, "resolution": options.resolution, "context": context(), "rows": rows}
    if options.output:
        options.output.write_text(json.dumps(document, indent=1) + "\n")
    return 0


def counts(path: Path) -> dict[str, Any]:
    """Return operators by kind, and findings by rule."""
    operators = dict(get_target("coreml").inspect(path).operators)
    return {"operators": operators, "findings": dict(sorted(Counter(finding.rule for finding in lint_artifact(path).findings).items()))}


if __name__ == "__main__":
    sys.exit(main())
