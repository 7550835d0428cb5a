"""Lock files: the digests that artifacts had, and what they were made with, so that a rebuild can be compared with them.

    {"schema_version": 1,
     "artifacts": {"emov2-1m_224_fp32.tflite": {"sha256": "...", "size_bytes": 5886424, "recipe_sha256": "...", "weights_sha256": null,
       "code_sha256": null, "labels_sha256": null, "tools": {"torch": "2.13.0"}, "sections": {"weights": 5803376}, "processor": "x86_64 AVX512"}}}

The digest covers every byte of every file of the artifact: no target's writer leaves anything that has to be left out. Folded constants are computed
in float32 by torch's kernels, which differ in the last bit between kinds of processors; so the kind is written down, and named where digests differ.
"""

import json
import os
import platform
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from edgekit.artifact import locked_folder
from edgekit.errors import LockError, LockMismatchError, OutputError
from edgekit.policy.strict_json import Fields, read_json

SCHEMA = 1
_WHAT = "a lock file"
_SOURCES = ("recipe_sha256", "weights_sha256", "code_sha256", "labels_sha256")
_KEYS = ("sha256", "size_bytes", *_SOURCES, "tools", "sections", "processor")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@frozen(kw_only=True)
class Locked:
    """One artifact as it was.

    :param sources: digests of what it was made from, by the manifest's keys; ``None``: there was none.
    :param sections: bytes by section, to say where another file differs. :param processor: the kind of processor that made it.
    """

    sha256: str
    size_bytes: int
    sources: Mapping[str, str | None]
    tools: Mapping[str, str]
    sections: Mapping[str, int] = field(factory=dict)
    processor: str


@frozen(kw_only=True)
class Lock:
    """A lock file; artifacts by file name."""

    path: Path
    artifacts: Mapping[str, Locked]


def read_lock(path: Path) -> Lock:
    """Read a lock file.

    :raises LockError: missing, no JSON, or with anything unknown, absent or of another type.
    """
    top = Fields(read_json(path, LockError, _WHAT), ("schema_version", "artifacts"), path.name, LockError)
    if (version := top.integer("schema_version")) != SCHEMA:
        raise LockError(f"{path.name} has schema version {version}", what=f"this edgekit reads version {SCHEMA}")
    rows = top.raw("artifacts")
    if not isinstance(rows, dict):
        raise LockError(f"{path.name}: artifacts is not a JSON object")
    return Lock(path=path, artifacts={name: _locked(row, f"{path.name}: {name}") for name, row in rows.items()})


def _locked(row: Any, where: str) -> Locked:
    fields = Fields(row, _KEYS, where, LockError)
    digests = {key: None if key != "sha256" and fields.is_null(key) else fields.text(key) for key in ("sha256", *_SOURCES)}
    for key, digest in digests.items():
        if digest is not None and not _DIGEST.fullmatch(digest):
            raise LockError(f"{where}: {key} is no sha256", what=digest[:80])
    tools, sections = (Fields(fields.raw(key), tuple(fields.raw(key)), f"{where}: {key}", LockError) for key in _tables(fields, where))
    return Locked(
        sha256=str(digests.pop("sha256")),
        size_bytes=fields.integer("size_bytes"),
        sources=digests,
        tools={name: tools.text(name) for name in fields.raw("tools")},
        sections={name: sections.integer(name) for name in fields.raw("sections")},
        processor=fields.text("processor"),
    )


def _tables(fields: Fields, where: str) -> tuple[str, str]:
    for key in ("tools", "sections"):
        if not isinstance(fields.raw(key), dict):
            raise LockError(f"{where}: {key} is not a JSON object")
    return "tools", "sections"


def locked_from(document: Mapping[str, Any], made_by: str | None = None) -> Locked:
    """Return what a lock file keeps of an artifact with this manifest.

    :param made_by: the kind of processor that made it; ``None``: this one.
    """
    made, model = document["artifact"], document["model"]
    sources = {
        "recipe_sha256": document["recipe_sha256"],
        "weights_sha256": model["weights_sha256"],
        "code_sha256": model["code_sha256"],
        "labels_sha256": document["labels_sha256"],
    }
    return Locked(
        sha256=made["sha256"],
        size_bytes=made["size_bytes"],
        sources=sources,
        tools=dict(document["tools"]),
        sections=dict(made["sections"]),
        processor=made_by or processor(),
    )


