"""Looks inside an ``.aimodel``: its methods, operators and bytes by section. Runs nothing."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

from edgekit.errors import ArtifactError, EdgekitError
from edgekit.quiet import quiet
from edgekit.targets.base import Inspection, WeightFormat
from edgekit.targets.coreai.asset import HASH, METADATA, PROGRAM, Asset, read_asset
from edgekit.targets.coreai.graphs import called_by, composite_name, graphs_in, is_method, load_program, name_of, operations_in
from edgekit.targets.coreai.guard import require_readable
from edgekit.targets.coreai.methods import methods_of
from edgekit.targets.delegated import Delegation

_FORMATS = {"f32": "float32", "f16": "float16", "si8": "8-bit integers", "si4": "4-bit integers"}
_FORMATS |= {f"ui{bits}": f"indices of {1 << bits}" for bits in (1, 2, 3, 4, 6, 8)}
_PLUMBING = ("constant", "output")


def inspect_asset(path: Path) -> Inspection:
    """Inspect an asset.

    Operators are those of the methods (``conv2d``, ``gelu``), a call of a composite under the composite's name
    (``layer_norm``); constants and the output do not count. Which unit runs what is decided on the device, so there is
    no delegation share.

    :raises ArtifactError: missing, truncated, foreign, damaged, or with links.
    """
    asset = read_asset(path)
    require_readable(asset)
    try:
        with quiet():
            program = load_program(path)
            by_method = _operators(program)
            return Inspection(
                methods=methods_of(program, asset.layouts),
                operators=dict(sorted(sum(by_method.values(), Counter()).items())),
                operators_by_method=by_method,
                delegation=Delegation(share=None),
                sections=_sections(asset, program),
                weights=_weights(program),
            )
    except EdgekitError:
        raise
    except Exception as error:
        raise ArtifactError(f"Core AI cannot read {path.name}", why=" ".join(str(error).split())[:300]) from error


def _operators(program: Any) -> dict[str, Counter[str]]:
    composites = {name_of(graph): composite_name(graph) for graph in graphs_in(program) if not is_method(graph)}
    found = {name_of(graph): Counter(_name(each, composites) for each in operations_in(graph)) for graph in graphs_in(program) if is_method(graph)}
    for operators in found.values():
        for name in _PLUMBING:
            del operators[name]
    return found


def _name(operation: Any, composites: dict[str, str]) -> str:
    """Return ``conv2d`` for ``coreai.conv2d``, ``add`` for ``coreai.decomposable.broadcasting_add``, ``layer_norm`` for a call of one."""
    called = called_by(operation)
    if called is not None:
        return composites.get(called, called)
    return str(operation.name).removeprefix("coreai.").removeprefix("decomposable.").removeprefix("broadcasting_")


def _weights(program: Any) -> tuple[WeightFormat, ...]:
    """Return the formats of all constants that may be weights; tables and scales are constants of their own, among the floats."""
    found: dict[str, list[Any]] = {}
    for constant in _constants(program):
        name = _FORMATS.get(str(constant.type.element_type))
        if name is not None and not getattr(constant, "is_splat", False):
            found.setdefault(name, []).append(constant)
    rows = [
        WeightFormat(name=name, tensors=len(rows), values=sum(math.prod(row.type.shape) for row in rows), size_bytes=sum(map(_size, rows)))
        for name, rows in found.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.values, row.name)))


def _constants(program: Any) -> set[Any]:
    """Return the values of all constants, equal ones once."""
    operations = (operation for graph in graphs_in(program) for operation in operations_in(graph))
    return {operation.attributes["value"] for operation in operations if "value" in operation.attributes}


def _sections(asset: Asset, program: Any) -> dict[str, int]:
    """Return bytes by section; they add up to the folder's files. ``weights`` are the constants' values, equal ones once."""
    weights = min(sum(_size(constant) for constant in _constants(program)), asset.files[PROGRAM])
    sections = {"weights": weights, "graph": asset.files[PROGRAM] - weights, "metadata": asset.files[METADATA] + asset.files[HASH]}
    return sections | {"other": sum(asset.files.values()) - sum(sections.values())}


def _size(constant: Any) -> int:
    """Return the bytes of a constant's values; one that repeats a single value stores it once."""
    kind = constant.type
    elements = 1
    for size in kind.shape:
        elements *= size
    if getattr(constant, "is_splat", False):
        elements = 1
    return (elements * int(kind.element_type.width) + 7) // 8
