"""What a package says about its functions: names, shapes, dtypes, from the spec's description."""

import json
from collections.abc import Iterable
from typing import Any

from edgekit.interface import MethodSpec, TensorSpec
from edgekit.targets.coreml.package import Package
from edgekit.targets.layouts import LAYOUTS_KEY, layout_from_text

# ArrayFeatureType.ArrayDataType of FeatureTypes.proto.
_DTYPES = {65552: "float16", 65568: "float32", 65600: "float64", 131104: "int32", 131080: "int8"}


def methods_of(package: Package) -> tuple[MethodSpec, ...]:
    """Return one method per function, tensors and pictures only: a classifier's label and dictionary are left out.

    A package with one function calls it ``main``; the method's own name comes from edgekit's metadata, else ``main``.
    """
    description = package.spec.description
    layouts = description.metadata.userDefined.get(LAYOUTS_KEY)
    if description.functions:
        return tuple(_method(f.name, f.input, f.output, layouts) for f in description.functions)
    name = _only_name(layouts) or next(iter(package.functions))
    return (_method(name, description.input, description.output, layouts),)


def _method(name: str, inputs: Iterable[Any], outputs: Iterable[Any], layouts: str | None) -> MethodSpec:
    return MethodSpec(name=name, inputs=_tensors(name, inputs, layouts), outputs=_tensors(name, outputs, layouts))


def _tensors(method: str, features: Iterable[Any], layouts: str | None) -> tuple[TensorSpec, ...]:
    found = []
    for feature in features:
        layout = layout_from_text(layouts, method, feature.name)
        kind = feature.type.WhichOneof("Type")
        if kind == "imageType":
            picture = feature.type.imageType
            found.append(TensorSpec(name=feature.name, dtype="image", shape=(1, 3, int(picture.height), int(picture.width)), layout="NCHW"))
        elif kind == "multiArrayType":
            array = feature.type.multiArrayType
            dtype = _DTYPES.get(array.dataType, f"type {array.dataType}")
            found.append(TensorSpec(name=feature.name, dtype=dtype, shape=tuple(int(size) for size in array.shape), layout=layout))
    return tuple(found)


def _only_name(layouts: str | None) -> str | None:
    try:
        names = list(json.loads(layouts or "{}"))
    except (ValueError, TypeError):
        return None
    return str(names[0]) if len(names) == 1 else None
