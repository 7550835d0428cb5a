"""Exports public networks of timm to every target, runs what was written, and keeps the table.

python tests/zoo/zoo_public.py [--only NAME ...] [--target T ...] [--output results.json]

Each network has a process of its own, so that what one leaves behind does not add up. A file of results that is there is gone on with: what has
passed is not repeated, unless by other versions.
"""

# ruff: noqa: T201  what it prints is what it is for

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from attrs import asdict
from public_networks import NETWORKS
from zoo_table import HERE, export, show_counts

from edgekit.capabilities import TARGETS
from edgekit.version import __version__

PACKAGES = ("torch", "timm", "coremltools", "litert-torch", "ai-edge-litert", "executorch", "onnx", "onnxruntime", "coreai-torch")


def one(name: str, targets: Sequence[str]) -> None:
    """Export one network to some targets, and print an outcome a line."""
    for target in targets:
        outcome = export(name, f"{HERE / 'public_networks.py'}:{name}", target, NETWORKS[name])
        print(json.dumps(asdict(outcome)), flush=True)


def versions() -> dict[str, str]:
    """Return the versions of what an outcome depends on."""
    return {"edgekit": __version__} | {name: version(name) for name in PACKAGES}


def rows_so_far(path: Path | None) -> list[dict[str, Any]]:
    """Return the rows of a file of results that the versions here have written."""
    if path is None or not path.exists():
        return []
    document = json.loads(path.read_text())
    return list(document["results"]) if document["versions"] == versions() else []


def write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the table with what it depends on, in the order of the networks."""
    order = {name: place for place, name in enumerate(NETWORKS)}
    targets = [facts.name for facts in TARGETS]
    document = {
        "what": "public networks of timm, default configurations, random weights as timm initialises them; exported by edgekit and run",
        "day": datetime.now(tz=UTC).date().isoformat(),
        "machine": platform.machine(),
        "precision": "fp32",
        "versions": versions(),
        "resolutions": NETWORKS,
        "results": sorted(rows, key=lambda row: (order[row["name"]], targets.index(row["target"]))),
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=list(NETWORKS))
    parser.add_argument("--target", action="append", choices=[facts.name for facts in TARGETS])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    targets = arguments.target or [facts.name for facts in TARGETS]
    if arguments.alone:
        one(arguments.alone, targets)
        return
    rows = rows_so_far(arguments.output)
    for name in arguments.only or NETWORKS:
        wanted = [target for target in targets if not any(row["name"] == name and row["target"] == target and row["passed"] for row in rows)]
        if not wanted:
            continue
        command = [sys.executable, __file__, "--alone", name, *(part for target in wanted for part in ("--target", target))]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        new = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
        done = {row["target"] for row in new}
        died = f"the process ended with {ran.returncode}"
        new += [{"name": name, "target": target, "passed": False, "stage": "DIED", "said": died} for target in wanted if target not in done]
        rows = [row for row in rows if not (row["name"] == name and row["target"] in wanted)] + new
        print(name, *(f"{row['target']} {'pass' if row['passed'] else row['stage']}" for row in new), file=sys.stderr, flush=True)
        if arguments.output:
            arguments.output.parent.mkdir(parents=True, exist_ok=True)
            write(arguments.output, rows)
    show_counts(rows)


if __name__ == "__main__":
    main()
