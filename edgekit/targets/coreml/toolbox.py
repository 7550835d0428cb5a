"""The one place that imports Core ML Tools, which complains on import about everything that only a Mac has."""

from typing import Any

from edgekit.quiet import quiet


def coremltools() -> Any:
    """Return the ``coremltools`` module."""
    with quiet():
        import coremltools as ct
    return ct


def parse_model(content: bytes) -> Any:
    """Return the ``Model`` message in a ``model.mlmodel`` file.

    :raises google.protobuf.message.DecodeError: it is none, or truncated.
    """
    with quiet():
        from coremltools.proto import Model_pb2
    model = Model_pb2.Model()
    model.ParseFromString(content)
    return model
