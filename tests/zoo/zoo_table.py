"""Exports every module of the zoo to every target, runs what was written, and prints what passes and what stops the rest.

python tests/zoo/zoo_table.py [--only NAME ...] [--target T ...] [--output results.json]

A file of results that is there is gone on with: what has passed is not repeated, unless by other versions.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from attrs import asdict, frozen
from zoo_results import missing, replaced, rows_so_far, show_counts, write

import edgekit
from edgekit.capabilities import TARGETS
from edgekit.errors import EdgekitError

HERE = Path(__file__).parent
FILES = ("zoo_ordering.py", "zoo_tokens.py", "zoo_shaping.py", "zoo_layers.py", "zoo_interfaces.py", "zoo_networks.py")
RESOLUTION = 32


@frozen(kw_only=True)
class Outcome:
    """What became of one module for one target; ``stage`` is the kind of error that stopped it."""

    name: str
    target: str
    passed: bool
    stage: str = ""
    said: str = ""
    max_rel_error: float | None = None
    seconds: float = 0.0


def entries() -> Iterator[tuple[str, str]]:
    """Yield every module's name and where its factory is."""
    for file in FILES:
        for pair in re.findall(r"^@entry\nclass (\w+)|^def ([a-z_]+)\(\):", (HERE / file).read_text(), re.MULTILINE):
            name = pair[0] or pair[1]
            yield name, f"{HERE / file}:{name}"


def export(name: str, factory: str, target: str, resolution: int = RESOLUTION) -> Outcome:
    """Export one module to one target."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            (done,) = edgekit.export(factory, targets=[target], precision="fp32", resolution=resolution, output_dir=folder).artifacts
        except EdgekitError as error:
            said = "\n".join([error.summary, *(f"{label}: {text}" for label, text in error.parts)])
            return Outcome(name=name, target=target, passed=False, stage=type(error).__name__, said=said, seconds=time.perf_counter() - start)
        except Exception as error:  # noqa: BLE001  a defect of edgekit's is a row, too
            said = f"{type(error).__name__}: {error}"
            return Outcome(name=name, target=target, passed=False, stage="INTERNAL", said=said, seconds=time.perf_counter() - start)
    verdict = done.parity.verdict
    seconds = time.perf_counter() - start
    if verdict != "pass":
        return Outcome(name=name, target=target, passed=False, stage=verdict, said=done.parity.reason or "", seconds=seconds)
    return Outcome(name=name, target=target, passed=True, max_rel_error=done.parity.max_rel_error, seconds=seconds)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append")
    parser.add_argument("--target", action="append")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    targets = arguments.target or [facts.name for facts in TARGETS]
    factories = dict(entries())
    rows = rows_so_far(arguments.output)
    for name in arguments.only or factories:
        for target in missing(rows, name, targets):
            outcome = export(name, factories[name], target)
            rows = replaced(rows, [asdict(outcome)])
            print(f"{name} {target} {'pass' if outcome.passed else outcome.stage} {outcome.seconds:.1f} s", file=sys.stderr, flush=True)
        if arguments.output:
            write(arguments.output, "modules", dict.fromkeys(factories, RESOLUTION), rows)
    show_counts(rows)


if __name__ == "__main__":
    main()
