"""An ``.aimodel`` folder on disk: sealed so that equal content is equal bytes, and read without trusting it.

main.mlirb       MLIR bytecode: methods, weights
main.hash        sha256 of main.mlirb, 32 bytes
metadata.json    author, license, description, and pairs of one's own
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attrs import frozen

from edgekit.errors import ArtifactError
from edgekit.interface import MethodSpec
from edgekit.targets.base import Metadata
from edgekit.targets.file_kind import describe
from edgekit.targets.layouts import LAYOUTS_KEY, layouts_as_text

PROGRAM, HASH, METADATA = "main.mlirb", "main.hash", "metadata.json"
_MAGIC = b"ML\xefR"
_DATE = "creationDate"  # would make every export differ
_PAIRS = "creatorDefinedMetadata"
_LARGEST_METADATA = 1 << 20  # bytes
_LARGEST_PROGRAM = 16 << 30
_MOST_FILES = 1000


@frozen(kw_only=True)
class Asset:
    """A checked asset. ``sha256`` is the program's; ``files`` are all its files, relative, with their sizes in bytes."""

    path: Path
    sha256: str
    metadata: dict[str, Any]
    files: dict[str, int]

    @property
    def layouts(self) -> str | None:
        """What edgekit wrote about the axes of inputs and outputs."""
        pairs = self.metadata.get(_PAIRS)
        text = pairs.get(LAYOUTS_KEY) if isinstance(pairs, dict) else None
        return text if isinstance(text, str) else None


def seal(path: Path, metadata: Metadata, methods: Iterable[MethodSpec]) -> None:
    """Write an asset's metadata, with sorted keys and without the date: Core AI's own order of keys is another in every process."""
    file = path / METADATA
    content = json.loads(file.read_text(encoding="utf-8"))
    content.pop(_DATE, None)
    pairs = metadata.as_strings() | {LAYOUTS_KEY: layouts_as_text(methods)}
    content |= {"author": pairs.pop("author"), "license": pairs.pop("license"), "description": pairs.pop("description"), _PAIRS: pairs}
    file.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def read_asset(path: Path) -> Asset:
    """Read a folder and check it: its files, that none is a link, and that the program is whole.

    :raises ArtifactError: no Core AI asset, incomplete, truncated, damaged, or with links.
    """
    if not path.is_dir():
        raise _foreign(path)
    files = _files(path)
    for name in (PROGRAM, HASH, METADATA):
        if name not in files:
            raise ArtifactError(
                f"{path.name} is incomplete or no Core AI asset", what=f"{name} is missing", hint="export it again, or copy the whole folder"
            )
    if files[METADATA] > _LARGEST_METADATA or files[PROGRAM] > _LARGEST_PROGRAM:
        raise ArtifactError(f"{path.name} is too large to be read", what=f"{files[PROGRAM]} bytes of program, {files[METADATA]} of metadata")
    try:
        sha256 = _checked_program(path)
        metadata = json.loads((path / METADATA).read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtifactError(f"cannot read {path.name}", why=error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"the {METADATA} of {path.name} cannot be read", why=f"{type(error).__name__}: {error}") from error
    if not isinstance(metadata, dict):
        raise ArtifactError(f"the {METADATA} of {path.name} cannot be read", what=f"a {type(metadata).__name__}, not an object")
    return Asset(path=path, sha256=sha256, metadata=metadata, files=files)


def _foreign(path: Path) -> ArtifactError:
    try:
        content = path.read_bytes() if path.stat().st_size <= _LARGEST_METADATA else b""
        what = f"found {describe(content)}" if content else f"a file of {path.stat().st_size} bytes"
    except OSError as error:
        return ArtifactError(f"cannot read {path.name}", why=error.strerror or str(error))
    return ArtifactError(f"{path.name} is no Core AI asset", what=what, why="an asset is a folder")


def _files(path: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for file in path.rglob("*"):
        name = file.relative_to(path).as_posix()
        if file.is_symlink():
            raise ArtifactError(
                f"{path.name} has a link in it", what=name, why="an asset holds files only", hint="do not use assets from sources you do not trust"
            )
        if file.is_file():
            found[name] = file.stat().st_size
        if len(found) > _MOST_FILES:
            raise ArtifactError(f"{path.name} is no Core AI asset", what=f"more than {_MOST_FILES} files")
    return found


def _checked_program(path: Path) -> str:
    """Return the sha256 of the program, which has to be the one in the asset: Core AI's reader aborts on damaged bytecode."""
    program = path / PROGRAM
    with program.open("rb") as stream:
        start = stream.read(64)
        stream.seek(0)
        digest = hashlib.file_digest(stream, "sha256")
    if not start.startswith(_MAGIC):
        raise ArtifactError(f"{path.name} holds no Core AI program", what=f"{PROGRAM}: the start is {start[:8].hex(' ') or 'missing'}")
    if (path / HASH).read_bytes()[: digest.digest_size + 1] != digest.digest():
        raise ArtifactError(
            f"the program of {path.name} is truncated or damaged",
            what=f"{PROGRAM}, {program.stat().st_size} bytes",
            why=f"its sha256 is not the one in {HASH}",
            hint="export it again, or copy the whole folder",
        )
    return digest.hexdigest()
