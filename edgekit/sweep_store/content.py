"""Artifacts by their content: a folder named by the sha256 of what lies in it, whole or absent.

cifar10.sweep.files/3f9c.../emov2-nano_32_fp32.tflite, emov2-nano_32_fp32.tflite.manifest.json
"""

import re
import shutil
from pathlib import Path

from edgekit import artifact
from edgekit.errors import EvidenceError

_DIGEST = re.compile(r"[0-9a-f]{64}")


def folder_of(store: Path) -> Path:
    """Return where a store's artifacts lie: beside it."""
    return store.with_name(store.name + ".files")


def keep(folder: Path, made: Path, sha256: str) -> Path:
    """Copy an artifact and its manifest into the folder, if they are not there; return where it lies.

    :raises EvidenceError: it is not what ``sha256`` says. :raises OutputError: the folder cannot be written.
    """
    final = folder / sha256
    if not final.is_dir():
        with artifact.staging(folder) as staged:
            place = staged / sha256
            place.mkdir()
            copy = place / made.name
            if made.is_dir():
                shutil.copytree(made, copy, copy_function=shutil.copyfile)
            else:
                shutil.copyfile(made, copy)
            shutil.copyfile(artifact.manifest_path(made), artifact.manifest_path(copy))
            if artifact.digest(copy) != sha256:
                raise EvidenceError(f"{made.name} is not what its cell said", what=sha256[:16])
            try:
                place.rename(final)
            except OSError:
                if not final.is_dir():  # else another sweep has kept the same
                    raise
    return final / made.name


def path_of(folder: Path, sha256: str, name: str) -> Path:
    """Return where an artifact lies.

    :raises EvidenceError: it is not there, or what should name it names something else.
    """
    if not _DIGEST.fullmatch(sha256) or Path(name).name != name:
        raise EvidenceError("a stored result names no artifact", what=f"{sha256[:80]!r}, {name[:80]!r}")
    place = folder / sha256 / name
    if not place.exists():
        hint = "put the folder back beside the store, or begin with another store"
        raise EvidenceError(f"{name} is no longer beside the store", where=str(folder), hint=hint)
    return place
