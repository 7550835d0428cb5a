"""Writes an artifact's statement and bill of materials, and holds those beside an artifact against its files and its manifest."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.artifact import SBOM_SUFFIX, STATEMENT_SUFFIX, companion, read_manifest
from edgekit.capabilities import target_facts
from edgekit.errors import ArtifactError, ProvenanceError
from edgekit.policy.strict_json import read_json
from edgekit.provenance.sbom import sbom_of
from edgekit.provenance.statement import PREDICATE_TYPE, STATEMENT_TYPE, statement_of, subjects_of

_AGAIN = "export again with --provenance --overwrite"


def provenance_of(artifact: Path, document: Mapping[str, Any]) -> dict[str, str]:
    """Return what is to lie beside an artifact, by suffix.

    :param artifact: where it lies now. :param document: its manifest.
    :raises MissingExtraError: the CycloneDX library is not installed.
    """
    statement = json.dumps(statement_of(artifact, document), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    return {STATEMENT_SUFFIX: statement, SBOM_SUFFIX: sbom_of(document, target_facts(document["recipe"]["target"]).extra)}


def check_provenance(artifact: Path) -> Mapping[str, Any]:
    """Hold an artifact's statement and bill to its files and its manifest; return the statement.

    That the statement is true nobody can tell from files alone: it is not signed. What it says is what the manifest says, of these bytes.

    :raises ProvenanceError: one is missing, is none, or speaks of something else. :raises ArtifactError: as of a manifest.
    """
    manifest = read_manifest(artifact)
    if manifest is None:
        raise ArtifactError(f"{artifact.name} has no manifest", why="its statement says what the manifest says", hint=_AGAIN)
    found = _read(companion(artifact, STATEMENT_SUFFIX), "an in-toto statement")
    if (found.get("_type"), found.get("predicateType")) != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise ProvenanceError(f"{artifact.name}{STATEMENT_SUFFIX} is not a statement of provenance", what=str(found.get("predicateType"))[:80])
    subjects = subjects_of(artifact, str(manifest.document["artifact"].get("name")))
    if found.get("subject") != subjects:
        raise ProvenanceError(
            f"the statement of {artifact.name} is about other files", what=_first_other(found.get("subject"), subjects), hint=_AGAIN
        )
    try:
        expected = statement_of(artifact, manifest.document)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ArtifactError(f"{manifest.path.name} cannot be read", why=f"{type(error).__name__}: {error}", hint=_AGAIN) from error
    if (path := _difference(found, expected)) is not None:
        raise ProvenanceError(f"the statement of {artifact.name} does not say what its manifest says", where=path, hint=_AGAIN)
    _check_sbom(artifact, manifest.sha256)
    return found


def _check_sbom(artifact: Path, sha256: str) -> None:
    found = _read(companion(artifact, SBOM_SUFFIX), "a CycloneDX bill of materials")
    try:
        own = found["metadata"]["component"]
        hashes = {row["content"] for row in own["hashes"] if row["alg"] == "SHA-256"}
        named = own["name"]
    except (LookupError, TypeError) as error:
        raise ProvenanceError(f"{artifact.name}{SBOM_SUFFIX} names no artifact", why=f"{type(error).__name__}: {error}", hint=_AGAIN) from error
    if found.get("bomFormat") != "CycloneDX" or hashes != {sha256} or named != artifact.name:
        raise ProvenanceError(f"the bill of materials of {artifact.name} is about another artifact", what=str(named)[:80], hint=_AGAIN)


def _read(path: Path, what: str) -> dict[str, Any]:
    if not path.is_file():
        raise ProvenanceError(f"{path.name} is missing", why="the artifact was exported without --provenance, or moved without it", hint=_AGAIN)
    content = read_json(path, ProvenanceError, what)
    if not isinstance(content, dict):
        raise ProvenanceError(f"{path.name} is not {what}", what=type(content).__name__)
    return content


def _first_other(found: Any, expected: list[dict[str, Any]]) -> str:
    rows = found if isinstance(found, list) else []
    for row in expected:
        if row not in rows:
            return f"{row['name']} has sha256 {row['digest']['sha256'][:16]}..., which it does not name"
    return f"it names {len(rows)} files, the artifact has {len(expected)}"


def _difference(found: Any, expected: Any, path: str = "") -> str | None:
    """Return the path of the first member that differs."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted({*found, *expected}):
            if (inner := _difference(found.get(key), expected.get(key), f"{path}.{key}" if path else key)) is not None:
                return inner
        return None
    return None if found == expected and type(found) is type(expected) else path
