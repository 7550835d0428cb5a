"""Finds the line of the user's own code that an error or a graph node comes from."""

import functools
import re
import site
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path

_OWN = Path(__file__).parent.resolve()
_INSTALLED = tuple(
    Path(place).resolve() for place in {*site.getsitepackages(), site.getusersitepackages(), sysconfig.get_paths()["stdlib"], str(_OWN)}
)


@functools.lru_cache(maxsize=1024)  # resolving asks the file system, and a program of a thousand nodes names twenty files
def is_user_file(filename: str) -> bool:
    """Whether a file is neither installed with Python, nor a package's, nor edgekit's."""
    return not filename.startswith("<") and not any(Path(filename).resolve().is_relative_to(place) for place in _INSTALLED)


def user_frame(error: BaseException) -> str | None:
    """Return ``file.py:88, in forward    code`` of the innermost frame in the user's code, or ``None``."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_user_file(frame.filename)]
    if not frames:
        return None
    return _described(frames[-1])


def _described(frame: traceback.FrameSummary) -> str:
    return f"{Path(frame.filename).name}:{frame.lineno}, in {frame.name}    {frame.line or ''}".rstrip()


def running_line(outer: int) -> str | None:
    """Return the same for the innermost frame that runs now, of the user's code.

    :param outer: how many frames are not asked: those that ran what runs the model.
    """
    own = [frame for frame in traceback.extract_stack()[outer:] if is_user_file(frame.filename)]
    return _described(own[-1]) if own else None


def model_line(stack_trace: str | None) -> str | None:
    """Return the same for the code of the model, be it the user's or one of edgekit's own."""
    return user_line(stack_trace) or _innermost(stack_trace, _is_own_file)


@functools.lru_cache(maxsize=1024)
def _is_own_file(filename: str) -> bool:
    return Path(filename).resolve().is_relative_to(_OWN)


def user_line(stack_trace: str | None) -> str | None:
    """Return ``file.py:88, in forward    code`` of the innermost frame of a graph node's stack trace in the user's code."""
    return _innermost(stack_trace, is_user_file)


def _innermost(stack_trace: str | None, wanted: Callable[[str], bool]) -> str | None:
    found = None
    for match in re.finditer(r'File "([^"]+)", line (\d+), in (\S+)(?:\n\s+(?!File ")(\S.*))?', stack_trace or ""):
        if wanted(match[1]):
            found = f"{Path(match[1]).name}:{match[2]}, in {match[3]}    {(match[4] or '').strip()}".rstrip()
    return found
