"""Cells on the machines of a Ray cluster, each in a process of its own there, too: a cell that crashes takes no Ray worker with it.

    driver   files ── ray.put, once a content ──> object store ── to each node that needs them, once
             task: one CPU, so much memory   ──> a node: unpacked, run apart, packed ──> driver: kept beside the store

Machines need edgekit and its packages installed, the same as here, which is compared before any work starts; nothing has to be shared but the
network. A machine that is lost loses the cells it was running, and these are begun again elsewhere. Ray trusts everyone who reaches its ports:
a cluster belongs on a network of its own.
"""

import hashlib
import io
import logging
import platform
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from edgekit.artifact import digest, manifest_path
from edgekit.errors import BadInputError, EdgekitError, MissingExtraError, UsageError
from edgekit.sweep.apart import run_apart
from edgekit.sweep.cell import Cell, Outcome, Task
from edgekit.sweep.plan import versions

_CONNECT_S = 60
_NAMED = 5
_UNEQUAL = "system"
"""Of a machine's versions, what may differ: nothing runs there that was compiled here."""


class RayExecutor:
    """Runs as many tasks as the cluster has CPUs.

    :param address: of the cluster's head, ``10.0.0.1:6379``.
    :raises MissingExtraError: Ray is not installed. :raises BadInputError: there is no cluster. :raises UsageError: a machine has other versions.
    """

    def __init__(self, address: str) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError("a cluster", "sweep", ["ray"]) from error
        self._ray = ray
        try:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, configure_logging=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise BadInputError(f"there is no Ray cluster at {address}", why=str(error).splitlines()[0], hint="ray start --head") from error
        self._sent: dict[str, Any] = {}
        self._running: dict[Any, Task] = {}
        self._folders: list[tempfile.TemporaryDirectory[str]] = []
        try:
            self._compare()
        except BaseException:
            ray.shutdown()
            raise

    @property
    def slots(self) -> int:
        """How many run at once: less while a machine is away."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def _compare(self) -> None:
        """Ask every machine for its versions before it gets any work."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = versions()
        nodes = [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        ask = self._ray.remote(versions)
        asked = {
            ask.options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(): node for node in nodes
        }
        if not asked:
            raise UsageError("the cluster has no machine with a CPU", hint="ray start --address=HEAD --num-cpus=N")
        for answer, node in asked.items():
            try:
                there = self._ray.get(answer, timeout=_CONNECT_S)
            except self._ray.exceptions.RayError as error:
                name, why = node["NodeManagerHostname"], str(error).strip().splitlines()[-1]
                raise UsageError(f"{name} cannot say what it has installed", why=why, hint="install edgekit there") from error
            require_equal(here, there, node["NodeManagerHostname"])

    def start(self, task: Task) -> None:
        """Begin a task on a machine with a CPU and the memory to spare."""
        names = list(task.files)
        contents = [self._put(task.files[name]) for name in names]
        remote = self._ray.remote(run_there).options(
            num_cpus=1, memory=int(task.cell.memory_gb * 1e9), max_retries=0, scheduling_strategy="SPREAD", name=task.cell.kind
        )
        answer = remote.remote(attrs.evolve(task.cell, files={}), task.code, names, *contents)
        self._running[answer] = task

    def _put(self, file: Path) -> Any:
        """Put a file's or artifact's content into the object store, once, whatever it is called."""
        sha256 = digest(file)
        if sha256 not in self._sent:
            self._sent[sha256] = self._ray.put(as_tar(file))
        return self._sent[sha256]

    def wait(self, seconds: float) -> list[Outcome]:
        """Return what ended; its folders go with the next call."""
        for folder in self._folders:
            folder.cleanup()
        self._folders = []
        if not self._running:
            return []
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        return [self._outcome(answer) for answer in ready]

    def _outcome(self, answer: Any) -> Outcome:
        task = self._running.pop(answer)
        errors = self._ray.exceptions
        try:
            outcome, packed = self._ray.get(answer)
        except errors.RayTaskError as error:
            return _ended(task.cell, "failed", f"{type(error.cause).__name__}: {error.cause}")
        except errors.RayError as error:
            return _ended(task.cell, "lost", f"its machine was lost: {type(error).__name__}")
        if packed is None:
            return outcome
        folder = tempfile.TemporaryDirectory(prefix="edgekit-made-")
        self._folders.append(folder)
        return attrs.evolve(outcome, artifact=from_tar(packed, Path(folder.name)))

    def close(self) -> None:
        """End all that runs, and leave the cluster."""
        for answer in self._running:
            self._ray.cancel(answer, force=True)
        self._ray.shutdown()
        for folder in self._folders:
            folder.cleanup()


def require_equal(here: Mapping[str, str], there: Mapping[str, str], machine: str) -> None:
    """Refuse a machine with other versions.

    :raises UsageError: at least one differs, or is missing there.
    """
    names = [name for name in sorted(here.keys() | there.keys()) if name != _UNEQUAL and here.get(name) != there.get(name)]
    if names:
        rows = [f"{name}: {_short(here.get(name))} here, {_short(there.get(name))} there" for name in names[:_NAMED]]
        more = f"; and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        raise UsageError(f"{machine} has other versions than this machine", what="; ".join(rows) + more, hint="install the same on all of them")


def _short(version: str | None) -> str:
    return "none" if version is None else version[:16]


def _ended(cell: Cell, status: Any, error: str) -> Outcome:
    return Outcome(key=cell.key, status=status, error=error, seconds=0.0, machine=platform.node())


def run_there(cell: Cell, code: str, names: list[str], *contents: bytes) -> tuple[Outcome, bytes | None]:
    """Run a cell on the machine this is called on; return what became of it, and its artifact."""
    with tempfile.TemporaryDirectory(prefix="edgekit-cell-") as name:
        folder = Path(name)
        files = {}
        for key, packed in zip(names, contents, strict=True):
            place = folder / "given" / key
            place.mkdir(parents=True)
            files[key] = from_tar(packed, place)
        (folder / "run").mkdir()
        outcome = run_apart(Task(cell=cell, files=files, code=code), folder / "run")
        if outcome.artifact is None:
            return outcome, None
        return attrs.evolve(outcome, artifact=None), as_tar(outcome.artifact)


def as_tar(file: Path) -> bytes:
    """Return a file, or an artifact with its manifest, as one archive; equal contents give equal bytes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path in (file, manifest_path(file)):
            if path.exists():
                archive.add(path, path.name, filter=_plain)
    return stream.getvalue()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def from_tar(content: bytes, folder: Path) -> Path:
    """Unpack what :func:`as_tar` packed, nothing outside of ``folder``; return where the file lies.

    :raises EdgekitError: it is not such an archive.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            first = archive.next()
            archive.extractall(folder, filter="data")
    except (tarfile.TarError, OSError) as error:
        raise EdgekitError("what a machine of the cluster sent cannot be unpacked", why=f"{type(error).__name__}: {error}") from error
    if first is None or "/" in first.name:
        raise EdgekitError("what a machine of the cluster sent holds no file", what=hashlib.sha256(content).hexdigest()[:16])
    return folder / first.name
