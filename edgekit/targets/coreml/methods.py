"""What a package says about its functions: names, shapes, dtypes, from the spec's description."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from edgekit.interface import MethodSpec, TensorSpec
from edgekit.targets.coreml.package import Package
from edgekit.targets.layouts import LAYOUTS_KEY, layout_from_text

# ArrayFeatureType.ArrayDataType of FeatureTypes.proto.
_DTYPES = {65552: "float16", 65568: "float32", 65600: "float64", 131104: "int32", 131080: "int8"}


def methods_of(package: Package) -> tuple[MethodSpec, ...]:
    """Return one method per function, tensors and pictures only: a classifier's label and dictionary are left out.

    A picture is ``(1, 3, H, W)``, red first, whatever order the program takes; one of grey pixels is ``(1, 1, H, W)``.
    A package with one function calls it ``main``; the method's own name comes from edgekit's metadata, else ``main``.
    """
    description = package.spec.description
    layouts = description.metadata.userDefined.get(LAYOUTS_KEY)
    if description.functions:
        return tuple(_method(package, f.name, f.name, f, layouts) for f in description.functions)
    function = next(iter(package.functions))
    return (_method(package, _only_name(layouts) or function, function, description, layouts),)


def blue_first(package: Package, method: str) -> frozenset[str]:
    """Return the pictures, inputs and outputs of a method, that its program holds with blue as the first channel."""
    description = package.spec.description
    described = next((function for function in description.functions if function.name == method), description)
    features = (*described.input, *described.output)
    return frozenset(f.name for f in features if f.type.WhichOneof("Type") == "imageType" and f.type.imageType.colorSpace == f.type.imageType.BGR)


def _method(package: Package, name: str, function: str, described: Any, layouts: str | None) -> MethodSpec:
    """Return a method; Core ML Tools leaves the shapes of outputs out of the description, the program has them."""
    inputs = _tensors(name, described.input, layouts, {})
    return MethodSpec(name=name, inputs=inputs, outputs=_tensors(name, described.output, layouts, _result_shapes(package, function)))


def _result_shapes(package: Package, function: str) -> dict[str, tuple[int, ...]]:
    """Return the shapes that a program declares for what it returns; a size known at run time only is 0."""
    program = package.functions.get(function)
    block = None if program is None else program.block_specializations.get(program.opset)
    if block is None:
        return {}
    values = (output for operation in block.operations for output in operation.outputs if output.name in block.outputs)
    return {value.name: tuple(int(size.constant.size) for size in value.type.tensorType.dimensions) for value in values}


def _tensors(method: str, features: Iterable[Any], layouts: str | None, known: Mapping[str, tuple[int, ...]]) -> tuple[TensorSpec, ...]:
    found = []
    for feature in features:
        layout = layout_from_text(layouts, method, feature.name)
        kind = feature.type.WhichOneof("Type")
        if kind == "imageType":
            picture = feature.type.imageType
            grey = picture.colorSpace in (picture.GRAYSCALE, picture.GRAYSCALE_FLOAT16)
            dtype = "float16" if picture.colorSpace == picture.GRAYSCALE_FLOAT16 else "image"
            channels = 1 if grey else 3
            found.append(TensorSpec(name=feature.name, dtype=dtype, shape=(1, channels, int(picture.height), int(picture.width)), layout="NCHW"))
        elif kind == "multiArrayType":
            array = feature.type.multiArrayType
            dtype = _DTYPES.get(array.dataType, f"type {array.dataType}")
            shape = tuple(int(size) for size in array.shape) or known.get(feature.name, ())
            found.append(TensorSpec(name=feature.name, dtype=dtype, shape=shape, layout=layout))
    return tuple(found)


def _only_name(layouts: str | None) -> str | None:
    try:
        names = list(json.loads(layouts or "{}"))
    except (ValueError, TypeError):
        return None
    return str(names[0]) if len(names) == 1 else None
