"""What a manifest says, put together from the parts of an export, and read back."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from edgekit import artifact
from edgekit.capabilities import TargetFacts
from edgekit.errors import ArtifactError
from edgekit.installed import tool_versions
from edgekit.interface import MethodSpec, Preprocessing, TensorSpec
from edgekit.policy.section import KEY, ExitSection
from edgekit.recipe import Recipe
from edgekit.rewrites.report import RewriteReport

if TYPE_CHECKING:  # they bring torch, which a process that only reads artifacts need not wait for
    from edgekit.models.source import SourceModel
    from edgekit.targets.base import Inspection
    from edgekit.verification.parity import Parity


def build_document(
    *,
    recipe: Recipe,
    facts: TargetFacts,
    source: "SourceModel",
    file_name: str,
    sha256: str,
    size: int,
    labels_sha256: str | None,
    methods: tuple[MethodSpec, ...],
    rewrites: tuple[RewriteReport, ...],
    origins: dict[str, Any],
    inspection: "Inspection",
    macs: Mapping[str, int | None],
    bytes_moved: Mapping[str, int | None],
    parity: "Parity",
    quantization: Mapping[str, Any] | None = None,
    notes: tuple[str, ...] = (),
    exits: ExitSection | None = None,
) -> dict[str, Any]:
    """Put the manifest of one artifact together. It holds no time and no path, so that equal exports are equal.

    :param origins: from :func:`edgekit.origins.origins_table`. :param macs: multiply-adds of one run, by method, of the program that was
        lowered; ``None``: a size in it is decided by what the tensors hold.
    :param bytes_moved: likewise, see :mod:`edgekit.traffic`. :param notes: from :func:`edgekit.sentences.notes_on`.
    :param quantization: of a quantized artifact: scheme, pictures, plan, and how it answers; see :mod:`edgekit.quantizing`.
    :param exits: of a network that may stop early; ``None``: of another.
    """
    return {
        "schema_version": artifact.MANIFEST_SCHEMA,
        "artifact": {"name": file_name, "sha256": sha256, "size_bytes": size, "sections": dict(inspection.sections)},
        "recipe": recipe.to_json(),
        "recipe_sha256": recipe.digest(),
        "model": {
            "name": source.name,
            "parameters": source.parameters,
            "trained": source.trained,
            "weights_sha256": source.weights_sha256,
            "code_sha256": source.code_sha256,
        },
        "labels_sha256": labels_sha256,
        "tools": tool_versions(facts),
        "methods": [_method_row(method) for method in methods],
        "preprocessing": attrs.asdict(source.preprocessing),
        "rewrites": [report.to_json() for report in rewrites],
        "origins": origins,
        "operators": dict(sorted(inspection.operators.items())),
        "delegation": attrs.asdict(inspection.delegation),
        "macs": dict(macs),
        "bytes_moved": dict(bytes_moved),
        "parity": parity.to_json(),
        "quantization": None if quantization is None else dict(quantization),
        "notes": list(notes),
        KEY: None if exits is None else exits.to_json(),
    }


def _method_row(method: MethodSpec) -> dict[str, Any]:
    row = attrs.asdict(method)
    if method.largest_batch == 1:
        del row["largest_batch"]  # most take one input
    for tensor in (*row["inputs"], *row["outputs"]):
        if tensor["scale"] is None:
            del tensor["scale"], tensor["zero_point"]  # most are no integers
    return row


def methods_from_json(rows: Any) -> tuple[MethodSpec, ...]:
    """Read the methods of a manifest back.

    :raises ArtifactError: not of that form.
    """
    try:
        return tuple(
            MethodSpec(name=str(row["name"]), inputs=_specs(row["inputs"]), outputs=_specs(row["outputs"]), largest_batch=_count(row)) for row in rows
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            "the manifest's methods cannot be read", why=f"{type(error).__name__}: {error}", hint="export again with --overwrite"
        ) from error


def _count(row: Any) -> int:
    count = row.get("largest_batch", 1)
    if type(count) is not int or count < 1:
        raise TypeError("largest_batch is a number, 1 or more")
    return count


def native_method(native: tuple[MethodSpec, ...], method: MethodSpec) -> MethodSpec:
    """Return a file's own form of a manifest's method: some formats keep no names, so inputs and outputs go by position.

    :param native: the methods of the file.
    :raises ArtifactError: it has no such method, or one with another number of inputs or outputs.
    """
    for own in native:
        if (own.name, len(own.inputs), len(own.outputs)) == (method.name, len(method.inputs), len(method.outputs)):
            return own
    raise ArtifactError(
        f"the file has no method {method.name} with {len(method.inputs)} inputs and {len(method.outputs)} outputs, as its manifest says",
        what="it has " + (", ".join(f"{own.name} ({len(own.inputs)} to {len(own.outputs)})" for own in native) or "none"),
        hint="export again with --overwrite",
    )


def _specs(rows: Any) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            name=str(row["name"]),
            dtype=str(row["dtype"]),
            shape=tuple(int(size) for size in row["shape"]),
            layout=row["layout"],
            scale=_scale(row.get("scale")),
            zero_point=int(row.get("zero_point", 0)),
        )
        for row in rows
    )


def _scale(value: Any) -> float | None:
    if value is not None and not (isinstance(value, float) and 0 < value < math.inf):
        raise TypeError("a scale is a positive number")
    return value


def preprocessing_from_json(row: Any) -> Preprocessing:
    """Read the preprocessing of a manifest back.

    :raises ArtifactError: not of that form.
    """
    try:
        values = dict(row)
        return Preprocessing(**values | {"mean": tuple(values["mean"]), "std": tuple(values["std"])})
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            "the manifest's preprocessing cannot be read", why=f"{type(error).__name__}: {error}", hint="export again with --overwrite"
        ) from error
