"""The CycloneDX bill of materials of an artifact: what is in it, and every package that took part in making it.

    metadata.component    the artifact, with the sha256 of its manifest
    components            the network, and its checkpoint and code where there are any      scope required
                          packages that made it, from what is installed                     scope excluded: none of them is inside

Source: https://cyclonedx.org/docs/1.6/json. No time, and a serial number made from the content: equal exports have equal bills.
"""

import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from edgekit.errors import MissingExtraError
from edgekit.installed import needs
from edgekit.provenance.statement import package_url

if TYPE_CHECKING:
    from cyclonedx.model.component import Component

_NAMESPACE = uuid.UUID("4f0b7a0e-6a55-5d0c-9c86-0f6f2f2b7f6e")
"""Of edgekit's serial numbers; drawn once."""


def sbom_of(document: Mapping[str, Any], extra: str) -> str:
    """Return the bill of an artifact as JSON text.

    :param document: its manifest. :param extra: the optional packages of edgekit that its target needs.
    :raises MissingExtraError: the CycloneDX library is not installed. :raises KeyError: the manifest lacks what every manifest has.
    """
    try:
        from cyclonedx.model.bom import Bom
        from cyclonedx.output.json import JsonV1Dot6
    except ImportError as error:
        raise MissingExtraError("a bill of materials", "provenance", [error.name or "cyclonedx"]) from error
    packages = installed_packages(extra)
    inside = list(_inside(document))
    made_by = [_package(name, version) for name, version in packages.items()]
    own = _artifact(document)
    bom = Bom(components=[*inside, *made_by], serial_number=_serial(document, packages))
    bom.metadata.component = own
    bom.metadata.timestamp = None  # type: ignore[assignment]  # optional in the format
    bom.register_dependency(own, [*inside, *made_by])
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def installed_packages(extra: str) -> dict[str, str]:
    """Return every package that an export with this extra can import, with its version, in alphabetic order."""
    from edgekit.installed import OWN, version_of

    found = {need.name.lower().replace("_", "-"): need.installed for need in needs((extra,)) if need.extra in (None, extra)}
    found[OWN] = version_of(OWN)
    return {name: version for name, version in sorted(found.items()) if version is not None}


def _serial(document: Mapping[str, Any], packages: Mapping[str, str]) -> uuid.UUID:
    said = [document["artifact"]["name"], document["artifact"]["sha256"], document["recipe_sha256"], *(f"{n}=={v}" for n, v in packages.items())]
    return uuid.uuid5(_NAMESPACE, "\n".join(said))


def _artifact(document: Mapping[str, Any]) -> "Component":
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.component import Component, ComponentType

    made = document["artifact"]
    recipe = {key: value for key, value in document["recipe"].items() if value is not None}
    return Component(
        name=made["name"],
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref="artifact",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=made["sha256"])],
        properties=[Property(name=f"edgekit:recipe:{key}", value=str(value)) for key, value in recipe.items()],
    )


def _inside(document: Mapping[str, Any]) -> Iterator["Component"]:
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.component import Component, ComponentScope, ComponentType

    model, recipe = document["model"], document["recipe"]
    trained = {True: "true", False: "false", None: "unknown"}[model["trained"]]
    yield Component(
        name=model["name"],
        type=ComponentType.MACHINE_LEARNING_MODEL,
        scope=ComponentScope.REQUIRED,
        bom_ref="model",
        properties=[Property(name="edgekit:parameters", value=str(model["parameters"])), Property(name="edgekit:trained", value=trained)],
    )
    files = {
        "weights": (recipe["weights"], model["weights_sha256"]),
        "labels": (recipe["labels"], document["labels_sha256"]),
        "code": (model["name"].rpartition(":")[0], model["code_sha256"]),
    }
    for role, (name, digest) in files.items():
        if digest is not None:
            yield Component(
                name=name or role,
                type=ComponentType.FILE,
                scope=ComponentScope.REQUIRED,
                bom_ref=role,
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
            )


def _package(name: str, version: str) -> "Component":
    from cyclonedx.model.component import Component, ComponentScope, ComponentType
    from packageurl import PackageURL

    purl = package_url(name, version)
    return Component(
        name=name, version=version, type=ComponentType.LIBRARY, scope=ComponentScope.EXCLUDED, bom_ref=purl, purl=PackageURL.from_string(purl)
    )
