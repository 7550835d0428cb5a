"""Makes the conformance vectors: cases that every language has to decide alike. Python is the reference.

    python tests/conformance/gen.py           writes tests/conformance/vectors/*.json
    python tests/conformance/gen.py --check   ends with 1 if a file is not what would be written

A file holds ``{"schema": "edgekit-vectors/1", "kind": ..., "about": ..., "cases": [...]}``, integers, strings and null only. A case has a ``name``
that is unique in its file, an ``input``, and exactly one of ``expect`` and ``error``. A runner fails an unknown kind and prints "N passed, N failed".

What an input holds is told where it is made, in ``cases_*.py``.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "device")]

import cases_documents  # noqa: E402  they lie beside this file
import cases_exit_policy  # noqa: E402
import cases_numbers  # noqa: E402
import cases_pictures  # noqa: E402

SCHEMA = "edgekit-vectors/1"
VECTORS = Path(__file__).parent / "vectors"
Case = dict[str, Any]
_MODULES = (cases_exit_policy, cases_numbers, cases_pictures, cases_documents)

RUNNERS: dict[str, Callable[[Case], Case]] = {kind: runner for module in _MODULES for kind, runner in module.RUNNERS.items()}
INPUTS: dict[str, Callable[[], Iterator[tuple[str, Case]]]] = {kind: inputs for module in _MODULES for kind, inputs in module.INPUTS.items()}
ABOUT: dict[str, str] = {kind: about for module in _MODULES for kind, about in module.ABOUT.items()}


def document(kind: str) -> Case:
    """Return the whole file of a kind."""
    cases = [{"name": name, "input": given, **RUNNERS[kind](given)} for name, given in INPUTS[kind]()]
    base = {"base": cases_documents.BASES[kind]()} if kind in cases_documents.BASES else {}
    return {"schema": SCHEMA, "kind": kind, "about": ABOUT[kind], **base, "cases": cases}


def text(kind: str) -> str:
    """Return a kind's file, a line a case."""
    whole = document(kind)
    lines = ",\n".join("    " + json.dumps(case) for case in whole.pop("cases"))
    head = json.dumps(whole, indent=2).removesuffix("\n}")
    return f'{head},\n  "cases": [\n{lines}\n  ]\n}}\n'


def main() -> int:
    """Write or check every file."""
    parser = argparse.ArgumentParser(description="Make the conformance vectors.")
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if a file differs")
    check = parser.parse_args().check
    stale = 0
    for kind in RUNNERS:
        path = VECTORS / f"{kind}.json"
        if check:
            stale += not path.is_file() or path.read_text(encoding="utf-8") != text(kind)
        else:
            path.write_text(text(kind), encoding="utf-8")
    if stale:
        sys.stderr.write(f"{stale} files are not what gen.py writes\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
