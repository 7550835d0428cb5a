"""iPhones, through Apple's ``xcrun devicectl``, on a Mac with Xcode 15 or newer.

Only the JSON that it writes to a file is read: its text is not a stable interface, Apple says. Options stand before the bundle id, because
devicectl passes on what follows it to the app. It tells neither the temperature nor the charge of a phone: the harness itself waits until it is
cool enough.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from edgekit.device.driver import Condition, Phone, Room
from edgekit.device.integer_json import MOST_BYTES
from edgekit.device.tool import find, run
from edgekit.errors import AppMissingError, AppStoppedError, DeviceError, DeviceFullError, DeviceLostError, DeviceToolError

APP = "dev.edgekit.latency"
EXECUTABLE = "EdgekitLatency.app/EdgekitLatency"
_CONTAINER = ("--domain-type", "appDataContainer", "--domain-identifier", APP)
_QUICK_S, _COPY_S = 60.0, 900.0
_LOST = ("not connected", "connection was lost", "was disconnected", "unable to locate a device", "device is not available", "timed out")
_FULL = ("no space left", "not enough storage", "out of space", "disk is full")


class Devicectl:
    """Drives iPhones with ``devicectl``."""

    platform = "ios"

    def __init__(self, program: str = "xcrun") -> None:
        self._program = find(program, "driving an iPhone takes a Mac with Xcode 15 or newer")

    def phones(self) -> tuple[Phone, ...]:
        """Return the paired iPhones and iPads that ``devicectl list devices`` lists."""
        return tuple(
            _phone(row) for row in _rows(self._json("list", "devices"), "devices") if _at(row, "hardwareProperties", "platform") in ("iOS", "iPadOS")
        )

    def require_app(self, phone: Phone) -> None:
        """Ask for the app by its bundle id."""
        result = self._json("device", "info", "apps", "--device", phone.serial, "--bundle-id", APP)
        if not any(_at(row, "bundleIdentifier") == APP for row in _rows(result, "apps")):
            raise AppMissingError("the harness is not installed on the phone", what=APP, where=phone.serial, hint="run it once from Xcode")

    def room(self, phone: Phone) -> Room:
        """Return nothing: devicectl tells neither."""
        del phone
        return Room(free_bytes=None, unix_s=None)

    def condition(self, phone: Phone) -> Condition:
        """Return nothing: devicectl tells none of it."""
        del phone
        return Condition(thermal=None, battery_pct=None, charging=None)

    def push(self, phone: Phone, run_id: str, files: Mapping[str, Path]) -> None:
        """Copy files and packages into the app's documents."""
        for name, path in files.items():
            where = ("--source", str(path), "--destination", f"Documents/{run_id}/{name}")
            self._json("device", "copy", "to", "--device", phone.serial, *_CONTAINER, *where, deadline_s=_COPY_S)

    def start(self, phone: Phone, run_id: str, process: int) -> None:
        """End the app and start it again: every process is a cold one."""
        told = json.dumps({"EDGEKIT_RUN": run_id, "EDGEKIT_PROCESS": str(process)})
        options = ("--device", phone.serial, "--terminate-existing", "--environment-variables", told)
        try:
            self._json("device", "process", "launch", *options, last=(APP,))
        except DeviceToolError as error:
            raise AppStoppedError(
                "the harness cannot be started", why=error.what, hint="unlock the phone; trust the developer in its settings"
            ) from error

    def is_running(self, phone: Phone) -> bool:
        """Look for the app's executable among the processes."""
        result = self._json("device", "info", "processes", "--device", phone.serial)
        return any(str(_at(row, "executable")).endswith(EXECUTABLE) for row in _rows(result, "runningProcesses"))

    def names(self, phone: Phone, run_id: str) -> frozenset[str]:
        """List the app's folder of a run."""
        result = self._json("device", "info", "files", "--device", phone.serial, *_CONTAINER, "--subdirectory", f"Documents/{run_id}")
        paths = (_at(row, "relativePath") or _at(row, "name") for row in _rows(result, "files"))
        return frozenset(PurePosixPath(path).name for path in paths if isinstance(path, str))

    def fetch(self, phone: Phone, run_id: str, name: str) -> bytes:
        """Copy a file here and return it."""
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "fetched"
            where = ("--source", f"Documents/{run_id}/{name}", "--destination", str(place))
            self._json("device", "copy", "from", "--device", phone.serial, *_CONTAINER, *where, deadline_s=_COPY_S)
            try:
                with place.open("rb") as stream:
                    content = stream.read(MOST_BYTES + 1)
            except OSError as error:
                raise DeviceToolError(f"devicectl copied no {name}", why=error.strerror or str(error)) from error
        if len(content) > MOST_BYTES:
            raise DeviceToolError(f"{name} on the phone has more than {MOST_BYTES >> 20} MiB")
        return content

    def clean(self, phone: Phone, run_id: str) -> None:
        """Leave the folder: devicectl removes no files; the app removes those of earlier runs when it starts."""

    def _json(self, *words: str, last: tuple[str, ...] = (), deadline_s: float = _QUICK_S) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "said.json"
            said = run([self._program, "devicectl", *words, "--quiet", "--json-output", str(place), *last], deadline_s=deadline_s)
            try:
                with place.open("rb") as stream:
                    document = json.loads(stream.read(MOST_BYTES))
            except (OSError, ValueError, RecursionError) as error:
                raise DeviceToolError(
                    "devicectl wrote no JSON", what=said.text[-300:] or f"it ended with {said.code}", hint="xcode-select -p; Xcode 15 or newer"
                ) from error
        if _at(document, "info", "outcome") == "success" and isinstance(_at(document, "result"), dict):
            return document["result"]
        raise _failure(document)


def _failure(document: Any) -> DeviceError:
    """Return the error that a failed call stands for, by the sentences it gives."""
    sentences = [text for text in _texts(document.get("error") if isinstance(document, dict) else None, 0) if len(text) < 500]
    whole = " / ".join(sentences)[-300:] or "it gave no reason"
    lowered = whole.lower()
    if any(words in lowered for words in _FULL):
        return DeviceFullError("the phone is full", why=whole, hint="free some of its storage, or run fewer artifacts at once")
    if any(words in lowered for words in _LOST):
        return DeviceLostError("the connection to the phone is gone", why=whole, hint="plug it in again, and keep it in and unlocked")
    return DeviceToolError("devicectl could not do what was asked", what=whole)


def _texts(value: Any, depth: int) -> list[str]:
    if isinstance(value, str):
        return [value]
    if depth > 8 or not isinstance(value, dict | list):
        return []
    return [text for part in (value.values() if isinstance(value, dict) else value) for text in _texts(part, depth + 1)]


def _phone(row: Any) -> Phone:
    tunnel, pairing = _at(row, "connectionProperties", "tunnelState"), _at(row, "connectionProperties", "pairingState")
    ready = None
    if pairing not in (None, "paired"):
        ready = "it is not paired: trust this computer on its screen"
    elif tunnel == "unavailable":
        ready = "it is not connected: plug it in and unlock it"
    return Phone(
        platform="ios",
        serial=str(_at(row, "identifier")),
        model=str(_at(row, "hardwareProperties", "productType") or "unknown"),
        os=str(_at(row, "deviceProperties", "osVersionNumber") or "") or None,
        ready=ready,
    )


def _rows(result: Any, key: str) -> list[Any]:
    rows = _at(result, key)
    if not isinstance(rows, list):
        raise DeviceToolError("devicectl's JSON is not of a form that edgekit knows", what=f"no list of {key}")
    return rows


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
