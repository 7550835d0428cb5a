"""What a phone can be asked, whatever it is; ``adb`` and ``devicectl`` ask it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from attrs import frozen

REPORT = "report-{process}.json"
PARTIAL = "partial-{process}.json"
PLAN = "plan.json"


@frozen(kw_only=True)
class Phone:
    """A connected phone. ``ready`` is ``None``, or what it lacks, in words, before it can be talked to."""

    platform: str
    serial: str
    model: str
    os: str | None = None
    ready: str | None = None


@frozen(kw_only=True)
class Room:
    """What has to be right before a run: free bytes, and the phone's time of day in seconds since 1970; ``None``: it does not tell."""

    free_bytes: int | None
    unix_s: int | None


@frozen(kw_only=True)
class Condition:
    """How warm and how charged a phone is; ``None``: it does not tell."""

    thermal: str | None
    battery_pct: int | None
    charging: bool | None


class Driver(Protocol):
    """Talks to phones of one platform. Every call may raise a :class:`edgekit.errors.DeviceError`."""

    platform: str

    def phones(self) -> tuple[Phone, ...]:
        """Return what is connected, usable or not."""

    def require_app(self, phone: Phone) -> None:
        """Raise ``AppMissingError`` where the harness is not installed."""

    def room(self, phone: Phone) -> Room:
        """Return free bytes and the time of day."""

    def condition(self, phone: Phone) -> Condition:
        """Return how warm and how charged it is."""

    def push(self, phone: Phone, run_id: str, files: Mapping[str, Path]) -> None:
        """Copy files and folders into the app's folder of a run, by the names they get there."""

    def start(self, phone: Phone, run_id: str, process: int) -> None:
        """Start the app in a fresh process."""

    def is_running(self, phone: Phone) -> bool:
        """Whether the app's process lives."""

    def names(self, phone: Phone, run_id: str) -> frozenset[str]:
        """Return the names of the files in the app's folder of a run."""

    def fetch(self, phone: Phone, run_id: str, name: str) -> bytes:
        """Return a file of a run."""

    def clean(self, phone: Phone, run_id: str) -> None:
        """Remove the app's folder of a run."""
