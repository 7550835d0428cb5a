"""What is inside an artifact, in a form that two reports can be compared by: operators, what they were lowered from, and constants."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from edgekit.artifact import Manifest
from edgekit.gates.constants import Constant, constants_of
from edgekit.origins import origins_from_json
from edgekit.targets.base import Inspection

_COUNTER = re.compile(r"_\d+$")
_OTHER = re.compile(r"[^0-9A-Za-z]+")
UNKNOWN = "(no module)"


@frozen(kw_only=True)
class Contents:
    """Operators by name; nodes of the program that was lowered by module and operator; constants, ``None`` where the format names none."""

    operators: Mapping[str, int]
    nodes: Mapping[str, int]
    constants: tuple[Constant, ...] | None


def contents_of(path: Path, target: str, inspection: Inspection, manifest: Manifest) -> Contents:
    """Read an artifact's contents.

    :raises ArtifactError: truncated or foreign, or the manifest's table of origins is.
    """
    table = manifest.document.get("origins", {"modules": [], "lines": [], "nodes": {}})
    nodes: Counter[str] = Counter()
    modules = set()
    for method in origins_from_json(table).methods.values():
        for node, origin in method.items():
            nodes[f"{origin.module or UNKNOWN}.{_COUNTER.sub('', node)}"] += 1
            modules.add(origin.module)
    found = constants_of(path, target)
    known = {_plain(module): module for module in modules if module}
    constants = None if found is None else tuple(_placed(constant, known) for constant in found)
    return Contents(operators=inspection.operators, nodes=dict(sorted(nodes.items())), constants=constants)


def _placed(constant: Constant, modules: Mapping[str, str]) -> Constant:
    """Return a constant under its module's path; formats put other signs for the dots, and their own words around it."""
    words = _plain(constant.name).removeprefix("p_").split("_")
    for length in range(len(words), 0, -1):
        module = modules.get("_".join(words[:length]))
        if module is not None:
            return attrs.evolve(constant, name=f"{module}.{'_'.join(words[length:]) or 'constant'}")
    return constant


def _plain(text: str) -> str:
    return _OTHER.sub("_", text).strip("_")


def to_json(contents: Contents) -> dict[str, Any]:
    """Return plain JSON values."""
    constants = contents.constants
    return {
        "operators": dict(contents.operators),
        "nodes": dict(contents.nodes),
        "constants": None if constants is None else [[constant.name, constant.size, constant.sha256] for constant in constants],
    }
