"""Bad days and hostile files, in numbers: kills, full disks, folders that go away, exports at once, damage, and changed files for every reader.

    python benchmarks/reliability.py faults fuzz --output benchmarks/results/reliability.json       hours; the suite has a few of each
    python benchmarks/reliability.py guided --reader lock --seconds 600                             coverage-guided; needs atheris

A result that is there already keeps the parts that are not run again.
"""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / "reliability"), str(ROOT / "tests")]
TEXT_CASES, BINARY_CASES = 100_000, 10_000
_SLOW = ("coreai",)
"""Read in a process of their own, a second each: so many fewer."""


def models(folder: Path) -> tuple[str, str]:
    """Write two networks whose artifacts have one name and other weights."""
    import conftest

    found = []
    for number in range(2):
        (folder / str(number)).mkdir(parents=True)
        file = folder / str(number) / "net.py"
        file.write_text(conftest.NET.replace('"NET_SEED", "0"', f'"NET_SEED", "{number}"'))
        found.append(f"{file}:build")
    return found[0], found[1]


def run_faults(folder: Path, kills: int) -> dict[str, Any]:
    """Run every fault once, with as many kills."""
    import damage
    import faults

    nets, log = models(folder / "models"), folder / "crashes.txt"
    found: dict[str, Any] = {"kills": _timed(lambda: faults.kills(nets, folder / "kills", kills))}
    for what in ("full", "read-only", "vanishing"):
        found[what.replace("-", "_")] = _timed(lambda what=what: faults.failing(nets, folder / what, what, log=log))
    found["full_disk_of_tmpfs"] = _timed(lambda: tmpfs(nets, folder / "tmpfs"))
    found["at_once"] = [
        _timed(lambda n=n, s=same, o=overwrite: faults.simultaneous(nets, folder / f"at-once-{n}-{s}-{o}", n, same=s, overwrite=o))
        for n in (2, 8)
        for same, overwrite in ((True, True), (False, True), (True, False))
    ]
    found["clock_back"] = _timed(lambda: faults.clock_back(nets, folder / "clock"))
    found["damaged_artifacts"] = _timed(lambda: damage.damaged(nets, folder / "damaged", 2000))
    found["damaged_cache"] = _timed(lambda: damage.damaged_cache(folder / "cache", 1000))
    found["crashes"] = log.read_text()[-4000:] if log.exists() else None
    return found


def tmpfs(nets: tuple[str, str], folder: Path) -> dict[str, Any]:
    """Export onto a disk that is really full, at many sizes; needs to be allowed to mount one."""
    import faults

    known, _, _ = faults.digests(nets, folder / "sound")
    disk = folder / "disk"
    disk.mkdir()
    rows = []
    for kibibytes in range(4, 129, 4):
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "edgekit", str(disk)], check=False, capture_output=True)  # noqa: S607
        if mounted.returncode:
            return {"not_executed": mounted.stderr.decode(errors="replace").strip()[:200]}
        try:
            code = faults.ended(faults.forked(lambda: faults.export(nets[0], disk / "out")))
            rows.append(
                {"kibibytes": kibibytes, "exit": code, "state": faults.state(disk / "out", known), "leftovers": faults.leftovers(disk / "out")}
            )
        finally:
            subprocess.run(["umount", str(disk)], check=True)  # noqa: S607
    return {"sizes": rows}


def run_fuzz(folder: Path, scale: float, only: str | None) -> dict[str, Any]:
    """Change files for every reader."""
    import guarded
    import readers

    import edgekit

    (net, _), canary = models(folder / "models"), folder / "canary"
    options = {"resolution": 32, "atol": 1.0, "output_dir": folder / "artifacts"}
    made = {row.target: row.path for row in edgekit.export(net, targets=["onnx", "coreml", "tflite", "executorch", "coreai"], **options).artifacts}
    (folder / "seeds").mkdir()
    every = (*readers.text_readers(made["onnx"], folder / "seeds"), *readers.checkpoint_readers(canary), *readers.artifact_readers(made))
    rows = []
    for reader in every:
        if only not in (None, reader.name):
            continue
        most = TEXT_CASES if reader.text else BINARY_CASES
        cases = max(1, int(scale * (most // 100 if reader.name.startswith(_SLOW) else most)))
        start = time.perf_counter()
        outcome = guarded.fuzz(reader, cases).to_json()
        rows.append(outcome | {"seconds": round(time.perf_counter() - start, 1)})
        sys.stderr.write(f"{reader.name}: {outcome}\n")
    return {
        "readers": rows,
        "code_in_checkpoints": "run" if canary.exists() else "not run",
    }


def run_guided(folder: Path, name: str, seconds: int) -> None:
    """Let atheris look for files that reach new lines of a reader; ends with what it printed."""
    import atheris

    with atheris.instrument_imports(include=["edgekit", "tomllib", "json"]):
        import readers

        import edgekit
        from edgekit.errors import EdgekitError

    net, _ = models(folder / "models")
    (row,) = edgekit.export(net, targets=["onnx"], resolution=32, output_dir=folder / "artifacts").artifacts
    (folder / "seeds").mkdir()
    every = (
        *readers.text_readers(row.path, folder / "seeds"),
        *readers.checkpoint_readers(folder / "canary"),
        *readers.artifact_readers({"onnx": row.path}),
    )
    reader = next(each for each in every if each.name == name)
    corpus, place = folder / "corpus", folder / "case" / reader.place
    corpus.mkdir()
    place.parent.mkdir(parents=True)
    reader.around(folder / "case")
    for number, seed in enumerate(reader.seeds):
        (corpus / str(number)).write_bytes(seed)

    def one(content: bytes) -> None:
        place.write_bytes(content)
        with contextlib.suppress(EdgekitError):
            reader.read(place)

    atheris.Setup([sys.argv[0], str(corpus), f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=4096", "-max_len=65536"], one)
    atheris.Fuzz()


def _timed(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    start = time.perf_counter()
    found = work()
    sys.stderr.write(f"{found}\n")
    return found | {"seconds": round(time.perf_counter() - start, 1)}


def main() -> None:
    """Run the parts that are named and write their figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=("faults", "fuzz", "guided"))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of changed files")
    parser.add_argument("--reader")
    parser.add_argument("--seconds", type=int, default=600)
    arguments = parser.parse_args()
    found = json.loads(arguments.output.read_text()) if arguments.output and arguments.output.exists() else {}
    found["context"] = {"python": platform.python_version(), "machine": platform.machine(), "processors": os.cpu_count(), "edgekit": _version()}
    for part in arguments.parts:
        with tempfile.TemporaryDirectory(prefix="edgekit-reliability-") as name:
            if part == "guided":
                run_guided(Path(name), arguments.reader or "lock", arguments.seconds)
                return
            found[part] = run_faults(Path(name), arguments.kills) if part == "faults" else run_fuzz(Path(name), arguments.scale, arguments.reader)
    text = json.dumps(found, indent=1) + "\n"
    if arguments.output:
        arguments.output.write_text(text)
    else:
        sys.stdout.write(text)


def _version() -> str:
    from edgekit.version import __version__

    return __version__


if __name__ == "__main__":
    main()
