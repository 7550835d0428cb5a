"""Runs the conformance vectors against Python, as the runners of the other languages do against theirs.

python tests/conformance/runner.py    prints the cases that fail, then "N passed, N failed"
"""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from gen import RUNNERS, SCHEMA, VECTORS


def failures(path: Path) -> tuple[int, list[str]]:
    """Return how many cases of a file passed, and a sentence for each that failed. An unknown kind fails."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if document.get("schema") != SCHEMA or document.get("kind") not in RUNNERS:
        return 0, [f"{path.name}: unknown kind {document.get('kind')!r} of schema {document.get('schema')!r}"]
    passed, failed = 0, []
    for case in document["cases"]:
        wanted = {key: case[key] for key in ("expect", "error") if key in case}
        found = RUNNERS[document["kind"]](case["input"])
        if len(wanted) == 1 and found == wanted:
            passed += 1
        else:
            failed.append(f"{path.name}: {case['name']}: {found}, wanted {wanted}")
    return passed, failed


def main() -> int:
    """Run every file; 1 if a case fails or there is none."""
    passed, failed = 0, []
    for path in sorted(VECTORS.glob("*.json")):
        right, wrong = failures(path)
        passed += right
        failed += wrong
    sys.stdout.write("".join(f"{line}\n" for line in failed) + f"{passed} passed, {len(failed)} failed\n")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