def processor() -> str:
    """Return the kind of processor, as far as torch's kernels differ by it: ``x86_64 AVX512``."""
    import torch

    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def require_tools(lock: Lock, name: str, tools: Mapping[str, str]) -> None:
    """Stop before anything is built where the lock does not know the artifact, or it was made with other versions.

    :param tools: versions that would make it now.
    :raises LockMismatchError: so it is.
    """
    row = lock.artifacts.get(name)
    if row is None:
        raise LockMismatchError(f"{lock.path.name} does not know {name}", what=f"it has {len(lock.artifacts)} artifacts", hint=_agree(lock))
    if differing := [f"{tool}: {row.tools.get(tool, 'none')}, here {tools.get(tool, 'none')}" for tool in _differing(row.tools, tools)]:
        raise LockMismatchError(f"{name} is locked with other versions of the tools", what="; ".join(differing), hint=_agree(lock))


def require_same(lock: Lock, document: Mapping[str, Any], made_by: str | None = None) -> None:
    """Stop where an artifact is not, byte for byte, the one that was agreed on.

    :param document: the manifest of what was built. :param made_by: as :func:`locked_from` has it.
    :raises LockMismatchError: another digest; the error says what else differs.
    """
    name, found = document["artifact"]["name"], locked_from(document, made_by)
    require_tools(lock, name, found.tools)
    row = lock.artifacts[name]
    if found.sha256 == row.sha256:
        return
    raise LockMismatchError(
        f"{name} is not the artifact that {lock.path.name} describes",
        what=f"sha256 {found.sha256[:16]}..., {found.size_bytes:,} bytes; locked: {row.sha256[:16]}..., {row.size_bytes:,} bytes",
        why="; ".join(_reasons(row, found)),
        hint=_agree(lock),
    )


def _reasons(row: Locked, found: Locked) -> Iterable[str]:
    sources = [key.removesuffix("_sha256") for key in _SOURCES if row.sources[key] != found.sources[key]]
    if sources:
        yield f"made from another {', '.join(sources)}"
    if row.processor != found.processor:
        yield f"locked on another kind of processor, {row.processor}; here {found.processor}"
    sections = [f"{name} {row.sections.get(name, 0):,} to {found.sections.get(name, 0):,} bytes" for name in _differing(row.sections, found.sections)]
    if sections:
        yield ", ".join(sections)
    if not sources and row.processor == found.processor:
        yield "same request, tools and kind of processor: another version of a package that these import, or a writer that is not deterministic"


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))


def _agree(lock: Lock) -> str:
    return f"if this is wanted: edgekit export ... --lock {lock.path.name}, and commit the change"


def update_lock(path: Path, documents: Iterable[Mapping[str, Any]], made_by: str | None = None) -> None:
    """Write artifacts into a lock file, in one step; others that are in it stay.

    :param documents: manifests. :param made_by: as :func:`locked_from` has it.
    :raises LockError: the file that is there is none. :raises OutputError: it cannot be written.
    """
    added = {document["artifact"]["name"]: locked_from(document, made_by) for document in documents}
    try:
        with locked_folder(path.resolve().parent):  # another export that ends now has rows to add, too
            known = dict(read_lock(path).artifacts) if os.path.lexists(path) else {}
            rows = {name: _to_json(row) for name, row in (known | added).items()}
            _replace(path, json.dumps({"schema_version": SCHEMA, "artifacts": rows}, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise OutputError(f"cannot write {path.name}", where=str(path), why=error.strerror or str(error)) from error


def _replace(path: Path, text: str) -> None:
    descriptor, staged = tempfile.mkstemp(dir=path.resolve().parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        Path(staged).chmod(0o644)
        Path(staged).replace(path.resolve())
    except BaseException:
        Path(staged).unlink(missing_ok=True)
        raise


def _to_json(row: Locked) -> dict[str, Any]:
    return {
        "sha256": row.sha256,
        "size_bytes": row.size_bytes,
        **row.sources,
        "tools": dict(row.tools),
        "sections": dict(row.sections),
        "processor": row.processor,
    }
