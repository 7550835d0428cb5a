"""Android, through the real adb client.

The harness's files are its own: they are pushed to ``/data/local/tmp`` and copied into the app's folder by ``run-as``, and reports come back through
``exec-out run-as``. That takes a debuggable build of the harness, which is what its project builds, and no permission on the phone. adb joins
arguments with spaces for the phone's shell, so nothing with a character that a shell could read is ever sent there.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from edgekit.device import android
from edgekit.device.driver import Condition, Phone, Room
from edgekit.device.tool import Said, find, run
from edgekit.errors import AppMissingError, AppStoppedError, DeviceFullError, DeviceLostError, DeviceToolError

APP = "dev.edgekit.latency"
ACTIVITY = f"{APP}/.RunActivity"
_STAGING = "/data/local/tmp/edgekit"
_PLAIN = re.compile(r"[A-Za-z0-9%+./:=_-]+")
_QUICK_S, _COPY_S = 30.0, 900.0
_LOST = re.compile(
    r"device '?\S*'? ?not found|device offline|device still (connecting|authorizing)|no devices/emulators found"
    r"|error: closed|connection reset|protocol fault",
    re.IGNORECASE,
)
_FULL = re.compile(r"no space left|ENOSPC|not enough space", re.IGNORECASE)


class Adb:
    """Drives phones with ``adb``."""

    platform = "android"

    def __init__(self, program: str = "adb") -> None:
        self._program = find(program, "install Android's platform tools: apt-get install adb, or brew install android-platform-tools")

    def phones(self) -> tuple[Phone, ...]:
        """Return what ``adb devices -l`` lists."""
        said = run([self._program, "devices", "-l"], deadline_s=_QUICK_S)
        if said.code != 0:
            raise DeviceToolError("adb cannot list phones", why=said.text[-300:])
        return android.phones(said.out.decode("utf-8", "replace"))

    def require_app(self, phone: Phone) -> None:
        """Ask the package manager, and then whether its folder may be entered."""
        if not self._shell(phone, "pm", "path", APP).out.startswith(b"package:"):
            raise AppMissingError(
                "the harness is not installed on the phone", what=APP, where=phone.serial, hint="cd android_app && gradle installDebug"
            )
        allowed = self._shell(phone, "run-as", APP, "true")
        if allowed.code != 0:
            raise AppMissingError(
                "the harness on the phone is no debuggable build", why=allowed.text[-200:], hint="cd android_app && gradle installDebug"
            )

    def room(self, phone: Phone) -> Room:
        """Return the free bytes of /data and the time of day."""
        seconds = self._shell(phone, "date", "+%s").out.decode("ascii", "replace").strip()
        free = self._shell(phone, "df", "-k", "/data").out.decode("ascii", "replace")
        return Room(free_bytes=android.free_bytes(free), unix_s=int(seconds) if seconds.isdigit() else None)

    def condition(self, phone: Phone) -> Condition:
        """Return what the thermal service and the battery say."""
        said = [self._shell(phone, "dumpsys", service).out.decode("utf-8", "replace") for service in ("thermalservice", "battery")]
        return android.condition(*said)

    def push(self, phone: Phone, run_id: str, files: Mapping[str, Path]) -> None:
        """Push to the shell's folder, copy from there as the app, and remove it there."""
        staging = f"{_STAGING}/{run_id}"
        self._done(self._shell(phone, "mkdir", "-p", staging))
        self._done(self._shell(phone, "run-as", APP, "mkdir", "-p", f"files/{run_id}"))
        try:
            for name, path in files.items():
                self._done(self._adb(phone, "push", str(path), _plain(f"{staging}/{name}"), deadline_s=_COPY_S))
                self._done(self._shell(phone, "run-as", APP, "cp", "-r", f"{staging}/{name}", f"files/{run_id}/{name}", deadline_s=_COPY_S))
        except DeviceFullError:
            self.clean(phone, run_id)
            raise
        self._shell(phone, "rm", "-rf", staging)

    def start(self, phone: Phone, run_id: str, process: int) -> None:
        """End the app and start it again: every process is a cold one."""
        self._shell(phone, "am", "force-stop", APP)
        said = self._shell(phone, "am", "start", "-n", ACTIVITY, "--es", "run", run_id, "--ei", "process", str(process))
        if said.code != 0 or "Error" in said.text:  # am's exit code alone says little
            raise AppStoppedError("the harness cannot be started", why=said.text[-300:], hint="unlock the phone; install the harness again")

    def is_running(self, phone: Phone) -> bool:
        """Ask for the app's process id."""
        return bool(self._shell(phone, "pidof", APP).out.strip())

    def names(self, phone: Phone, run_id: str) -> frozenset[str]:
        """List the app's folder of a run."""
        said = self._shell(phone, "run-as", APP, "ls", f"files/{run_id}")
        return frozenset(said.out.decode("utf-8", "replace").split()) if said.code == 0 else frozenset()

    def fetch(self, phone: Phone, run_id: str, name: str) -> bytes:
        """Return a file as it is: ``exec-out`` changes no line endings."""
        said = self._adb(phone, "exec-out", "run-as", APP, "cat", _plain(f"files/{run_id}/{name}"), deadline_s=_COPY_S)
        self._done(said)
        return said.out

    def clean(self, phone: Phone, run_id: str) -> None:
        """Remove both folders of a run."""
        self._shell(phone, "run-as", APP, "rm", "-rf", f"files/{run_id}")
        self._shell(phone, "rm", "-rf", f"{_STAGING}/{run_id}")

    def _shell(self, phone: Phone, *words: str, deadline_s: float = _QUICK_S) -> Said:
        return self._adb(phone, "shell", *map(_plain, words), deadline_s=deadline_s)

    def _adb(self, phone: Phone, *words: str, deadline_s: float) -> Said:
        said = run([self._program, "-s", phone.serial, *words], deadline_s=deadline_s)
        if said.code != 0 and _LOST.search(said.err):
            raise DeviceLostError(f"the connection to {phone.serial} is gone", why=said.err.strip()[-200:], hint="plug it in again, and keep it in")
        return said

    @staticmethod
    def _done(said: Said) -> None:
        if said.code == 0:
            return
        if _FULL.search(said.text):
            raise DeviceFullError("the phone is full", why=said.text[-200:], hint="free some of its storage, or run fewer artifacts at once")
        raise DeviceToolError("adb could not do what was asked", what=said.text[-300:] or f"it ended with {said.code}")


def _plain(word: str) -> str:
    """Return a word that a shell reads as itself.

    :raises DeviceToolError: it has other characters.
    """
    if not _PLAIN.fullmatch(word):
        raise DeviceToolError("this cannot be sent to a phone's shell", what=f"{word!r:.80}")
    return word
