"""Exports public networks of timm to every target, runs what was written, and keeps the table.

python tests/zoo/zoo_public.py [--only NAME ...] [--target T ...] [--output results.json]

Each network has a process of its own, so that what one leaves behind does not add up. A file of results that is there is gone on with: what has
passed is not repeated, unless by other versions.
"""

# ruff: noqa: T201  what it prints is what it is for

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from attrs import asdict
from public_networks import NETWORKS
from zoo_results import missing, replaced, rows_so_far, show_counts, write
from zoo_table import HERE, export

from edgekit.capabilities import TARGETS


def one(name: str, targets: Sequence[str]) -> None:
    """Export one network to some targets, and print an outcome a line."""
    for target in targets:
        outcome = export(name, f"{HERE / 'public_networks.py'}:{name}", target, NETWORKS[name])
        print(json.dumps(asdict(outcome)), flush=True)


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
        wanted = missing(rows, name, targets)
        if not wanted:
            continue
        command = [sys.executable, __file__, "--alone", name, *(part for target in wanted for part in ("--target", target))]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        new = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
        done = {row["target"] for row in new}
        died = f"the process ended with {ran.returncode}"
        new += [{"name": name, "target": target, "passed": False, "stage": "DIED", "said": died} for target in wanted if target not in done]
        rows = replaced(rows, new)
        print(name, *(f"{row['target']} {'pass' if row['passed'] else row['stage']}" for row in new), file=sys.stderr, flush=True)
        if arguments.output:
            write(arguments.output, "networks", NETWORKS, rows)
    show_counts(rows)


if __name__ == "__main__":
    main()
