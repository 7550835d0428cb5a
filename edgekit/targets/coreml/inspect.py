"""Looks inside an ``.mlpackage``: operators of all functions, bytes by section."""

from collections import Counter
from pathlib import Path
from typing import Any

from edgekit.targets.base import Inspection
from edgekit.targets.coreml.methods import methods_of
from edgekit.targets.coreml.package import Package, operations_in, read_package
from edgekit.targets.coreml.weights import weight_formats
from edgekit.targets.delegated import Delegation


def inspect_package(path: Path) -> Inspection:
    """Inspect a package.

    Operators are MIL's (``conv``, ``layer_norm``), without ``const``. Which unit runs what is decided on the device,
    so there is no delegation share.

    :raises ArtifactError: no ML program package, incomplete or truncated.
    """
    package = read_package(path)
    functions = {name: _operators(function) for name, function in package.functions.items()}
    methods = methods_of(package)
    names = list(functions) if len(functions) > 1 else [method.name for method in methods]  # an only function is called main
    return Inspection(
        methods=methods,
        operators=dict(sorted(sum(functions.values(), Counter()).items())),
        operators_by_method=dict(zip(names, functions.values(), strict=True)),
        delegation=Delegation(share=None),
        sections=_sections(package),
        weights=weight_formats(package),
    )


def _operators(function: Any) -> Counter[str]:
    found = Counter(operation.type for block in function.block_specializations.values() for operation in operations_in(block))
    del found["const"]
    return found


def _sections(package: Package) -> dict[str, int]:
    """Return bytes by section; they add up to the folder's files. ``metadata`` is the manifest and what the spec says about itself."""
    weights = package.spec_path.parent / "weights"
    description = package.spec.description.metadata.ByteSize()
    spec = package.files[package.spec_path]
    sections = {
        "weights": sum(size for file, size in package.files.items() if file.is_relative_to(weights)),
        "graph": spec - description,
        "metadata": package.files[package.path / "Manifest.json"] + description,
    }
    return sections | {"other": sum(package.files.values()) - sum(sections.values())}
