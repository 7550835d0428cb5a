"""Names come from files, and may hold signs that a terminal obeys: none of them reaches it."""

import shutil

import pytest

from edgekit.artifact import manifest_path
from edgekit.cli import console

ESCAPE = "\x1b[2J\x1b]0;x\x07\r"


@pytest.fixture
def renamed(onnx_artifact):
    path = onnx_artifact.with_name(f"a{ESCAPE}.onnx")
    shutil.move(manifest_path(onnx_artifact), manifest_path(path))
    return shutil.move(onnx_artifact, path)


def steering(text):
    return sorted({sign for sign in text if not sign.isprintable() and sign not in "\n\t"})


def test_lines_spell_them_out(capsys):
    console.note(f"said {ESCAPE}")
    console.line(f"told {ESCAPE}")
    said = capsys.readouterr()
    assert (said.err, said.out) == (r"said \x1b[2J\x1b]0;x\x07\r" + "\n", r"told \x1b[2J\x1b]0;x\x07\r" + "\n")


@pytest.mark.parametrize("command", ["inspect", "lint", "bench"])
def test_an_artifact_of_such_a_name(cli, renamed, command):
    ran = cli(command, renamed)
    assert ran.code == 0
    assert r"\x1b[2J" in ran.out + ran.err
    assert steering(ran.out + ran.err) == []


def test_a_model_of_such_a_name(cli, net, tmp_path):
    file = shutil.copy(net, tmp_path / f"n{ESCAPE}.py")
    ran = cli("export", f"{file}:raises", "-t", "onnx", "-o", tmp_path)
    assert ran.code == 3
    assert steering(ran.out + ran.err) == []
    ran = cli("export", f"{file}:build", "-t", "onnx", "--resolution", "32", "-o", tmp_path)
    assert ran.code == 0
    assert r"\x1b[2J" in ran.err
    assert steering(ran.out + ran.err) == []
