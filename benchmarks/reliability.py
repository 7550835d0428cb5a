"""Bad days and hostile files, in numbers: kills, full disks, folders that go away, exports at once, damage, and changed files for every reader.

    taskset -c 0 python benchmarks/reliability.py --output benchmarks/results/reliability.json             hours; the suite has a few of each
    taskset -c 0 python benchmarks/reliability.py --output FILE --only kills --only "fuzz lock"
    taskset -c 0 python benchmarks/reliability.py --output FILE --only guided --seconds 60                  needs edgekit's extra "fuzz"

Each part is stored when it is done, with its day, machine and versions, so the run can be stopped and taken up again: what is stored is left out.
``--only`` chooses by the beginning of a part's name. Two networks are exported to all targets first, which takes a quarter of a minute.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from timing import context

_NAME = "reliability"


def main() -> int:
    """Run what is chosen and not stored yet; 1: a promise was not kept, or a part broke off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--only", action="append", default=[], metavar="PART", help="parts whose names begin so")
    parser.add_argument("--again", action="store_true", help="also what is stored")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no part after these")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of changed files")
    parser.add_argument("--seconds", type=int, default=60, help="of each coverage-guided search")
    options = parser.parse_args()
    from reliability_parts import parts

    bad, end = 0, time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory(prefix="edgekit-reliability-") as name:
        every = list(parts(Path(name), kills=options.kills, scale=options.scale, seconds=options.seconds))
        names = [part.name for part in every]
        for number, part in enumerate(every):
            stored = _stored(options.output)
            if (part.name in stored and not options.again) or not _is_chosen(part.name, options.only) or time.monotonic() > end:
                continue
            folder = Path(name) / f"part-{number}"
            folder.mkdir()
            load, start = os.getloadavg()[0], time.perf_counter()
            try:
                figures = part.run(folder)
            except Exception:  # noqa: BLE001  the other parts are worth having
                traceback.print_exc()
                bad += 1
                continue
            row = {"part": part.name, "kind": part.kind, "seconds": round(time.perf_counter() - start, 1), "figures": figures}
            _store(options.output, names, {**_stored(options.output), part.name: row | {"context": context() | {"load_before": round(load, 2)}}})
            bad += bool(figures["broken"])
            sys.stderr.write(f"{part.name}: {row['seconds']} s, {figures}\n")
    return int(bool(bad))


def _is_chosen(name: str, only: Sequence[str]) -> bool:
    return not only or any(name.startswith(beginning) for beginning in only)


def _stored(path: Path) -> dict[str, Any]:
    """Return the parts that a file holds, by name."""
    return {row["part"]: row for row in json.loads(path.read_text())["parts"]} if path.exists() else {}


def _store(path: Path, names: Sequence[str], rows: dict[str, Any]) -> None:
    """Write the parts in the order of the run, and the names of those that were not run; parts that are no more are left out."""
    done = [rows[name] for name in names if name in rows]
    document = {"benchmark": _NAME, "parts": done, "not_run": [name for name in names if name not in rows]}
    place = path.with_suffix(".part")
    place.write_text(json.dumps(document, indent=1) + "\n")
    place.replace(path)


if __name__ == "__main__":
    sys.exit(main())
