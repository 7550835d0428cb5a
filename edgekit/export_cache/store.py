"""The folder of entries: each whole or absent, checked when it is taken, bounded together.

    exports/
      3f9c.../                             named by its key
        entry.json                         its own sha256 in the first line, then what lies here and when it was proved
        emov2-5m_224_fp32.tflite           the artifact, a file or a folder
        emov2-5m_224_fp32.tflite.manifest.json

An entry is made in a staging folder and renamed. Whoever takes one locks its folder, so that nobody clears it away meanwhile. When one was last
used is the time of its folder. A file system that knows no locks has no cache.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from edgekit import artifact
from edgekit.errors import BadInputError
from edgekit.policy.strict_json import Fields

_ENTRY = "entry.json"
_KEY = re.compile(r"[0-9a-f]{64}")
_KEYS = ("schema_version", "name", "sha256", "manifest_sha256", "proved", "processor")
_SCHEMA = 1
_MOST_ENTRY_BYTES, _MOST_MANIFEST_BYTES = 65_536, 16 * 1024 * 1024


class DamagedError(BadInputError):
    """An entry is not what was kept."""


@frozen(kw_only=True)
class Taken:
    """What an entry holds beside its artifact.

    :param document: the manifest. :param proved: when the run that proved it ended, ``2026-11-21T18:40:00Z``.
    :param processor: the kind of processor that made it, as locks have it.
    """

    document: dict[str, Any]
    proved: str
    processor: str


@frozen(kw_only=True)
class Entry:
    """An entry from outside; ``used``: seconds since 1970. ``name`` and ``proved`` are ``None`` of one that cannot be read."""

    key: str
    name: str | None
    proved: str | None
    size_bytes: int
    used: float


def has(folder: Path, key: str) -> bool:
    """Whether there is an entry; nothing is checked."""
    return (folder / key / _ENTRY).is_file()


def take(folder: Path, key: str, into: Path) -> Taken | None:
    """Copy an entry's artifact to ``into``, which is named as it was, and check the copy; ``None``: there is no entry.

    :raises DamagedError: it is not what was kept. :raises OSError: ``into`` cannot be written.
    """
    place = folder / key
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedError("an entry of the cache is no folder", why=error.strerror or str(error)) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not place.is_dir():  # cleared away while this waited
            return None
        taken = _copied(place, into)
        with contextlib.suppress(OSError):  # a cache that cannot be written can be read
            os.utime(descriptor)
        return taken
    finally:
        os.close(descriptor)


def _copied(place: Path, into: Path) -> Taken:
    fields = _read(place)
    if fields.text("name") != into.name:
        raise DamagedError("an entry of the cache holds another artifact", what=fields.text("name")[:80])
    kept, manifest = place / into.name, artifact.manifest_path(place / into.name)
    if not kept.exists():
        raise DamagedError(f"an entry of the cache lacks {into.name}")
    if kept.is_symlink() or any(path.is_symlink() for path in (kept.rglob("*") if kept.is_dir() else ())):
        raise DamagedError(f"a link lies in the cache in the place of {into.name}")
    if kept.is_dir():
        shutil.copytree(kept, into, copy_function=shutil.copyfile, symlinks=True)
    else:
        shutil.copyfile(kept, into)
    text = _content(manifest, _MOST_MANIFEST_BYTES)
    if artifact.digest(into) != fields.text("sha256") or hashlib.sha256(text).hexdigest() != fields.text("manifest_sha256"):
        raise DamagedError(f"{into.name} in the cache was changed, or is not whole")
    return Taken(document=json.loads(text), proved=fields.text("proved"), processor=fields.text("processor"))


def _read(place: Path) -> Fields:
    """Return the members of an entry's own file, once its first line is the sha256 of the rest."""
    digest, _, body = _content(place / _ENTRY, _MOST_ENTRY_BYTES).partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise DamagedError("an entry of the cache was changed, or is not whole")
    fields = Fields(json.loads(body), _KEYS, "an entry of the cache", DamagedError)
    if fields.integer("schema_version") != _SCHEMA:
        raise DamagedError("an entry of the cache is of another version")
    return fields


def _content(path: Path, most: int) -> bytes:
    if not path.is_file() or path.stat().st_size > most:
        raise DamagedError(f"an entry of the cache lacks {path.name}")
    return path.read_bytes()


def keep(folder: Path, key: str, source: Path, taken: Taken, most_bytes: int) -> None:
    """Keep an artifact, then let the longest unused leave until all take ``most_bytes`` at the most.

    What is larger than that by itself, or was replaced in the meantime, is not kept.

    :raises OutputError: the folder cannot be made or locked. :raises OSError: it cannot be written.
    """
    if artifact.size_bytes(source) > most_bytes:
        return
    with artifact.staging(folder) as staged:
        place = staged / key
        place.mkdir()
        copy = place / source.name
        if source.is_dir():
            shutil.copytree(source, copy, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source, copy)
        if artifact.digest(copy) != taken.document["artifact"]["sha256"]:
            return
        manifest = artifact.manifest_path(copy)
        artifact.write_manifest(taken.document, manifest)
        row = {
            "schema_version": _SCHEMA,
            "name": source.name,
            "sha256": taken.document["artifact"]["sha256"],
            "manifest_sha256": artifact.digest(manifest),
            "proved": taken.proved,
            "processor": taken.processor,
        }
        body = json.dumps(row, sort_keys=True).encode() + b"\n"
        (place / _ENTRY).write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        try:
            place.rename(folder / key)
        except OSError:
            if not (folder / key).is_dir():  # else another export has kept the same
                raise
    _make_room(folder, most_bytes, key)


def discard(folder: Path, keys: list[str], *, even_in_use: bool = True) -> int:
    """Take entries out of the folder; return how many went.

    :raises OutputError: the folder cannot be written.
    """
    gone = 0
    with artifact.staging(folder) as staged:
        for key in keys:
            with _unused(folder / key) as unused:
                if unused or even_in_use:
                    with contextlib.suppress(FileNotFoundError):
                        (folder / key).rename(staged / key)
                        gone += 1
    return gone


@contextlib.contextmanager
def _unused(place: Path) -> Iterator[bool]:
    """Hold an entry's lock, if nobody else does; yield whether."""
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        yield True
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def entries(folder: Path) -> list[Entry]:
    """Return all entries, the longest unused first."""
    found = []
    try:
        places = [place for place in folder.iterdir() if _KEY.fullmatch(place.name)]
    except OSError:
        return []
    for place in places:
        name = proved = None
        try:
            size, used = artifact.size_bytes(place), place.stat().st_mtime
        except OSError:  # it leaves just now
            continue
        with contextlib.suppress(DamagedError, OSError, ValueError):
            fields = _read(place)
            name, proved = fields.text("name"), fields.text("proved")
        found.append(Entry(key=place.name, name=name, proved=proved, size_bytes=size, used=used))
    return sorted(found, key=lambda entry: (entry.used, entry.key))


def _make_room(folder: Path, most_bytes: int, newest: str) -> None:
    every = entries(folder)
    total, leaving = sum(entry.size_bytes for entry in every), []
    for entry in every:  # the newest is named: by a clock that went back it would be the oldest
        if total <= most_bytes:
            break
        if entry.key == newest:
            continue
        leaving.append(entry.key)
        total -= entry.size_bytes
    if leaving:
        discard(folder, leaving, even_in_use=False)


def moment(seconds: float | None = None) -> str:
    """Return a moment as entries have it, ``2026-11-21T18:40:00Z``.

    :param seconds: since 1970; ``None``: now.
    """
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
