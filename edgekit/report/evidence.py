"""Which stored results lie in files and folders, and what each of them is.

What is named has to be a result, or it is refused. In a folder every ``.json`` is looked at: one that is no JSON or contradicts itself is
refused, one that is something else's is listed as not shown. A sweep's store is its table and the manifests of the artifacts in it.
Artifacts are not run; one that lies beside its manifest has to be the one described.
"""

import contextlib
import datetime as dt
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from edgekit.artifact import MANIFEST_SUFFIX, read_manifest
from edgekit.capabilities import TARGETS
from edgekit.errors import EvidenceError
from edgekit.policy.strict_json import read_json
from edgekit.report.entry import Entry
from edgekit.sweep_store import content
from edgekit.sweep_store.store import SUFFIX as STORE_SUFFIX
from edgekit.sweep_store.store import SweepStore
from edgekit.sweep_store.table import document

MANIFEST, BENCHMARK, POLICY, SWEEP = "manifest", "benchmark", "policy", "sweep"
COMMANDS = ("bench", "gate", "verify", "policy fit", "policy apply", "device run")
"""Commands whose ``--json`` is kept and shown."""

_MOST_PLACES = 20_000
_SUFFIXES = tuple(facts.suffix for facts in TARGETS)


@frozen(kw_only=True)
class Source:
    """One stored result.

    :param kind: ``manifest``, ``benchmark``, ``policy``, or the command that printed it.
    :param date: of the file, UTC: results hold a time of their own only where they say so.
    :param sha256: of the file.
    """

    path: Path
    kind: str
    date: dt.date
    sha256: str
    entry: Entry

    @property
    def name(self) -> str:
        """What a report calls it: never where it lies on somebody's machine."""
        return self.path.name


@frozen(kw_only=True)
class Evidence:
    """All results that were found, and the names of ``.json`` files that are none, each with why."""

    sources: tuple[Source, ...]
    others: tuple[tuple[str, str], ...]

    def of(self, *kinds: str) -> tuple[Source, ...]:
        """Return the results of some kinds."""
        return tuple(source for source in self.sources if source.kind in kinds)


def gather(paths: Sequence[Path]) -> Evidence:
    """Read the results in files and folders, sorted by name; the same content counts once.

    :raises EvidenceError: nothing is there, a file is truncated or no result, or there are too many to be a folder of results.
    :raises ArtifactError: an artifact is not the one that its manifest describes.
    """
    found: dict[str, Source] = {}
    others = []
    for path in paths:
        for place in _places(path):
            source = _read(place)
            if source.kind:
                found.setdefault(source.sha256, source)
            elif place == path:
                raise EvidenceError(
                    f"{place.name} is no result of edgekit",
                    what="manifests, policies, benchmarks, stores of sweeps, and what bench, gate, verify, policy and device run print with --json",
                )
            else:
                others.append((place.name, "no result of edgekit"))
    if not found:
        raise EvidenceError("there are no stored results to report", what=", ".join(map(str, paths)), hint="export, or bench --json > FILE, first")
    ordered = sorted(found.values(), key=lambda source: (source.name, source.sha256))
    return Evidence(sources=tuple(ordered), others=tuple(sorted(set(others))))


def _places(path: Path) -> Iterator[Path]:
    """Yield the ``.json`` files and the stores of sweeps at a path; what is inside an artifact, or beside a store, belongs to it."""
    if path.is_file() and path.suffix == STORE_SUFFIX:
        yield from _of_store(path)
        return
    if path.is_file() or (path.is_dir() and path.suffix in _SUFFIXES):
        yield _manifest_of(path) if path.suffix in _SUFFIXES else path
        return
    if not path.is_dir():
        raise EvidenceError(f"there is no {path}", hint="name folders of artifacts and files of results")
    seen = 0
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(
            name for name in folders if not name.endswith((*_SUFFIXES, content.folder_of(Path(STORE_SUFFIX)).name)) and name[0] != "."
        )
        seen += len(files) + len(folders)
        if seen > _MOST_PLACES:
            raise EvidenceError(f"{path} holds more than {_MOST_PLACES} files", hint="name the folders that hold results")
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(".json"))
        for name in sorted(files):
            if name.endswith(STORE_SUFFIX):
                yield from _of_store(Path(folder, name))


def _of_store(path: Path) -> Iterator[Path]:
    """Yield a sweep's store, and the manifests of the artifacts in its table that are still there."""
    yield path
    for row in _table(path)["results"]:
        if row["sha256"] is not None:
            with contextlib.suppress(EvidenceError):  # gone since: the table still says what it was
                artifact = content.path_of(content.folder_of(path), str(row["sha256"]), str(row["artifact"]))
                yield _manifest_of(artifact)


def _table(path: Path) -> dict[str, Any]:
    with SweepStore.open(path) as store:
        return document(store)


def _manifest_of(artifact: Path) -> Path:
    place = artifact.with_name(artifact.name + MANIFEST_SUFFIX)
    if not place.is_file():
        raise EvidenceError(f"{artifact.name} has no manifest", why="what it is and how it did stands there", hint="edgekit verify FILE --model ...")
    return place


def _read(path: Path) -> Source:
    if path.suffix == STORE_SUFFIX:
        return _source(path, SWEEP, _table(path))
    value = read_json(path, EvidenceError, "a stored result")
    kind = _kind(path, value)
    if kind == MANIFEST:
        artifact = path.with_name(path.name.removesuffix(MANIFEST_SUFFIX))
        if artifact.exists():
            read_manifest(artifact)  # refuses one that is not what the manifest says
    if kind and value.get("schema_version", 1) != 1:
        raise EvidenceError(f"{path.name} has schema version {value['schema_version']!r:.40}", what="this edgekit reads version 1")
    return _source(path, kind, value if kind else {})


def _source(path: Path, kind: str, value: dict[str, Any]) -> Source:
    read = json.dumps(value, sort_keys=True).encode() if kind == SWEEP else path.read_bytes()
    date = dt.datetime.fromtimestamp(path.stat().st_mtime, tz=dt.UTC).date()
    return Source(path=path, kind=kind, date=date, sha256=hashlib.sha256(read).hexdigest(), entry=Entry(value, path.name))


def _kind(path: Path, value: Any) -> str:
    """Tell what a document is; nothing: none of edgekit's."""
    if not isinstance(value, dict):
        if path.name.endswith(MANIFEST_SUFFIX):
            raise EvidenceError(f"{path.name} is not a manifest", what=type(value).__name__)
        return ""
    if path.name.endswith(MANIFEST_SUFFIX):
        return MANIFEST
    command = value.get("command")
    if isinstance(command, str) and command in COMMANDS:
        return command
    if isinstance(value.get("benchmark"), str):
        return BENCHMARK
    return POLICY if {"thresholds_micro", "fingerprint"} <= value.keys() else ""
