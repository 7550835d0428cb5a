"""Which viewer is started with what, and what is said where none is."""

import sys

import pytest

from edgekit import viewers
from edgekit.errors import ArtifactError, UsageError
from edgekit.viewers import VIEWERS, view


@pytest.fixture
def only(monkeypatch):
    """Pretend that exactly some viewers are installed."""

    def install(*names):
        modules = {viewer.module for viewer in VIEWERS if viewer.name in names}
        monkeypatch.setattr(viewers.importlib.util, "find_spec", lambda name: object() if name in modules else None)

    return install


@pytest.mark.parametrize(
    ("installed", "asked", "suffix", "chosen"),
    [
        (("netron", "model-explorer"), None, ".tflite", "netron"),
        (("model-explorer",), None, ".tflite", "model-explorer"),
        (("netron", "model-explorer"), "model-explorer", ".tflite", "model-explorer"),
        (("netron",), None, ".pte", "netron"),
    ],
)
def test_the_first_viewer_that_is_installed_and_reads_the_file_is_started(only, tmp_path, installed, asked, suffix, chosen):
    only(*installed)
    file = tmp_path / f"net{suffix}"
    file.write_bytes(b"x")
    ran = []
    found, code = view(file, name=asked, start=lambda command: ran.append(command) or 0)
    assert (found.name, code) == (chosen, 0)
    assert (ran[0][0], ran[0][-1]) == (sys.executable, str(file.resolve()))


def test_of_a_package_the_program_inside_is_opened(only, tmp_path):
    only("netron")
    program = tmp_path / "net.mlpackage" / "Data" / "model.mlmodel"
    program.parent.mkdir(parents=True)
    program.write_bytes(b"x")
    ran = []
    view(tmp_path / "net.mlpackage", start=lambda command: ran.append(command) or 0)
    assert ran[0][-1] == str(program.resolve())
    program.unlink()
    with pytest.raises(ArtifactError, match="holds 0 programs"):
        view(tmp_path / "net.mlpackage", start=lambda command: 0)


def test_without_a_viewer_it_says_how_to_get_one(only, tmp_path, refused):
    only()
    file = tmp_path / "net.onnx"
    file.write_bytes(b"x")
    assert "pip install netron" in refused(2, "view", file)
    assert "unknown viewer" in refused(2, "view", file, "--with", "netrun")
    assert "reads no .onnx files" in refused(2, "view", file, "--with", "model-explorer")
    refused(3, "view", tmp_path / "nothing.onnx")


def test_no_viewer_is_said_to_read_what_none_does(only, tmp_path):
    only("netron", "model-explorer")
    (tmp_path / "net.aimodel").mkdir()
    with pytest.raises(UsageError, match=r"no viewer that is known here reads \.aimodel files"):
        view(tmp_path / "net.aimodel", start=lambda command: 0)
