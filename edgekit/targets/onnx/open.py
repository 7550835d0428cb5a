"""Opens an ``.onnx`` file in onnxruntime and runs it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import ArtifactError, UsageError
from edgekit.interface import MethodSpec
from edgekit.quiet import quiet
from edgekit.targets.base import Array
from edgekit.targets.calls import check_inputs, find_method
from edgekit.targets.onnx.exits import cut_out, exits_in
from edgekit.targets.onnx.proto import metadata_of, methods_of, read_model

_FATAL_ONLY = 4


class OnnxExecutable:
    """An opened ``.onnx`` file: one onnxruntime session for its graph, and one for each exit that is cut out of it, when first run.

    One instance serves one thread.
    """

    def __init__(self, session: Any, methods: tuple[MethodSpec, ...], cut: Callable[[str], Any]) -> None:
        self.methods = methods
        self._sessions = {methods[-1].name: session}
        self._cut = cut

    def run(self, method: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run a method on arrays by input name, shaped as its spec says; return fresh arrays by output name.

        :raises UnknownNameError: no method of this name.
        :raises BadInputError: an input's name, shape or dtype is not the method's.
        """
        spec = find_method(self.methods, method)
        check_inputs(spec, inputs)
        names = [tensor.name for tensor in spec.outputs]
        if method not in self._sessions:
            self._sessions[method] = self._cut(method)
        outputs = self._sessions[method].run(names, {name: np.ascontiguousarray(array) for name, array in inputs.items()})
        return dict(zip(names, outputs, strict=True))


def open_onnx(path: Path, *, threads: int = 1) -> OnnxExecutable:
    """Open a file for running on ``threads`` threads.

    :raises ArtifactError: not readable, truncated, foreign, or onnxruntime cannot load it.
    :raises UsageError: fewer than one thread.
    """
    if threads < 1:
        raise UsageError(f"threads is {threads}; a run takes at least 1")
    content, model = read_model(path)
    methods = methods_of(model)
    exits = exits_in(model, metadata_of(model))

    def cut(name: str) -> Any:
        return _session(cut_out(model, exits, name).SerializeToString(), threads)

    try:
        return OnnxExecutable(_session(content, threads), methods, cut)
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        raise ArtifactError(f"onnxruntime cannot load {path.name}", why=" ".join(str(error).split())) from error


def _session(content: bytes, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    with quiet():
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
