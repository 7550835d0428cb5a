"""A transfer's bar: only where somebody watches, only once it takes long, and gone afterwards."""

import io
import sys

import pytest

from edgekit.cli import console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def shown(self) -> str:
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


@pytest.fixture
def clock(monkeypatch):
    """Seconds that are set by hand."""
    clock = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: clock[0])
    return clock


def test_nothing_is_shown_before_two_seconds(clock, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with console.byte_bar() as progress:
        progress(5, 10)
        assert terminal.shown() == ""
        clock[0] = 2.0
        progress(5_000_000, 10_000_000)
        assert terminal.shown() == f"\r\033[K  [{'#' * 15}{'.' * 15}] 5.0 of 10.0 MB"
        progress(7_000_000, None)
        assert terminal.shown() == "\r\033[K  7.0 MB"
    assert terminal.shown() == "\r\033[K"


def test_it_goes_when_the_transfer_fails(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(KeyboardInterrupt), console.byte_bar():
        raise KeyboardInterrupt
    assert terminal.shown() == "\r\033[K"


@pytest.mark.parametrize(("stderr", "quiet"), [(Terminal(), True), (io.StringIO(), False)])
def test_nobody_watches(monkeypatch, stderr, quiet):
    monkeypatch.setattr(sys, "stderr", stderr)
    with console.byte_bar(quiet=quiet) as progress:
        assert progress is None
    assert stderr.getvalue() == ""
