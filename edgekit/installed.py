"""What is installed of what edgekit needs, read from packages' own metadata: nothing is imported, so it is quick and cannot crash.

edgekit ── torch==2.13.0 ── networkx>=2.5.1, ...          a need: who asks, what for, which versions, what is there
        └─ coremltools==9.0 (extra coreml) ── numpy, ...
"""

import importlib.metadata
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from attrs import frozen

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    from edgekit.capabilities import TargetFacts

OWN = "edgekit"
EXTRAS = ("coreml", "tflite", "executorch", "onnx", "coreai", "plot", "data", "provenance")
"""Those a user may leave out, in the order of the documentation."""

State = Literal["ok", "missing", "older", "newer", "other"]
"""``other``: between or beside the versions that are asked for."""

_DISTRIBUTIONS = {"litert_torch": "litert-torch", "ai_edge_litert": "ai-edge-litert", "coreai_torch": "coreai-torch", "coreai": "coreai-core"}


@frozen(kw_only=True)
class Need:
    """That a package asks for another. ``extra``: of edgekit's, which the need belongs to; ``None``: needed whatever one does."""

    name: str
    wanted: str
    installed: str | None
    state: State
    needed_by: str
    extra: str | None


def needs(extras: Iterable[str] = EXTRAS) -> Iterator[Need]:
    """Yield everything edgekit needs, then what those packages need, and so on; each pair once. Where a package is missing its needs are unknown."""
    waiting: deque[tuple[str, str | None, frozenset[str]]] = deque([(OWN, None, frozenset())])
    waiting.extend((OWN, extra, frozenset({extra})) for extra in extras)
    seen = set()
    while waiting:
        package, extra, own_extras = waiting.popleft()
        for requirement in _requirements(package, own_extras):
            name = _normal(requirement.name)
            if name == OWN or (package, name) in seen:
                continue
            seen.add((package, name))
            version = version_of(name)
            state = state_of(version, requirement.specifier)
            yield Need(name=requirement.name, wanted=str(requirement.specifier), installed=version, state=state, needed_by=package, extra=extra)
            if version is not None:
                waiting.append((name, extra, frozenset(requirement.extras)))


def tool_versions(facts: "TargetFacts") -> dict[str, str]:
    """Return the versions of edgekit, torch and the target's packages."""
    names = ["edgekit", "torch", *(_DISTRIBUTIONS.get(module, module) for module in facts.modules)]
    return {name: importlib.metadata.version(name) for name in names}


def version_of(name: str) -> str | None:
    """Return the version of an installed package."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def state_of(installed: str | None, wanted: "SpecifierSet") -> State:
    """Say how an installed version stands to those that are wanted; a build's local part (``+cpu``) does not count."""
    from packaging.version import InvalidVersion, Version

    if installed is None:
        return "missing"
    public = installed.partition("+")[0]
    if not str(wanted) or wanted.contains(public, prereleases=True):
        return "ok"
    try:
        found, bounds = Version(public), [Version(each.version.removesuffix(".*")) for each in wanted]
    except InvalidVersion:
        return "other"
    if found > max(bounds):
        return "newer"
    return "older" if found < min(bounds) else "other"


def _requirements(package: str, extras: frozenset[str]) -> "Iterator[Requirement]":
    """Yield what a package asks for on this machine; with extras, what they add to that and the rest again."""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in _required(package):
        try:
            requirement = Requirement(text)
        except InvalidRequirement:  # old packages have what is none; their own installation ignores it, too
            continue
        marker = requirement.marker
        wanted_without = marker is None or marker.evaluate({"extra": ""})
        if package == OWN and extras and wanted_without:
            continue  # not the extra's
        if wanted_without or any(marker is not None and marker.evaluate({"extra": extra}) for extra in extras):
            yield requirement


def _required(package: str) -> list[str]:
    try:
        return importlib.metadata.requires(package) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
