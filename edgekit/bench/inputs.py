"""What methods are timed on: seeded noise, and for a method that takes what another hands on, exactly that."""

import zlib
from collections.abc import Mapping

import numpy as np

from edgekit.interface import THRESHOLDS, TensorSpec
from edgekit.methods import handed_on
from edgekit.runtime.loaded import LoadedArtifact

Array = np.ndarray


def inputs_of(artifact: LoadedArtifact) -> dict[str, dict[str, Array]]:
    """Return inputs for each method of an artifact, by method and by name; the same values in every artifact of one model.

    A graph that leaves by thresholds is given such that nobody leaves: all of it runs.
    """
    given: dict[str, dict[str, Array]] = {}
    left: Mapping[str, Array] = {}
    for method in artifact.methods:
        names = {tensor.name for tensor in method.inputs}
        given[method.name] = dict(left) if names and names == left.keys() else {tensor.name: _values(tensor) for tensor in method.inputs}
        left = handed_on(artifact.run(method.name, given[method.name]))
    return given


def _values(tensor: TensorSpec) -> Array:
    draw = np.random.default_rng(zlib.crc32(tensor.name.encode()))
    if tensor.name == THRESHOLDS:
        return np.full(tensor.shape, np.inf, np.float32)
    if tensor.dtype == "image":
        return draw.integers(0, 256, tensor.shape, dtype=np.uint8)
    dtype = np.dtype(tensor.dtype)
    if dtype.kind in "iu":
        return draw.integers(0, 100, tensor.shape).astype(dtype)
    if tensor.layout == "NHWC":  # drawn as the model has it, so that one picture is one picture for every artifact
        batch, height, width, channels = tensor.shape
        return np.ascontiguousarray(draw.standard_normal((batch, channels, height, width)).transpose(0, 2, 3, 1)).astype(dtype)
    return draw.standard_normal(tensor.shape).astype(dtype)
