"""What happens once to an artifact: load, first inference, peak memory; measured in a process of its own.

    python -m edgekit.bench.once ARTIFACT THREADS        prints {"load_ms": ..., "first_ms": ..., "peak_memory_bytes": ...}

The runtime's own start (importing it, its thread pool) is not the artifact's: the file is opened and run once before, and what is timed
is opening it again, from the system's file cache. Memory is the process's peak over all of it less what it held when the runtime had been imported.
"""

import gc
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from attrs import frozen

from edgekit.errors import ArtifactError

_LONGEST_S = 600


@frozen(kw_only=True)
class Once:
    """Milliseconds of load and of the first inference of every method; bytes the artifact added to the process at most."""

    load_ms: float
    first_ms: dict[str, float]
    peak_memory_bytes: int | None


def measured_apart(path: Path, threads: int) -> Once:
    """Measure an artifact in a fresh process.

    :raises ArtifactError: that process ended without an answer.
    """
    command = [sys.executable, "-m", "edgekit.bench.once", str(path), str(threads)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_LONGEST_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ArtifactError(f"loading {path.name} did not end within {_LONGEST_S} s", hint="the file may be damaged; export it again") from error
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        reason = done.stderr.decode(errors="replace").strip().splitlines()
        raise ArtifactError(
            f"{path.name} could not be loaded in a process of its own", why=reason[-1] if reason else f"it ended with {done.returncode}"
        )
    return Once(**json.loads(lines[-1]))


def _measure(path: Path, threads: int) -> dict[str, Any]:
    from edgekit.bench.inputs import inputs_of
    from edgekit.bench.sampling import timed_ms
    from edgekit.runtime.loaded import facts_of_file, load_artifact
    from edgekit.targets.registry import get_target

    target = get_target(facts_of_file(path).name)
    importlib.import_module(target.runtime_module)
    with _Memory() as memory:
        artifact = load_artifact(path, threads=threads)
        given = inputs_of(artifact)
    del artifact
    gc.collect()
    load_ms = timed_ms(lambda: target.open(path, threads=threads))
    artifact = load_artifact(path, threads=threads)
    first_ms = {name: timed_ms(lambda name=name: artifact.run(name, given[name])) for name in given}  # type: ignore[misc]
    return {"load_ms": load_ms, "first_ms": first_ms, "peak_memory_bytes": memory.added_bytes}


class _Memory:
    """What the process held at most while this was open, beyond what it held before; by the kernel's own high-water mark."""

    added_bytes: int | None = None

    def __enter__(self) -> Self:
        self._before = _status_bytes("VmRSS")
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the mark
        except OSError:
            self._before = None
        return self

    def __exit__(self, *_: object) -> None:
        peak = _status_bytes("VmHWM")
        if self._before is not None and peak is not None:
            self.added_bytes = peak - self._before


def _status_bytes(key: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:  # no Linux
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key)), None)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(Path(sys.argv[1]), int(sys.argv[2]))) + "\n")
