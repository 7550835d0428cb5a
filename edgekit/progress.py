"""How a long job tells a person where it is; the pipeline reports, whoever called it shows."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Protocol

Progress = Callable[[int, int | None], None]
"""Called with the bytes received so far and their total, None where the server does not tell."""


class Listener(Protocol):
    """Hears of each stage as it begins and ends."""

    def begin(self, stage: str) -> None:
        """A stage begins."""
        ...

    def end(self, stage: str, seconds: float, detail: str) -> None:
        """A stage has ended; ``detail`` says in a few words what came of it."""
        ...

    def fail(self, stage: str) -> None:
        """An exception left the stage."""
        ...


class Stage:
    """The running stage; set ``detail`` before it ends."""

    detail = ""
    seconds = 0.0


class Silent:
    """Hears and shows nothing."""

    def begin(self, stage: str) -> None:
        """Do nothing."""

    def end(self, stage: str, seconds: float, detail: str) -> None:
        """Do nothing."""

    def fail(self, stage: str) -> None:
        """Do nothing."""


@contextlib.contextmanager
def stage(listener: Listener, name: str) -> Iterator[Stage]:
    """Report one stage: its begin, and its end or failure."""
    listener.begin(name)
    running = Stage()
    start = time.perf_counter()
    try:
        yield running
    except BaseException:
        listener.fail(name)
        raise
    running.seconds = time.perf_counter() - start
    listener.end(name, running.seconds, running.detail)
