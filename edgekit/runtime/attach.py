"""Stores a policy in the manifests of artifacts, where apps and :meth:`LoadedArtifact.run_early_exit` find it."""

from collections.abc import Sequence
from pathlib import Path

from edgekit.artifact import Manifest, read_manifest, update_manifest
from edgekit.errors import ArtifactError, BadInputError
from edgekit.interface import MethodSpec
from edgekit.manifest import methods_from_json
from edgekit.policy.policy import Policy
from edgekit.policy.section import KEY, read_section, section_of
from edgekit.runtime.early_exit import check_carried_out, check_policy


def check_artifacts(paths: Sequence[Path], *, exits: int, classes: int) -> None:
    """Refuse artifacts that no policy for so many exits and classes belongs to, before one is fitted.

    :raises ArtifactError: one has no manifest, or no exits. :raises PolicyError: one is of another network.
    """
    names = {}
    for path in paths:
        name, _ = read_section(path)
        names[name] = path
        check_policy(Policy(kind="anytime", exits=exits, classes=classes, exit=exits), _methods(path), None)
    if len(names) > 1:
        raise BadInputError("the artifacts are of several models", what=", ".join(f"{path.name}: {name}" for name, path in names.items()))


def attach_policy(paths: Sequence[Path], policy: Policy) -> None:
    """Store a policy in the manifest of each artifact; the one that was there is replaced, the artifacts are not touched.

    All are checked before the first is changed; each manifest is then replaced in one step.

    :raises ArtifactError: one has no manifest, or no exits. :raises PolicyError: the policy is for another network than one of them.
    :raises OutputError: a folder cannot be written.
    """
    for path in paths:
        model, section = read_section(path)
        methods = _methods(path)
        check_policy(policy, methods, model)
        check_carried_out(policy, methods, section.confidence)
    for path in paths:
        update_manifest(path, lambda manifest: _with_policy(manifest, policy))


def _methods(path: Path) -> tuple[MethodSpec, ...]:
    manifest = read_manifest(path)
    return methods_from_json(None if manifest is None else manifest.document.get("methods"))


def _with_policy(manifest: Manifest, policy: Policy) -> dict[str, object]:
    section = section_of(manifest)
    if section is None:
        raise ArtifactError(f"{manifest.path.name} has no exits any more")
    return manifest.document | {KEY: section.with_policy(policy).to_json()}
