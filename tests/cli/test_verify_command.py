"""``edgekit verify`` and ``edgekit inspect`` from the command line."""

import json

import pytest


def test_verify_passes_on_what_was_exported(cli, net, onnx_artifact):
    ran = cli("verify", onnx_artifact, "--model", f"{net}:build", "--json")
    assert ran.code == 0, ran.err
    document = ran.document()
    assert document.keys() == {"schema_version", "command", "artifact", "parity"}
    assert (document["command"], document["parity"]["verdict"], document["parity"]["samples"]) == ("verify", "pass", 9)


def test_verify_for_people(cli, net, onnx_artifact, monkeypatch):
    monkeypatch.chdir(net.parent)  # where net.py lies
    ran = cli("verify", onnx_artifact)
    assert (ran.code, ran.out) == (0, "")
    assert "executed by onnxruntime" in ran.err
    assert ran.err.rstrip().endswith("pass")


def test_verify_below_tolerance_is_5_and_one_document(cli, net, onnx_artifact):
    ran = cli("verify", onnx_artifact, "--model", f"{net}:build", "--atol", "0", "--json")
    assert ran.code == 5
    document = ran.document()
    assert document["parity"]["verdict"] == "fail"
    assert document["error"]["kind"] == "ParityError"
    assert "absolute error" in document["error"]["what"]
    assert "not published" not in ran.err


@pytest.mark.parametrize("atol", ["-1", "nan", "inf"])
def test_verify_with_no_limit(refused, net, onnx_artifact, atol):
    assert "a limit is a number" in refused(2, "verify", onnx_artifact, "--model", f"{net}:build", "--atol", atol)


def test_verify_says_where_it_looked_for_the_model(refused, onnx_artifact, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = refused(3, "verify", onnx_artifact)
    assert "no file net.py" in said
    assert "--model path/to/net.py:build" in said


def test_verify_with_another_model(refused, net, onnx_artifact):
    assert "was exported from net.py:build, not from net.py:several" in refused(2, "verify", onnx_artifact, "--model", f"{net}:several")


def test_inspect_an_artifact(cli, onnx_artifact):
    document = cli("inspect", onnx_artifact, "--json").document()
    assert document["target"] == "onnx"
    assert document["size_bytes"] == onnx_artifact.stat().st_size == sum(document["sections"].values())
    assert document["operators"]["Conv"] == 2
    table = cli("inspect", onnx_artifact)
    assert "forward: image float32 1x3x32x32 NCHW -> logits float32 1x5 NC" in table.out
    assert "weights" in table.out
    assert table.err == ""


def test_inspect_a_model(cli, net):
    document = cli("inspect", f"{net}:build", "--resolution", 32, "--json").document()
    assert document["targets"].keys() == {"coreml", "tflite", "executorch", "onnx", "coreai"}
    assert document["parameters"] == 224 + 16 + 1168 + 85  # stem, norm, body, head
    by_name = {row["name"]: row for row in document["targets"]["onnx"]}
    assert by_name["fold_batch_norm"]["sites"] == ["norm"]
    table = cli("inspect", f"{net}:build", "--resolution", 32, "-t", "onnx")
    assert "fold_batch_norm" in table.out
    assert "tflite" not in table.out


def test_inspect_refusals(refused, net, tmp_path):
    assert "unknown target 'onix'" in refused(2, "inspect", f"{net}:build", "-t", "onix")
    assert "cannot run at resolution 225" in refused(2, "inspect", "emov2-1m", "--resolution", 225)
    assert "at least 1 pixel" in refused(2, "inspect", f"{net}:build", "--resolution", 0)
    assert "does not run on an image" in refused(3, "inspect", f"{net}:fixed_size", "--resolution", 32)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x00\x01 not a model")
    assert "broken.onnx" in refused(3, "inspect", broken)
    package = tmp_path / "empty.mlpackage"
    package.mkdir()
    assert "empty.mlpackage" in refused(3, "inspect", f"{package}/")  # as a shell completes a folder's name


def test_json_and_table_agree(cli, onnx_artifact):
    sections = cli("inspect", onnx_artifact, "--json").document()["sections"]
    table = cli("inspect", onnx_artifact).out
    for name, size in sections.items():
        assert any(line.split() == [name, str(size)] for line in table.splitlines()), name
    assert json.dumps(sections)
