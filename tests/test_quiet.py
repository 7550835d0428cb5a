import contextlib
import ctypes
import io
import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from edgekit.quiet import quiet, stdout_to_stderr


def say(text):
    print(text)  # noqa: T201


def chatter():
    say("from print")
    sys.stderr.write("from stderr\n")
    os.write(1, b"from descriptor 1\n")
    os.write(2, b"from descriptor 2\n")
    ctypes.CDLL(None).printf(b"from printf\n")
    os.system("echo from a child")
    warnings.warn("from warnings", stacklevel=1)
    logging.getLogger("vendor").warning("from logging")


def test_nothing_comes_through_and_the_tail_has_it(capfd):
    with quiet() as tail:
        chatter()
        kept = tail()
    assert capfd.readouterr() == ("", "")
    for source in ("print", "stderr", "descriptor 1", "descriptor 2", "printf", "a child"):
        assert f"from {source}" in kept
    assert "from warnings" not in kept
    assert "from logging" not in kept


def test_streams_come_back(capfd):
    with quiet():
        say("hidden")
    say("shown")
    os.write(1, b"and this\n")
    ctypes.CDLL(None).printf(b"and printf\n")
    ctypes.CDLL(None).fflush(None)
    assert capfd.readouterr().out.splitlines() == ["shown", "and this", "and printf"]


def test_streams_and_logging_come_back_after_an_exception(capfd):
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    before = logging.root.manager.disable
    with pytest.raises(ValueError, match="stop"), quiet() as tail:  # noqa: PT012
        say("a reason")
        raise ValueError("stop", tail())
    say("shown")
    assert capfd.readouterr().out == "shown\n"
    assert logging.root.manager.disable == before
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_one_inside_another(capfd):
    with quiet() as outer:
        say("first")
        with quiet() as inner:
            say("second")
            assert inner() == "second"
        say("third")
        assert outer().split() == ["first", "third"]
    assert capfd.readouterr() == ("", "")


def test_only_the_tail_is_kept():
    with quiet() as tail:
        for index in range(5000):
            say(f"line {index}")
        say("the last line")
        kept = tail()
    assert kept.endswith("the last line")
    assert len(kept) <= 4000


def test_streams_that_python_has_replaced_are_quiet_too():
    replaced = io.StringIO()
    with contextlib.redirect_stdout(replaced), quiet() as tail:
        say("vendor")
        kept = tail()
    assert (replaced.getvalue(), kept) == ("", "vendor")


def test_what_c_buffers_does_not_appear_later():
    program = (
        "import ctypes\nfrom edgekit.quiet import quiet, stdout_to_stderr\nlibc = ctypes.CDLL(None)\n"
        "with quiet():\n    libc.printf(b'hidden\\n')\n"
        "with stdout_to_stderr():\n    libc.printf(b'told\\n')\n    print('told too')\nprint('{}')\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == "{}\n"
    assert sorted(ran.stderr.split("\n")) == ["", "told", "told too"]


def test_stdout_to_stderr(capfd):
    with pytest.raises(ValueError, match="stop"), stdout_to_stderr():  # noqa: PT012
        say("a")
        os.write(1, b"b\n")
        raise ValueError("stop")
    say("c")
    assert capfd.readouterr() == ("c\n", "a\nb\n")
