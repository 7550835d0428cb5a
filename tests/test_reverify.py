import json

import pytest
import torch

import edgekit
from edgekit.artifact import digest, manifest_path
from edgekit.errors import ArtifactError, EdgekitError, UsageError
from edgekit.models.source import load_source


@pytest.fixture
def edit(onnx_artifact):
    """Change the manifest of an artifact."""

    def run(change):
        path = manifest_path(onnx_artifact)
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))
        return onnx_artifact

    return run


@pytest.fixture
def verify(net):
    return lambda path, **options: edgekit.verify(path, model=f"{net}:build", **options)


def test_a_fresh_artifact_passes(verify, onnx_artifact):
    parity = verify(onnx_artifact)
    assert (parity.verdict, parity.samples, parity.executed_by, parity.top1_agreement) == ("pass", 9, "onnxruntime", 1.0)
    assert parity.max_rel_error < 1e-4
    assert verify(str(onnx_artifact)) == parity


def test_atol_works_both_ways(verify, onnx_artifact):
    assert verify(onnx_artifact, atol=1e-3).verdict == "pass"
    assert verify(onnx_artifact, atol=0.0).verdict == "fail"
    with pytest.raises(UsageError):
        verify(onnx_artifact, atol=-1.0)


def test_a_model_that_has_changed_since_fails(onnx_artifact, net, tmp_path):
    (tmp_path / "net.py").write_text(net.read_text().replace('"NET_SEED", "0"', '"NET_SEED", "1"'))
    parity = edgekit.verify(onnx_artifact, model=f"{tmp_path}/net.py:build")
    assert parity.verdict == "fail"
    assert "relative error" in parity.reason


@pytest.mark.parametrize("size", [0, 1, 100, -1])
def test_a_truncated_artifact(verify, onnx_artifact, size):
    onnx_artifact.write_bytes(onnx_artifact.read_bytes()[:size])
    with pytest.raises(ArtifactError) as caught:
        verify(onnx_artifact)
    assert onnx_artifact.name in caught.value.summary
    assert caught.value.exit_code == 3


def test_an_edited_artifact(verify, onnx_artifact):
    import onnx

    model = onnx.load(onnx_artifact)
    model.doc_string = "another"
    onnx.save(model, onnx_artifact)
    with pytest.raises(ArtifactError, match="is not the artifact its manifest describes"):
        verify(onnx_artifact)


def test_no_manifest_no_artifact_no_known_ending(verify, onnx_artifact, tmp_path):
    manifest_path(onnx_artifact).unlink()
    with pytest.raises(ArtifactError, match="has no manifest"):
        edgekit.verify(onnx_artifact)
    with pytest.raises(ArtifactError, match=r"no artifact no\.onnx"):
        verify(tmp_path / "no.onnx")
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(ArtifactError, match="is not an artifact edgekit knows"):
        verify(tmp_path / "x.txt")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("recipe"),
        lambda d: d.pop("model"),
        lambda d: d.pop("methods"),
        lambda d: d.update(recipe=[]),
        lambda d: d.update(model=3),
        lambda d: d.update(methods=[]),
        lambda d: d.update(methods=d["methods"] * 2),
        lambda d: d["methods"][0].update(name="other"),
        lambda d: d["methods"][0].update(inputs=[]),
        lambda d: d["recipe"].pop("model"),
        lambda d: d["recipe"].update(target="nope"),
        lambda d: d["recipe"].update(target="tflite"),
        lambda d: d["recipe"].update(precision="int3"),
        lambda d: d["recipe"].update(resolution="32"),
        lambda d: d["recipe"].update(extra=1),
        lambda d: d["recipe"].update(model="/etc/net.py:build"),
        lambda d: d["model"].update(weights_sha256=3),
        lambda d: d["model"].pop("weights_sha256"),
    ],
)
def test_a_manifest_that_cannot_be_used(edit, net, monkeypatch, change):
    monkeypatch.chdir(net.parent)
    with pytest.raises(EdgekitError) as caught:
        edgekit.verify(edit(change))
    assert caught.value.exit_code == 3
    assert isinstance(caught.value, ArtifactError)


def test_a_manifest_of_an_unknown_model(edit):
    path = edit(lambda d: d["recipe"].update(model="emov2-5n"))
    with pytest.raises(ArtifactError) as caught:
        edgekit.verify(path)
    assert caught.value.why == "unknown model 'emov2-5n'"


def test_weights_have_to_be_those_of_the_export(net, tmp_path, verify):
    module = load_source(f"{net}:build", resolution=32).module
    right, wrong = tmp_path / "right.pth", tmp_path / "wrong.pth"
    with torch.no_grad():
        module.head.bias += 1
    torch.save(module.state_dict(), right)
    with torch.no_grad():
        module.head.bias += 1
    torch.save(module.state_dict(), wrong)
    path = edgekit.export(f"{net}:build", targets=["onnx"], resolution=32, weights=right, output_dir=tmp_path).artifacts[0].path
    assert verify(path, weights=right).verdict == "pass"
    with pytest.raises(ArtifactError, match="was exported with weights") as caught:
        verify(path)
    assert caught.value.what == f"sha256 {digest(right)[:16]}..."
    with pytest.raises(ArtifactError, match="not the weights it was exported with"):
        verify(path, weights=wrong)


def test_weights_for_an_export_without(verify, net, onnx_artifact, tmp_path):
    torch.save(load_source(f"{net}:build", resolution=32).module.state_dict(), tmp_path / "w.pth")
    with pytest.raises(ArtifactError, match="not the weights") as caught:
        verify(onnx_artifact, weights=tmp_path / "w.pth")
    assert "no weights" in caught.value.what
