"""Opens a ``.tflite`` file in LiteRT and runs its signatures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import ArtifactError, UsageError
from edgekit.interface import MethodSpec
from edgekit.targets.base import Array
from edgekit.targets.calls import check_inputs, find_method
from edgekit.targets.tflite.flatbuffer import methods_of
from edgekit.targets.tflite.runtime import CannotRunError, ready_interpreter
from edgekit.targets.tflite.verify import read_verified


class TfliteExecutable:
    """An opened ``.tflite`` file: one interpreter, one runner per signature. One instance serves one thread."""

    def __init__(self, interpreter: Any, methods: tuple[MethodSpec, ...]) -> None:
        self.methods = methods
        self._runners = {method.name: interpreter.get_signature_runner(method.name) for method in methods}

    def run(self, method: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run a method on arrays by input name, shaped as its spec says; return fresh arrays by output name.

        :raises UnknownNameError: no method of this name.
        :raises BadInputError: an input's name, shape or dtype is not the method's.
        """
        spec = find_method(self.methods, method)
        check_inputs(spec, inputs)
        outputs = self._runners[method](**{name: np.ascontiguousarray(array) for name, array in inputs.items()})
        return {tensor.name: outputs[tensor.name] for tensor in spec.outputs}


def open_tflite(path: Path, *, threads: int = 1) -> TfliteExecutable:
    """Open a file for running on ``threads`` threads.

    :raises ArtifactError: not readable, truncated, foreign, without signatures, or an operator has no kernel here.
    :raises UsageError: fewer than one thread.
    """
    if threads < 1:
        raise UsageError(f"threads is {threads}; a run takes at least 1")
    content, model = read_verified(path)
    methods = methods_of(model)
    try:
        return TfliteExecutable(ready_interpreter(content, threads=threads), methods)
    except (CannotRunError, ValueError) as error:  # ValueError: a signature that LiteRT's Python side cannot find again
        raise ArtifactError(f"LiteRT cannot run {path.name}", why=str(error)) from error
