"""Registries' clients are run by name, without a shell, and what they say is passed on; programs of that name stand in for them."""

import os
import stat
import sys
import time
from pathlib import Path

import pytest

from edgekit.data import clients
from edgekit.data.catalogue import Package
from edgekit.data.clients import fetch
from edgekit.errors import BadInputError, UsageError

ROWS = {registry: Package(registry=registry, name="some-data", version="1.0~a", sha256="", size_bytes=1000) for registry in ("npm", "pypi", "debian")}


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Put programs on an otherwise empty path: ``programs("npm", "python source")``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(clients.importlib.util, "find_spec", lambda name: None)

    def make(name: str, source: str) -> None:
        file = folder / name
        file.write_text(f"#!{sys.executable} -S\nimport os, sys, time\n{source}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    return make


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def writes(suffix: str) -> str:
    return f"open('asked.txt', 'w').write('\\n'.join(sys.argv[1:] + [os.environ.get('TMPDIR', '')])); open('some{suffix}', 'wb').write(b'x' * 1000)"


@pytest.mark.parametrize(
    ("registry", "program", "suffix", "asked"),
    [
        ("npm", "npm", ".tgz", ["pack", "some-data@1.0~a", "--ignore-scripts"]),
        ("pypi", "pip", ".whl", ["download", "--no-deps", "some-data==1.0~a", "--only-binary=:all:"]),
        ("pypi", "pip3", ".whl", ["download", "some-data==1.0~a"]),
        ("pypi", "uv", ".whl", ["tool", "run", "pip", "download", "some-data==1.0~a"]),
        ("debian", "apt-get", ".deb", ["download", "some-data=1.0~a"]),
    ],
)
def test_each_client_is_asked_by_name_and_version(programs, work, registry, program, suffix, asked):
    programs(program, writes(suffix))
    assert fetch(ROWS[registry], work) == work / f"some{suffix}"
    given = (work / "asked.txt").read_text().split("\n")
    assert set(asked) <= set(given)
    assert (given[-1] == str(work / "parts")) == (registry == "pypi")


def test_this_pythons_pip_comes_first(programs, work, monkeypatch):
    monkeypatch.undo()
    assert clients._pip(ROWS["pypi"]) == [sys.executable, "-m", "pip"]


@pytest.mark.parametrize("registry", ROWS)
def test_the_users_settings_reach_the_client(programs, work, registry, monkeypatch):
    monkeypatch.setenv("npm_config_proxy", "kept")
    for program, suffix in (("npm", ".tgz"), ("pip", ".whl"), ("apt-get", ".deb")):
        programs(program, f"open('some{suffix}', 'w').write(os.environ['npm_config_proxy'] + os.environ['HOME'])")
    assert fetch(ROWS[registry], work).read_text() == "kept" + os.environ["HOME"]


@pytest.mark.parametrize(("registry", "program"), [("npm", "npm"), ("pypi", "pip"), ("debian", "apt-get")])
def test_a_client_that_is_not_installed_is_named(programs, work, registry, program):
    with pytest.raises(UsageError, match=f"fetching some-data needs {program}, which is not here") as caught:
        fetch(ROWS[registry], work)
    assert "--from FILE" in caught.value.hint


def test_what_a_failing_client_said_is_passed_on(programs, work):
    programs("npm", "sys.stderr.write('npm warn old\\nnpm error 404\\nnpm error no such package\\n'); sys.exit(3)")
    with pytest.raises(BadInputError, match=r"some-data 1\.0~a cannot be fetched") as caught:
        fetch(ROWS["npm"], work)
    assert (caught.value.what, caught.value.why) == ("npm ended with 3", "npm error 404 / npm error no such package")


def test_apt_without_its_lists_gets_the_hint(programs, work):
    programs("apt-get", "sys.exit('E: Unable to locate package')")
    with pytest.raises(BadInputError) as caught:
        fetch(ROWS["debian"], work)
    assert caught.value.hint.startswith("apt-get update")


def test_a_client_that_wrote_nothing_is_not_believed(programs, work):
    programs("npm", "pass")
    with pytest.raises(BadInputError, match="cannot be fetched") as caught:
        fetch(ROWS["npm"], work)
    assert caught.value.what == "the client ended well and left 0 files of the kind .tgz"


def test_progress_is_what_can_be_seen_to_grow(programs, work):
    programs(
        "npm",
        "open('part', 'wb').write(b'x' * 600); time.sleep(1); os.rename('part', 'some.tgz'); open('more', 'wb').write(b'x' * 900)\ntime.sleep(1)",
    )
    seen: list[tuple[int, int | None]] = []
    fetch(ROWS["npm"], work, lambda done, total: seen.append((done, total)))
    assert (600, 1000) in seen
    assert max(seen) == (1000, 1000)  # never more than there is


@pytest.mark.parametrize("why", ["late", "interrupted"])
def test_a_client_does_not_outlive_the_call(programs, work, why):
    programs("npm", "open('pid', 'w').write(str(os.getpid())); time.sleep(60)")
    pid = work / "pid"

    def interrupt(done: int, total: int | None) -> None:
        if why == "interrupted" and pid.exists() and pid.read_text():
            raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(BadInputError if why == "late" else KeyboardInterrupt):
        fetch(ROWS["npm"], work, interrupt, deadline_s=3.0 if why == "late" else 60.0)
    assert time.monotonic() - start < 30
    assert not Path(f"/proc/{pid.read_text()}").exists()


def test_parts_of_an_earlier_pip_are_removed(programs, work):
    (work / "parts").mkdir()
    (work / "parts" / "old").write_bytes(b"x")
    programs("pip", writes(".whl"))
    fetch(ROWS["pypi"], work)
    assert not (work / "parts" / "old").exists()
