"""Keeps vendors' chatter away from the user, without losing it when something goes wrong.

Converters and runtimes write to the process's standard streams from C++, through ``logging``, ``warnings``
and ``print``. Inside :func:`quiet` all of it goes to a temporary file; the caller gets its tail.
"""

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator

_TAIL_BYTES = 4000


@contextlib.contextmanager
def quiet() -> Iterator[Callable[[], str]]:
    """Redirect file descriptors 1 and 2 to a temporary file; yield a function that returns its last few lines.

    Not for use from two threads at once: descriptors belong to the process.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    level = logging.root.manager.disable
    with tempfile.TemporaryFile() as sink, warnings.catch_warnings():
        saved = os.dup(1), os.dup(2)

        def tail() -> str:
            sys.stdout.flush()
            sys.stderr.flush()
            size = sink.seek(0, os.SEEK_END)
            sink.seek(max(0, size - _TAIL_BYTES))
            text = sink.read().decode(errors="replace")
            sink.seek(0, os.SEEK_END)
            return text.strip()

        try:
            os.dup2(sink.fileno(), 1)
            os.dup2(sink.fileno(), 2)
            warnings.simplefilter("ignore")
            logging.disable(logging.WARNING)
            yield tail
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            logging.disable(level)
            for descriptor, original in zip((1, 2), saved, strict=True):
                os.dup2(original, descriptor)
                os.close(original)
