"""What a ``.pte`` says about its methods: shapes and dtypes from the program, names and layouts from edgekit's entry."""

import json
from collections.abc import Sequence
from typing import Any, cast, get_args

from edgekit.errors import ArtifactError
from edgekit.interface import Layout, MethodSpec, TensorSpec
from edgekit.targets.executorch.lower import DESCRIPTION_KEY
from edgekit.targets.executorch.pte import PteFile

# Numbers of torch's scalar types, as the flatbuffer stores them.
_DTYPES = {0: "uint8", 1: "int8", 2: "int16", 3: "int32", 4: "int64", 5: "float16", 6: "float32", 7: "float64", 11: "bool", 15: "bfloat16"}


def methods_of(file: PteFile) -> tuple[MethodSpec, ...]:
    """Return the methods in file order.

    A file that edgekit did not write has no names: its tensors are ``input_0``, ``output_0`` and so on, by position.

    :raises ArtifactError: an input or output is no tensor.
    """
    described = _described(file)
    return tuple(_method(plan, described.get(plan.name, {})) for plan in file.program.execution_plan)


def _method(plan: Any, described: Any) -> MethodSpec:
    return MethodSpec(
        name=plan.name,
        inputs=_tensors(plan, plan.inputs, "input", described),
        outputs=_tensors(plan, plan.outputs, "output", described),
    )


def _tensors(plan: Any, indices: Sequence[int], side: str, described: Any) -> tuple[TensorSpec, ...]:
    rows = described.get(side + "s") if isinstance(described, dict) else None
    if not isinstance(rows, list) or len(rows) != len(indices):
        rows = [{}] * len(indices)
    found = []
    for position, (index, row) in enumerate(zip(indices, rows, strict=True)):
        value = plan.values[index].val
        if type(value).__name__ != "Tensor":
            raise ArtifactError(f"{side} {position} of method {plan.name} is no tensor", what=type(value).__name__)
        layout = row.get("layout")
        found.append(
            TensorSpec(
                name=str(row.get("name", f"{side}_{position}")),
                dtype=_DTYPES.get(int(value.scalar_type), f"scalar type {int(value.scalar_type)}"),
                shape=tuple(int(size) for size in value.sizes),
                layout=cast(Layout, layout) if layout in get_args(Layout) else "other",
            )
        )
    return tuple(found)


def _described(file: PteFile) -> dict[str, Any]:
    """Return ``{method: {"inputs": [{"name", "layout"}], "outputs": [...]}}``, empty where the file has no usable entry."""
    try:
        methods = json.loads(file.named_data(DESCRIPTION_KEY) or b"{}").get("methods", {})
    except (ValueError, AttributeError):
        return {}
    return methods if isinstance(methods, dict) else {}
