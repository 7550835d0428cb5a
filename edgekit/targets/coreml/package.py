"""An ``.mlpackage`` folder on disk: written so that equal content is equal bytes, and read without trusting it.

Manifest.json                                which file is what
Data/com.apple.CoreML/model.mlmodel          protobuf: interface, metadata, the program
Data/com.apple.CoreML/weights/weight.bin     64-byte header, then per tensor a 64-byte entry and its data
"""

import hashlib
import itertools
import json
import shutil
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from edgekit.errors import ArtifactError
from edgekit.targets.coreml.toolbox import parse_model

CONVERT_AGAIN = "convert the model again with convert_to='mlprogram'"
_ROOT = Path("Data") / "com.apple.CoreML"
_LARGEST_MANIFEST = 1 << 20  # bytes
_LARGEST_SPEC = 1 << 28  # the weights are not in it
_MOST_OPERATORS = 200_000  # constants included; the largest EMOv2 has some four thousand
_MOST_FILES = 1000
_BLOB_ENTRY = struct.Struct("<IIQQ")  # sentinel, dtype, size and offset of the data in bytes
_BLOB_SENTINEL = 0xDEADBEEF
_IN_PACKAGE = "@model_path/"


@frozen(kw_only=True)
class Package:
    """A checked package. ``spec`` is the ``Model`` message; ``files`` are all its files with their sizes in bytes."""

    path: Path
    spec: Any
    spec_path: Path
    files: dict[Path, int]

    @property
    def functions(self) -> dict[str, Any]:
        """The program's functions by name."""
        return dict(self.spec.mlProgram.functions)


def write_package(destination: Path, spec: Any, weights: Path | None) -> None:
    """Write a package with this ``Model`` message and this weights file, if it has one."""
    model = spec.SerializeToString(deterministic=True)
    root = destination / _ROOT
    root.mkdir(parents=True)
    (root / "model.mlmodel").write_bytes(model)
    entries = [("model.mlmodel", "com.apple.CoreML/model.mlmodel", "CoreML Model Specification", hashlib.sha256(model).digest())]
    if weights is not None and weights.is_file():
        (root / "weights").mkdir()
        shutil.copyfile(weights, root / "weights" / "weight.bin")
        with weights.open("rb") as stream:
            entries.append(("weights", "com.apple.CoreML/weights", "CoreML Model Weights", hashlib.file_digest(stream, "sha256").digest()))
    identifiers = [_identifier(name, digest) for name, _, _, digest in entries]
    items = {
        identifier: {"author": "com.apple.CoreML", "description": description, "name": name, "path": path}
        for identifier, (name, path, description, _) in zip(identifiers, entries, strict=True)
    }
    manifest = {"fileFormatVersion": "1.0.0", "itemInfoEntries": items, "rootModelIdentifier": identifiers[0]}
    (destination / "Manifest.json").write_text(json.dumps(manifest, indent=4, sort_keys=True), encoding="utf-8")


def _identifier(name: str, digest: bytes) -> str:
    """Return a UUID made from content; Core ML Tools draws random ones, which would make every export differ."""
    return str(uuid.UUID(bytes=hashlib.sha256(name.encode() + digest).digest()[:16], version=4))


def read_package(path: Path) -> Package:
    """Read a package and check it: its files, that links stay inside, the program, and where its weights lie.

    :raises ArtifactError: no ML program package, incomplete, truncated, or pointing outside itself.
    """
    if not path.is_dir():
        raise _foreign(path)
    files = _files(path)
    spec_path = _spec_path(path)
    if files.get(spec_path, 0) > _LARGEST_SPEC:
        raise ArtifactError(f"{path.name} has a program too large to be read", what=f"{files[spec_path]} bytes")
    try:
        spec = parse_model(spec_path.read_bytes())
    except Exception as error:  # OSError, or protobuf's DecodeError, whose module is not imported here
        raise ArtifactError(f"the program of {path.name} cannot be read", what=spec_path.name, why=f"truncated or damaged: {error}") from error
    kind = spec.WhichOneof("Type")
    if kind != "mlProgram" or not spec.mlProgram.functions:
        raise ArtifactError(f"{path.name} holds no ML program", what=f"model type: {kind or 'none'}", hint=CONVERT_AGAIN)
    package = Package(path=path, spec=spec, spec_path=spec_path, files=files)
    _check_count(package)
    _check_weights(package)
    return package


def _foreign(path: Path) -> ArtifactError:
    if not path.exists():
        return ArtifactError(f"no package {path.name}", what=f"looked for {path}")
    if path.suffix == ".mlmodel":
        why, hint = "a single .mlmodel file is the older neural network format", CONVERT_AGAIN
        return ArtifactError(f"{path.name} is no Core ML package", what="a file", why=why, hint=hint)
    with path.open("rb") as stream:
        packed = stream.read(2) == b"PK"
    what, advice = ("a ZIP archive", "unpack it first") if packed else ("a file", None)
    return ArtifactError(f"{path.name} is no Core ML package", what=what, why="a package is a folder", hint=advice)


def _files(path: Path) -> dict[Path, int]:
    root = path.resolve()
    found: dict[Path, int] = {}
    for file in path.rglob("*"):
        if not file.resolve().is_relative_to(root):
            raise ArtifactError(
                f"{path.name} has a link that leaves it", what=str(file.relative_to(path)), hint="do not use packages from sources you do not trust"
            )
        if file.is_file():
            found[file] = file.stat().st_size
        if len(found) > _MOST_FILES:
            raise ArtifactError(f"{path.name} is no Core ML package", what=f"more than {_MOST_FILES} files")
    return found


