"""Runs adb or devicectl: no shell here, a deadline, and bounded output."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from typing import IO

from attrs import frozen

from edgekit.device.integer_json import MOST_BYTES
from edgekit.errors import DeviceLostError, DeviceToolError


@frozen(kw_only=True)
class Said:
    """What a tool's run gave."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Stdout and stderr together, for people and for words to look for."""
        return "\n".join(part for part in (self.out.decode("utf-8", "replace").strip(), self.err.strip()) if part)


def find(program: str, hint: str) -> str:
    """Return a program's path.

    :raises DeviceToolError: it is not there.
    """
    if found := shutil.which(program):
        return found
    raise DeviceToolError(f"{program} is not on this machine", hint=hint)


def run(command: Sequence[str], *, deadline_s: float) -> Said:
    """Run a tool to its end.

    :raises DeviceLostError: it did not end in time: the connection hangs.
    :raises DeviceToolError: it cannot be run, or says more than 64 MiB.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=deadline_s, check=False).returncode
        except subprocess.TimeoutExpired as error:
            raise DeviceLostError(
                "the phone does not answer", what=f"{' '.join(command[:4])} ... took longer than {deadline_s:g} s", hint="unplug it, plug it in again"
            ) from error
        except OSError as error:
            raise DeviceToolError(f"cannot run {command[0]}", why=error.strerror or str(error)) from error
        return Said(code=code, out=_content(out, command[0]), err=_content(err, command[0]).decode("utf-8", "replace"))


def _content(stream: IO[bytes], program: str) -> bytes:
    stream.seek(0)
    content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise DeviceToolError(f"{program} said more than {MOST_BYTES >> 20} MiB")
    return content
