"""Asks a registry's own client for a package by name, so that the user's mirrors, proxies and credentials are the ones used.

    npm     npm pack NAME@VERSION
    pypi    pip download --no-deps NAME==VERSION     (this Python's pip, another one, or uv's)
    debian  apt-get download NAME=VERSION

A client runs without a shell and without input, in a folder of its own; what it wrote there is for the caller to check.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from edgekit.data.catalogue import Package
from edgekit.errors import BadInputError, UsageError
from edgekit.progress import Progress

Fetch = Callable[[Package, Path, Progress | None], Path]
"""Fetches a package into a folder and returns the file."""

SUFFIXES = {"npm": ".tgz", "pypi": ".whl", "debian": ".deb"}
_DEADLINE_S = 3600.0
_TICK_S = 0.2
_LINES_TOLD = 5


def fetch(package: Package, folder: Path, progress: Progress | None = None, *, deadline_s: float = _DEADLINE_S) -> Path:
    """Let the registry's client write the package's file into ``folder`` and return its path; nothing about its bytes is checked.

    The folder may hold what an interrupted call left: clients that can go on from there do.

    :raises UsageError: the client is not installed.
    :raises BadInputError: it failed, wrote nothing, or took longer than ``deadline_s``.
    """
    command = _command(package, folder)
    environment = os.environ | ({"TMPDIR": _empty(folder / "parts")} if package.registry == "pypi" else {})
    with tempfile.TemporaryFile() as said:
        code = _run(command, folder, environment, said, progress=progress, total=package.size_bytes, deadline_s=deadline_s)
        if code != 0:
            raise BadInputError(
                f"{package.name} {package.version} cannot be fetched",
                what=f"{Path(command[0]).name} ended with {code}" if code is not None else f"it took longer than {deadline_s:g} s",
                why=_last_lines(said),
                hint=_hint(package),
            )
    written = sorted(folder.glob(f"*{SUFFIXES[package.registry]}"))
    if len(written) != 1:
        raise BadInputError(
            f"{package.name} {package.version} cannot be fetched",
            what=f"the client ended well and left {len(written)} files of the kind {SUFFIXES[package.registry]}",
        )
    return written[0]


def _command(package: Package, folder: Path) -> list[str]:
    name, version = package.name, package.version
    if package.registry == "npm":
        # A cache of its own: the package is not kept twice, and its growth can be seen.
        return [_program("npm", package), "pack", f"{name}@{version}", "--ignore-scripts", "--loglevel=error", f"--cache={folder / 'npm-cache'}"]
    if package.registry == "debian":
        return [_program("apt-get", package), "download", f"{name}={version}"]
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--progress-bar=off", "--disable-pip-version-check", f"--dest={folder}"]
    return [*_pip(package), "download", *options, f"{name}=={version}"]


def _pip(package: Package) -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for program in ("pip", "pip3"):
        if found := shutil.which(program):
            return [found]
    if found := shutil.which("uv"):  # uv downloads nothing by itself, and environments it makes have no pip
        return [found, "tool", "run", "pip"]
    raise _missing("pip", package)


def _program(name: str, package: Package) -> str:
    if found := shutil.which(name):
        return found
    raise _missing(name, package)


def _missing(program: str, package: Package) -> UsageError:
    install = {"npm": "install Node.js", "pip": "python -m ensurepip", "apt-get": "apt-get is part of Debian and Ubuntu"}[program]
    return UsageError(
        f"fetching {package.name} needs {program}, which is not here",
        hint=f"{install}; or fetch version {package.version} on another machine and give the file with --from FILE",
    )


def _run(
    command: list[str], folder: Path, environment: dict[str, str], said: IO[bytes], *, progress: Progress | None, total: int, deadline_s: float
) -> int | None:
    """Run a client to its end and return its exit code, None when it was stopped for taking too long."""
    end = time.monotonic() + deadline_s
    with subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said) as client:
        try:
            while time.monotonic() < end:
                try:
                    return client.wait(_TICK_S)
                except subprocess.TimeoutExpired:
                    if progress is not None:
                        progress(min(_size_bytes(folder), total), total)
            return None
        finally:
            if client.poll() is None:  # too late, or somebody stopped us
                client.terminate()
                try:
                    client.wait(5)
                except subprocess.TimeoutExpired:
                    client.kill()


def _empty(folder: Path) -> str:
    """Return a new folder for pip's temporary files, where they are seen to grow; pip cannot go on with what it left in one."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return str(folder)


def _size_bytes(folder: Path) -> int:
    """Return what a folder holds, as far as it can be seen: files come and go while a client works."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).lstat().st_size
            except OSError:
                continue
    return total


def _last_lines(said: IO[bytes]) -> str:
    said.seek(0)
    lines = [line.strip() for line in said.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return " / ".join([line for line in lines if not line.lower().startswith(("warning", "npm warn", "w:"))][-_LINES_TOLD:]) or "it said nothing"


def _hint(package: Package) -> str:
    if package.registry == "debian":
        return "apt-get update, which needs an administrator, and try again"
    return "check the network and the client's settings, and try again: what is complete is kept"
