"""A cell: one piece of work, known by everything that decides its result."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from attrs import field, frozen


@frozen(kw_only=True)
class Cell:
    """One piece of work.

    :param key: 64 hexadecimal digits. :param kind: what people call it: ``export``, ``eager``, ``evaluate``, ``bench``.
    :param function: what does it, ``module:function``; see :mod:`edgekit.sweep.kinds`. Never from a file that somebody handed in.
    :param about: what it is of, plain JSON values, for people and for predictions. :param parameters: of the function, likewise.
    :param files: that the function is given. :param artifact_of: the cell whose artifact it is given, too.
    :param needs: cells that have to be done before. :param alone: nothing of the sweep may run beside it on its machine.
    :param memory_gb: that a cluster has to have free for it. :param guess_s: how long it takes, seconds; guessed.
    """

    key: str
    kind: str
    function: str
    about: Mapping[str, Any]
    parameters: Mapping[str, Any]
    files: Mapping[str, Path] = field(factory=dict)
    artifact_of: str | None = None
    needs: tuple[str, ...] = ()
    alone: bool = False
    minutes: float = 60
    memory_gb: float = 1.0
    guess_s: float = 60.0


@frozen(kw_only=True)
class Task:
    """A cell to be run now. ``files``: all that its function is given. ``code``: the digest of edgekit that its key was made with."""

    cell: Cell
    files: Mapping[str, Path]
    code: str


@frozen(kw_only=True)
class Outcome:
    """What became of a task.

    ``lost``: its machine is, so it says nothing of the cell. ``changed``: edgekit is another than when the sweep began.

    :param artifact: where the artifact lies for now, if it made one, with its manifest. :param seconds: of the process.
    """

    key: str
    status: Literal["done", "failed", "lost", "changed"]
    result: Mapping[str, Any] | None = None
    predictions: bytes | None = field(default=None, repr=False)
    artifact: Path | None = None
    error: str | None = None
    seconds: float
    machine: str


class Executor(Protocol):
    """Runs tasks somewhere, each in a process of its own."""

    @property
    def slots(self) -> int:
        """How many run at once."""
        ...

    def start(self, task: Task) -> None:
        """Begin a task; not called while ``slots`` run, nor beside a cell that is to be alone."""
        ...

    def wait(self, seconds: float) -> list[Outcome]:
        """Return what ended, waiting for the first if nothing has, at most so long; what lies at ``artifact`` goes with the next call."""
        ...

    def close(self) -> None:
        """End all that runs."""
        ...
