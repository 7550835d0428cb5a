"""What the zoo's two runs store: an outcome for each module or network and target, and what it depends on."""

# ruff: noqa: T201  what it prints is what it is for

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgekit.capabilities import TARGETS
from edgekit.version import __version__

PACKAGES = ("torch", "timm", "coremltools", "litert-torch", "ai-edge-litert", "executorch", "onnx", "onnxruntime", "coreai-torch")


def versions() -> dict[str, str]:
    """Return the versions of what an outcome depends on."""
    return {"edgekit": __version__} | {name: version(name) for name in PACKAGES}


def rows_so_far(path: Path | None) -> list[dict[str, Any]]:
    """Return the rows of a file of results that the versions here have written."""
    if path is None or not path.exists():
        return []
    document = json.loads(path.read_text(encoding="utf-8"))
    return list(document["results"]) if document["versions"] == versions() else []


def missing(rows: Sequence[Mapping[str, Any]], name: str, targets: Sequence[str]) -> list[str]:
    """Return the targets for which a module or network has not passed yet."""
    passed = {row["target"] for row in rows if row["name"] == name and row["passed"]}
    return [target for target in targets if target not in passed]


def replaced(rows: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with new ones in the place of those for the same name and target."""
    fresh = {(row["name"], row["target"]) for row in new}
    return [*(row for row in rows if (row["name"], row["target"]) not in fresh), *new]


def write(path: Path, what: str, names: Mapping[str, int], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the table, in the order of the names and targets.

    :param what: ``modules`` or ``networks``. :param names: with the resolution of each.
    """
    order = {name: place for place, name in enumerate(names)}
    targets = [facts.name for facts in TARGETS]
    document = {
        "benchmark": "zoo",
        "what": what,
        "day": datetime.now(tz=UTC).date().isoformat(),
        "machine": platform.machine(),
        "precision": "fp32",
        "versions": versions(),
        "resolutions": dict(names),
        "results": sorted(rows, key=lambda row: (order[row["name"]], targets.index(row["target"]))),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def show_counts(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print how many of the rows of each target passed, and below what stopped the others."""
    for target in dict.fromkeys(row["target"] for row in rows):
        there = [row for row in rows if row["target"] == target]
        print(f"{target}: {sum(row['passed'] for row in there)} of {len(there)}")
    for row in rows:
        if not row["passed"]:
            print(f"\n{row['name']}, {row['target']}: {row['said']}")
