"""Keeps vendors' chatter away from the user, without losing it when something goes wrong.

Converters and runtimes write to the process's standard streams from C++, through ``logging``, ``warnings``
and ``print``. Inside :func:`quiet` all of it goes to a temporary file; the caller gets its tail.
"""

import contextlib
import ctypes
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator

_TAIL_BYTES = 4000


@contextlib.contextmanager
def quiet() -> Iterator[Callable[[], str]]:
    """Redirect the standard streams, of Python and of the process, to a temporary file; yield a function that returns its last few lines.

    Not for use from two threads at once: descriptors belong to the process.
    """
    flush()
    level = logging.root.manager.disable
    with tempfile.TemporaryFile() as sink, warnings.catch_warnings():
        saved = os.dup(1), os.dup(2)
        # Python's own streams need not write to descriptors 1 and 2: in a notebook they do not.
        text = io.TextIOWrapper(os.fdopen(os.dup(sink.fileno()), "wb"), encoding="utf-8", errors="replace", write_through=True)

        def tail() -> str:
            flush()
            size = sink.seek(0, os.SEEK_END)
            sink.seek(max(0, size - _TAIL_BYTES))
            last = sink.read().decode(errors="replace")
            sink.seek(0, os.SEEK_END)
            return last.strip()

        try:
            os.dup2(sink.fileno(), 1)
            os.dup2(sink.fileno(), 2)
            warnings.simplefilter("ignore")
            logging.disable(logging.WARNING)
            with text, contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
                yield tail
        finally:
            flush()
            logging.disable(level)
            for descriptor, original in zip((1, 2), saved, strict=True):
                os.dup2(original, descriptor)
                os.close(original)


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send what a model's own code or a library writes to stdout, by Python or by C, to stderr: stdout is for data."""
    flush()
    saved = os.dup(1)
    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        flush()
        os.dup2(saved, 1)
        os.close(saved)


def flush() -> None:
    """Write out what Python and the C library still hold back, before or after a descriptor changes its meaning."""
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)
