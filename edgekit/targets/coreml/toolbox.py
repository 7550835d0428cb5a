"""The one place that imports Core ML Tools, which complains on import about everything that only a Mac has."""

import contextlib
import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from typing import Any

from edgekit.errors import MissingExtraError
from edgekit.quiet import quiet

_MESSAGES = "edgekit_coreml_messages"
"""The name under which the protobuf modules alone are imported."""


def coremltools() -> Any:
    """Return the ``coremltools`` module."""
    if "coremltools" not in sys.modules:
        with quiet(), _without_executorch():
            importlib.import_module("coremltools")
    return sys.modules["coremltools"]


@contextlib.contextmanager
def _without_executorch() -> Iterator[None]:
    """Hide ExecuTorch while Core ML Tools is imported, unless it is there already.

    Core ML Tools 9.0 imports all of it to bring plain programs into its dialect on request, which nobody here asks for: 2 s, most of them reading a
    table of operators in YAML, and 30 MB.
    """
    if "executorch" in sys.modules:
        yield
        return
    sys.modules["executorch"] = None  # type: ignore[assignment]  # this is how an import is made to fail
    try:
        yield
    finally:
        del sys.modules["executorch"]


@contextlib.contextmanager
def validated_once() -> Iterator[None]:
    """Let a program be validated before and after a pipeline of passes, not after each of a hundred passes: a fifth of the time of lowering emov2-5m.

    It only looks. After each pass it would say which one broke a program, and, for debuggers, whether operators still tell their origin;
    that a program is broken the last time finds, too. What is written is also interpreted operator by operator.
    """
    coremltools()
    passes: Any = importlib.import_module("coremltools.converters.mil.mil.passes.pass_pipeline").PassPipelineManager
    program: Any = importlib.import_module("coremltools.converters.mil.mil.program").Program
    apply, validate = passes.apply_pipeline, program.validate

    def apply_quickly(mil: Any, pipeline: Any) -> None:
        validate(mil)
        program.validate = lambda *_, **__: None
        try:
            apply(mil, pipeline)
        finally:
            program.validate = validate
        validate(mil)

    passes.apply_pipeline = staticmethod(apply_quickly)
    try:
        yield
    finally:
        passes.apply_pipeline = staticmethod(apply)


def parse_model(content: bytes) -> Any:
    """Return the ``Model`` message in a ``model.mlmodel`` file.

    :raises google.protobuf.message.DecodeError: it is none, or truncated. :raises MissingExtraError: Core ML Tools is not installed.
    """
    model = _messages().Model()
    model.ParseFromString(content)
    return model


def _messages() -> Any:
    """Return ``coremltools.proto.Model_pb2`` without importing ``coremltools``: 0.1 s instead of 4 s, for whoever only reads a package.

    Protobuf keeps one class for each message type, so messages read this way and Core ML Tools' own are the same.
    """
    if "coremltools.proto.Model_pb2" in sys.modules:
        return sys.modules["coremltools.proto.Model_pb2"]
    spec = importlib.util.find_spec("coremltools")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("reading a Core ML package", "coreml", ["coremltools"])
    if _MESSAGES not in sys.modules:
        package = types.ModuleType(_MESSAGES)
        package.__path__ = [f"{place}/proto" for place in spec.submodule_search_locations]
        sys.modules[_MESSAGES] = package
    return importlib.import_module(f"{_MESSAGES}.Model_pb2")