def _spec_path(path: Path) -> Path:
    """Return the model file that the manifest names, inside the package."""
    manifest = path / "Manifest.json"
    try:
        if manifest.stat().st_size > _LARGEST_MANIFEST:
            raise ArtifactError(f"the Manifest.json of {path.name} is too large", what=f"{manifest.stat().st_size} bytes")
        content = json.loads(manifest.read_text(encoding="utf-8"))
        named = (path / "Data" / str(content["itemInfoEntries"][content["rootModelIdentifier"]]["path"])).resolve()
        is_there = named.is_file()
    except (OSError, ValueError, LookupError, TypeError, RuntimeError) as error:  # RuntimeError: nested too deeply, or a loop of links
        raise ArtifactError(f"{path.name} is no Core ML package", why=f"its Manifest.json cannot be read: {type(error).__name__}: {error}") from error
    if not named.is_relative_to(path.resolve()):
        raise ArtifactError(f"{path.name} has a manifest that leaves it", what=str(named.name))
    found = path / named.relative_to(path.resolve())
    if not is_there:
        raise ArtifactError(f"{path.name} is incomplete", what=f"{found.name} is missing", hint="export it again, or copy the whole folder")
    return found


def _check_count(package: Package) -> None:
    """Stop before millions of operators, or functions, fill the memory.

    :raises ArtifactError: there are too many.
    """
    blocks = [block for function in package.functions.values() for block in function.block_specializations.values()]
    count = sum(1 for block in blocks for _ in itertools.islice(operations_in(block), _MOST_OPERATORS + 1)) + len(blocks)
    if count > _MOST_OPERATORS:
        raise ArtifactError(f"{package.path.name} has a program too large to be read", what=f"more than {_MOST_OPERATORS} operators")


def _check_weights(package: Package) -> None:
    """Stop when a tensor's data lies outside its file.

    :raises ArtifactError: a weights file is missing, truncated or foreign.
    """
    folder, root = package.spec_path.parent, package.path.resolve()
    places: dict[str, set[int]] = {}
    for name, offset in blob_references(package.spec):
        places.setdefault(name, set()).add(offset)
    for name, offsets in sorted(places.items()):
        file = folder / name.removeprefix(_IN_PACKAGE)
        if not name.startswith(_IN_PACKAGE) or not file.resolve().is_relative_to(root):
            raise ArtifactError(f"{package.path.name} keeps weights outside itself", what=name)
        if not file.is_file():
            raise ArtifactError(
                f"{package.path.name} is incomplete", what=f"{file.name} is missing", hint="export it again, or copy the whole folder"
            )
        size = file.stat().st_size
        with file.open("rb") as stream:
            for offset in sorted(offsets):
                stream.seek(min(offset, size))  # an offset may be larger than any file's
                entry = stream.read(_BLOB_ENTRY.size)
                if len(entry) < _BLOB_ENTRY.size or not _fits(entry, size):
                    raise ArtifactError(
                        f"the weights of {package.path.name} are truncated or damaged", what=f"{file.name}, {size} bytes, entry at {offset}"
                    )


def _fits(entry: bytes, file_size: int) -> bool:
    sentinel, _, size, offset = _BLOB_ENTRY.unpack(entry)
    return bool(sentinel == _BLOB_SENTINEL and offset + size <= file_size)


def stored_bytes(package: Package, file_name: str, offset: int) -> bytes:
    """Return the data of one entry of a weights file, as :func:`blob_references` names it; :func:`read_package` has checked that it is there."""
    with (package.spec_path.parent / file_name.removeprefix(_IN_PACKAGE)).open("rb") as stream:
        stream.seek(offset)
        _, _, size, start = _BLOB_ENTRY.unpack(stream.read(_BLOB_ENTRY.size))
        stream.seek(start)
        return stream.read(size)


def stored_size(package: Package, file_name: str, offset: int) -> int:
    """Return the bytes that an entry's data takes in a weights file; as :func:`stored_bytes`."""
    with (package.spec_path.parent / file_name.removeprefix(_IN_PACKAGE)).open("rb") as stream:
        stream.seek(offset)
        _, _, size, _ = _BLOB_ENTRY.unpack(stream.read(_BLOB_ENTRY.size))
    return int(size)


def blob_references(spec: Any) -> Iterator[tuple[str, int]]:
    """Yield file name and offset of every value that a program keeps in a weights file."""
    for function in spec.mlProgram.functions.values():
        for block in function.block_specializations.values():
            for operation in operations_in(block):
                values = [
                    *operation.attributes.values(),
                    *(b.value for i in operation.inputs.values() for b in i.arguments if b.WhichOneof("binding") == "value"),
                ]
                for value in values:
                    if value.WhichOneof("value") == "blobFileValue":
                        yield value.blobFileValue.fileName, value.blobFileValue.offset


def operations_in(block: Any) -> Iterator[Any]:
    """Yield a block's operations and those of the blocks inside them (branches, loops)."""
    for operation in block.operations:
        yield operation
        for inner in operation.blocks:
            yield from operations_in(inner)
