"""What a program says about its methods: names, shapes, dtypes, from its public graphs."""

from typing import Any

import attrs

from edgekit.errors import ArtifactError
from edgekit.interface import MethodSpec, TensorSpec
from edgekit.targets.coreai.graphs import graphs_in, is_method, name_of
from edgekit.targets.layouts import layout_from_text

# How MLIR writes an element type, and NumPy's name for it.
_DTYPES = {
    "f32": "float32",
    "f16": "float16",
    "bf16": "bfloat16",
    "i1": "bool",
    **{f"si{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"ui{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
}
_NARROWED = {"int64": "int32", "float64": "float32"}


def stored(method: MethodSpec) -> MethodSpec:
    """Return a method as Core AI stores it: it has no 64-bit numbers."""

    def narrowed(tensors: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
        return tuple(attrs.evolve(tensor, dtype=_NARROWED.get(tensor.dtype, tensor.dtype)) for tensor in tensors)

    return attrs.evolve(method, inputs=narrowed(method.inputs), outputs=narrowed(method.outputs))


def methods_of(program: Any, layouts: str | None) -> tuple[MethodSpec, ...]:
    """Return the methods of an ``AIProgram``, in its order.

    :param layouts: what :func:`edgekit.targets.layouts.layouts_as_text` wrote, where the asset carries it.
    :raises ArtifactError: no method, or one takes or gives something other than tensors of fixed shape.
    """
    methods = tuple(_method(graph, layouts) for graph in graphs_in(program) if is_method(graph))
    if not methods:
        raise ArtifactError("this Core AI program has no method", hint="export it again")
    return methods


def _method(graph: Any, layouts: str | None) -> MethodSpec:
    name = name_of(graph)
    signature = graph.attributes["function_type"].value
    return MethodSpec(
        name=name,
        inputs=_tensors(name, signature.inputs, graph.attributes["arg_attrs"], layouts),
        outputs=_tensors(name, signature.results, graph.attributes["res_attrs"], layouts),
    )


def _tensors(method: str, types: Any, attributes: Any, layouts: str | None) -> tuple[TensorSpec, ...]:
    found = []
    for position, (kind, named) in enumerate(zip(types, attributes, strict=True)):
        name = named["coreai.name"].value if "coreai.name" in named else str(position)
        shape = getattr(kind, "shape", None)
        if shape is None or not kind.has_static_shape:
            raise ArtifactError(f"{name} of method {method} has no fixed shape", what=str(kind), why="edgekit runs and compares static shapes")
        dtype = str(kind.element_type)
        layout = layout_from_text(layouts, method, name)
        found.append(TensorSpec(name=name, dtype=_DTYPES.get(dtype, dtype), shape=tuple(shape), layout=layout))
    return tuple(found)


def interface_of(method: MethodSpec) -> str:
    """Return a method's interface in words: ``forward: image float32 (1, 3, 224, 224) -> logits float32 (1, 1000)``."""
    sides = (", ".join(f"{t.name} {t.dtype} {t.shape}" for t in side) for side in (method.inputs, method.outputs))
    return f"{method.name}: {' -> '.join(sides)}"
