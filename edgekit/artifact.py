"""What an export leaves: the artifact, a file or a folder, and its manifest; written so that a kill leaves no half of them.

Everything is made in a hidden staging folder beside the destination and moved in at the end. The move of the
artifact is the last step, so an artifact under its final name is always complete and its manifest is in place.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from edgekit.errors import ArtifactError, OutputError

MANIFEST_SUFFIX = ".manifest.json"
STATEMENT_SUFFIX = ".intoto.json"
SBOM_SUFFIX = ".cdx.json"
_BESIDE = (MANIFEST_SUFFIX, STATEMENT_SUFFIX, SBOM_SUFFIX)
MANIFEST_SCHEMA = 1
_STAGING_PREFIX = ".edgekit-staging-"
_MAX_MANIFEST_BYTES = 16 * 1024 * 1024


def manifest_path(artifact: Path) -> Path:
    """Return where the manifest of an artifact lies: beside it, ``<artifact name>.manifest.json``."""
    return companion(artifact, MANIFEST_SUFFIX)


def companion(artifact: Path, suffix: str) -> Path:
    """Return where a file that belongs to an artifact lies: beside it, under its name and a suffix."""
    return artifact.with_name(artifact.name + suffix)


def size_bytes(path: Path) -> int:
    """Return the size of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in files_of(path))


def digest(path: Path) -> str:
    """Return the sha256 of a file, or of a folder: over the sorted relative names, sizes and contents of its files."""
    if path.is_file():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    total = hashlib.sha256()
    for file in files_of(path):
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0{content}\n".encode())
    return total.hexdigest()


def files_of(path: Path) -> list[Path]:
    """Return a file, or all files in a folder in a fixed order."""
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


@frozen(kw_only=True)
class Manifest:
    """The manifest of an artifact, as read back; ``document`` is the whole JSON object."""

    path: Path
    document: dict[str, Any]

    @property
    def sha256(self) -> str:
        """Digest of the artifact this manifest belongs to."""
        return str(self.document["artifact"]["sha256"])


