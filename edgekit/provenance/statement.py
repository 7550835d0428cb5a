"""The in-toto statement of an artifact, with SLSA's provenance predicate.

    subject      each file of the artifact with its sha256: a package of Core ML is three
    predicate    buildDefinition: the recipe (externalParameters), what it was made from (resolvedDependencies)
                 runDetails: edgekit and the tools' versions

Sources: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, https://slsa.dev/spec/v1.0/provenance.
Times are left out, as the predicate allows: equal exports have equal statements.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edgekit.artifact import files_of

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"


def statement_of(artifact: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the statement of an artifact.

    :param artifact: where it lies now; its name is taken from the manifest. :param document: the manifest.
    :raises KeyError: the manifest lacks what every manifest has.
    """
    tools = document["tools"]
    own = f"pkg:generic/edgekit@{quote(tools['edgekit'], safe='')}"
    return {
        "_type": STATEMENT_TYPE,
        "subject": subjects_of(artifact, document["artifact"]["name"]),
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": f"{own}#export",
                "externalParameters": dict(document["recipe"]),
                "internalParameters": {"rewrites": {row["name"]: len(row["sites"]) for row in document["rewrites"]}},
                "resolvedDependencies": list(_dependencies(document)),
            },
            "runDetails": {"builder": {"id": own, "version": dict(tools)}},
        },
    }


def subjects_of(artifact: Path, name: str) -> list[dict[str, Any]]:
    """Return each file of an artifact with its sha256, by names that begin with the artifact's own."""
    found = []
    for file in files_of(artifact):
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        inner = file.relative_to(artifact).as_posix()
        found.append({"name": name if inner == "." else f"{name}/{inner}", "digest": {"sha256": content}})
    return found


def package_url(name: str, version: str) -> str:
    """Return a package's purl: ``pkg:pypi/torch@2.13.0%2Bcpu``."""
    return f"pkg:pypi/{name.lower().replace('_', '-')}@{quote(version, safe='')}"


def _dependencies(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield tools and files; files have no address, only a name and a digest."""
    model, recipe = document["model"], document["recipe"]
    for name, version in sorted(document["tools"].items()):  # as a manifest on disk has them
        if name != "edgekit":
            yield {"name": name, "uri": package_url(name, version)}
    files = {
        "weights": (recipe["weights"], model["weights_sha256"]),
        "labels": (recipe["labels"], document["labels_sha256"]),
        "code": (model["name"].rpartition(":")[0], model["code_sha256"]),
    }
    for role, (name, digest) in files.items():
        if digest is not None:
            yield {"name": name or role, "digest": {"sha256": digest}, "annotations": {"role": role}}
