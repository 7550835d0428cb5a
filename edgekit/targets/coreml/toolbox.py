"""The one place that imports Core ML Tools, which complains on import about everything that only a Mac has."""

import importlib
import importlib.util
import sys
import types
from typing import Any

from edgekit.errors import MissingExtraError
from edgekit.quiet import quiet

_MESSAGES = "edgekit_coreml_messages"
"""The name under which the protobuf modules alone are imported."""


def coremltools() -> Any:
    """Return the ``coremltools`` module."""
    with quiet():
        import coremltools as ct
    return ct


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
