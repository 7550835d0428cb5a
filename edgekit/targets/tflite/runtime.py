"""Loads a flatbuffer's content into LiteRT's interpreter."""

from typing import Any

from edgekit.quiet import quiet


class CannotRunError(Exception):
    """LiteRT read the flatbuffer and has no kernel for what is in it; the message is LiteRT's."""


def interpreter(content: bytes, *, threads: int) -> Any:
    """Return an ``ai_edge_litert`` interpreter, tensors not yet allocated.

    :raises ValueError: the flatbuffer is damaged, or an operator has no kernel.
    """
    from ai_edge_litert.interpreter import Interpreter

    with quiet():
        return Interpreter(model_content=content, num_threads=threads)


def ready_interpreter(content: bytes, *, threads: int) -> Any:
    """Return an interpreter with XNNPACK applied and tensors allocated, from verified content.

    :raises CannotRunError: an operator has no kernel, or its kernel refuses its operands.
    """
    try:
        loaded = interpreter(content, threads=threads)
        with quiet():
            loaded.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise CannotRunError(" ".join(str(error).split())) from error
    return loaded
