"""Gives an artifact's method its inputs, as the file takes them, and reads its outputs under the names of the manifest."""

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from edgekit.interface import MethodSpec, TensorSpec
from edgekit.manifest import native_method
from edgekit.targets.base import Executable
from edgekit.verification.samples import Sample

Array = np.ndarray


def as_input(value: Array, sample: Sample, spec: TensorSpec) -> Array:
    """Return an input in the layout and type of its spec: pixels ``(1, 3, R, R)`` where the method takes a picture."""
    if spec.dtype == "image":
        return np.ascontiguousarray(sample.pixels.transpose(2, 0, 1)[None])
    value = spec.stored(value).astype(spec.dtype, copy=False)
    return np.ascontiguousarray(value.transpose(0, 2, 3, 1)) if spec.layout == "NHWC" else value


def fed(method: MethodSpec, own: MethodSpec, given: Mapping[str, Array], sample: Sample) -> dict[str, Array]:
    """Return a method's inputs under the file's own names, which go by position.

    :param own: the file's form of ``method``. :param given: by the manifest's names, images ``(1, 3, R, R)``.
    """
    return {native.name: as_input(given[spec.name], sample, spec) for native, spec in zip(own.inputs, method.inputs, strict=True)}


def run_method(executable: Executable, method: MethodSpec, own: MethodSpec, given: Mapping[str, Array], sample: Sample) -> dict[str, Array]:
    """Run a method on one sample and return its outputs under the manifest's names."""
    results = executable.run(method.name, fed(method, own, given, sample))
    return {spec.name: spec.real(results[native.name]) for native, spec in zip(own.outputs, method.outputs, strict=True)}


def as_written(methods: Sequence[MethodSpec], executable: Executable) -> tuple[MethodSpec, ...]:
    """Return methods with what the file's integers stand for, where it is given or answers any; see :class:`TensorSpec`.

    :raises ArtifactError: the file lacks a method.
    """

    def tensors(asked: Sequence[TensorSpec], own: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
        return tuple(
            spec if native.scale is None else attrs.evolve(spec, dtype=native.dtype, scale=native.scale, zero_point=native.zero_point)
            for spec, native in zip(asked, own, strict=True)
        )

    natives = [native_method(executable.methods, method) for method in methods]
    return tuple(
        attrs.evolve(method, inputs=tensors(method.inputs, own.inputs), outputs=tensors(method.outputs, own.outputs))
        for method, own in zip(methods, natives, strict=True)
    )