def read_manifest(artifact: Path) -> Manifest | None:
    """Read an artifact's manifest; ``None`` when there is none.

    :raises ArtifactError: it cannot be read, is no manifest, or belongs to another artifact.
    """
    path = manifest_path(artifact)
    if not path.is_file():
        return None
    if path.stat().st_size > _MAX_MANIFEST_BYTES:
        raise ArtifactError(f"{path.name} is too large to be a manifest", what=f"{path.stat().st_size} bytes")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found = document["artifact"]["sha256"]
        schema = document["schema_version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactError(f"{path.name} is not a manifest", why=f"{type(error).__name__}: {error}", hint="export again with --overwrite") from error
    if schema != MANIFEST_SCHEMA:
        raise ArtifactError(
            f"{path.name} has schema version {schema}", what=f"this edgekit reads version {MANIFEST_SCHEMA}", hint="export again with --overwrite"
        )
    actual = digest(artifact)
    if found != actual:
        raise ArtifactError(
            f"{artifact.name} is not the artifact its manifest describes",
            what=f"sha256 {actual[:16]}..., the manifest says {str(found)[:16]}...",
            why="one of the two was replaced, truncated or edited",
            hint="export again with --overwrite",
        )
    return Manifest(path=path, document=document)


def model_name(manifest: Manifest) -> str:
    """Return the name of the model that an artifact is of.

    :raises ArtifactError: the manifest does not tell it.
    """
    row = manifest.document.get("model")
    if not isinstance(row, dict) or not isinstance(row.get("name"), str):
        raise ArtifactError(f"{manifest.path.name} names no model", hint="export again with --overwrite")
    return str(row["name"])


def write_manifest(document: dict[str, Any], path: Path) -> None:
    """Write a manifest: sorted keys, so that equal content is equal bytes."""
    _write_text(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n", path)


def _write_text(text: str, path: Path) -> None:
    with path.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def update_manifest(artifact: Path, change: Callable[[Manifest], dict[str, Any]]) -> None:
    """Replace an artifact's manifest by what ``change`` makes of it, in one step; the artifact is not touched.

    :raises ArtifactError: there is no manifest, or as :func:`read_manifest`. :raises OutputError: the folder cannot be written.
    """
    place = manifest_path(artifact)
    with staging(artifact.parent) as staged:
        try:
            with locked_folder(artifact.parent) as folder:  # an export must not put another pair here in between
                manifest = read_manifest(artifact)
                if manifest is None:
                    raise ArtifactError(f"{artifact.name} has no manifest", where=str(artifact.parent))
                write_manifest(change(manifest), staged / place.name)
                (staged / place.name).replace(place)
                os.fsync(folder)
        except OSError as error:
            raise _unwritable(artifact.parent, error) from error


def check_output(artifact: Path, *, overwrite: bool) -> None:
    """Refuse an export whose result could not be placed, before any work is done; nothing is made.

    :raises OutputError: the folder cannot be made or written, or something is there and ``overwrite`` is not set.
    """
    folder = existing = artifact.parent
    try:
        while not existing.exists():  # the nearest that is there has to take the missing ones
            existing = existing.parent
        with tempfile.TemporaryFile(dir=existing):
            pass
        taken = artifact.exists()
    except OSError as error:
        raise _unwritable(folder, error) from error
    if taken and not overwrite:
        raise OutputError(f"{artifact.name} is already there", where=str(folder), hint="--overwrite replaces it; -o DIR writes elsewhere")


def _unwritable(folder: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write to {folder}", why=error.strerror or str(error), hint="choose another folder with -o")


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Yield a new hidden folder inside ``folder``, which is made if needed, and remove it at the end, whatever happens.

    The folder is locked while its process lives; leftovers of killed exports are unlocked and removed here.

    :raises OutputError: ``folder`` cannot be made or written, or the system fails at what lies in the new one.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked_folder(folder):  # nobody may take a folder that is not locked yet for a leftover
            for leftover in folder.glob(_STAGING_PREFIX + "*"):
                _remove_unless_locked(leftover)
            place = Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=folder))
            descriptor = os.open(place, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield place
    except OSError as error:  # not what reads elsewhere, a weights file, say
        if error.errno in _NO_ROOM or f"{error.filename}".startswith(str(place)):
            raise _unwritable(folder, error) from error
        raise
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(descriptor)


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[int]:
    """Wait for a folder's lock and hold it; yield the folder's descriptor."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _remove_unless_locked(place: Path) -> None:
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # gone in the meantime, or not ours
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(place, ignore_errors=True)
    except OSError:  # its export is still running
        pass
    finally:
        os.close(descriptor)


def publish(staged: Path, document: dict[str, Any], final: Path, *, overwrite: bool, beside: Mapping[str, str] | None = None) -> None:
    """Move a finished artifact and its manifest to their final names.

    Killed at any moment, either the old pair, no artifact, or the new pair is there; after an error the old pair is.
    Two exports at once publish one after the other; without ``overwrite`` the second is refused.

    :param beside: texts of further files that belong to the artifact, by suffix; those of the artifact that is replaced go with it.
    :raises OutputError: something appeared under the final name, or the folder cannot be written.
    """
    staged_manifest = manifest_path(staged)
    try:
        write_manifest(document, staged_manifest)
        for suffix, text in (beside or {}).items():
            _write_text(text, companion(staged, suffix))
        _sync(staged)
        with locked_folder(final.parent) as folder:
            if final.exists() and not overwrite:
                raise OutputError(f"{final.name} appeared while it was being exported", where=str(final.parent), hint="--overwrite replaces it")
            with _moved_aside((final, *(companion(final, suffix) for suffix in _BESIDE)), staged.parent):
                for suffix in beside or ():
                    companion(staged, suffix).rename(companion(final, suffix))
                staged_manifest.rename(manifest_path(final))
                staged.rename(final)
            os.fsync(folder)
    except OSError as error:
        raise OutputError(f"cannot write {final.name}", where=str(final.parent), why=error.strerror or str(error)) from error


@contextlib.contextmanager
def _moved_aside(places: tuple[Path, ...], folder: Path) -> Iterator[None]:
    """Rename what lies at ``places`` into ``folder``, in this order, and back in the reverse order if an exception leaves the block.

    Renamed, not deleted: a folder cannot be replaced in one step, and what is set aside can be put back.
    """
    old = [(place, folder / f"replaced-{place.name}") for place in places if os.path.lexists(place)]
    try:
        for place, away in old:
            place.rename(away)
        yield
    except BaseException:
        kept = {place for place, away in old if not os.path.lexists(away)}
        for place in places:  # what is new goes first, then what was there comes back
            if place not in kept and os.path.lexists(place):
                place.rename(folder / f"failed-{place.name}")
        for place, away in reversed(old):
            if place not in kept:
                away.rename(place)
        raise


def _sync(path: Path) -> None:
    for file in files_of(path):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
