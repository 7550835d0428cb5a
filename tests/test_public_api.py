import numpy as np
import pytest
import torch

import edgekit
from edgekit.artifact import manifest_path
from edgekit.errors import ArtifactError, UnknownNameError, UsageError
from edgekit.models.source import load_source
from edgekit.verification.samples import verification_samples


def test_names():
    assert set(edgekit.__all__) >= {"__version__", "build_model", "export", "load_artifact", "verify"}
    for name in edgekit.__all__:
        assert getattr(edgekit, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'exprot'"):
        edgekit.exprot  # noqa: B018


def test_targets_is_a_list():
    with pytest.raises(UsageError, match="targets is the text 'onnx'"):
        edgekit.export("emov2-1m", targets="onnx")


@pytest.fixture(scope="module")
def both(net, tmp_path_factory):
    """The same model as ONNX and TFLite."""
    result = edgekit.export(f"{net}:several", targets=["onnx", "tflite"], resolution=32, output_dir=tmp_path_factory.mktemp("both"))
    return {written.target: written.path for written in result.artifacts}


@pytest.mark.parametrize("target", ["onnx", "tflite"])
def test_an_artifact_runs_and_equals_eager(both, net, target):
    artifact = edgekit.load_artifact(both[target])
    source = load_source(f"{net}:several", resolution=32)
    (method,) = artifact.methods
    assert [t.name for t in method.outputs] == ["logits", "features"]
    for sample in verification_samples(source.preprocessing):
        with torch.no_grad():
            expected = source.module(torch.from_numpy(sample.tensor))
        got = artifact.run("forward", {"image": sample.tensor})  # NCHW, also where the artifact takes NHWC
        assert got.keys() == {"logits", "features"}
        for name, want in expected.items():
            assert got[name].shape == tuple(want.shape)
            assert got[name].dtype == np.float32
            assert np.abs(got[name] - want.numpy()).max() <= 1e-4 * want.abs().max().item()


def test_nhwc_is_taken_as_it_is(both):
    artifact = edgekit.load_artifact(both["tflite"])
    assert (artifact.methods[0].inputs[0].layout, artifact.methods[0].inputs[0].shape) == ("NHWC", (1, 32, 32, 3))
    image = np.random.default_rng(0).standard_normal((1, 3, 32, 32)).astype(np.float32)
    one = artifact.run("forward", {"image": image})
    two = artifact.run("forward", {"image": np.ascontiguousarray(image.transpose(0, 2, 3, 1))})
    assert all(np.array_equal(one[name], two[name]) for name in one)


IMAGE = np.zeros((1, 3, 32, 32), np.float32)


@pytest.mark.parametrize("target", ["onnx", "tflite"])
@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({}, "forward takes image"),
        ({"imge": IMAGE}, "forward takes image"),
        ({"image": IMAGE, "mask": IMAGE}, "forward takes image"),
        ({"image": IMAGE[0]}, r"input image has shape \(3, 32, 32\)"),
        ({"image": np.zeros((1, 3, 32, 33), np.float32)}, r"input image has shape \(1, 3, 32, 33\)"),
        ({"image": np.zeros((2, 3, 32, 32), np.float32)}, r"input image has shape \(2, 3, 32, 32\)"),
        ({"image": IMAGE.astype(np.float64)}, "input image is float64"),
        ({"image": IMAGE.astype(np.uint8)}, "input image is uint8"),
        ({"image": torch.zeros(1, 3, 32, 32)}, "input image is a Tensor"),
        ({"image": IMAGE.tolist()}, "input image is a list"),
    ],
)
def test_inputs_that_do_not_fit(both, target, inputs, sentence):
    with pytest.raises(UsageError, match=sentence):
        edgekit.load_artifact(both[target]).run("forward", inputs)


def test_an_unknown_method(both):
    with pytest.raises(UnknownNameError, match="unknown method 'foward'") as caught:
        edgekit.load_artifact(both["onnx"]).run("foward", {"image": IMAGE})
    assert caught.value.hint == "did you mean 'forward'?"


def test_an_artifact_without_manifest_still_runs(onnx_artifact):
    expected = edgekit.load_artifact(onnx_artifact).run("forward", {"image": IMAGE})
    manifest_path(onnx_artifact).unlink()
    artifact = edgekit.load_artifact(str(onnx_artifact))
    assert artifact.manifest is None
    assert np.array_equal(artifact.run("forward", {"image": IMAGE})["logits"], expected["logits"])


@pytest.mark.parametrize("text", ["{}", '{"methods": 3}', "no json"])
def test_an_artifact_with_a_broken_manifest_is_refused(onnx_artifact, text):
    manifest_path(onnx_artifact).write_text(text)
    with pytest.raises(ArtifactError):
        edgekit.load_artifact(onnx_artifact)


def test_nothing_there():
    with pytest.raises(ArtifactError, match=r"no artifact no\.onnx"):
        edgekit.load_artifact("no.onnx")


def test_a_function_keeps_its_name_whatever_was_imported():
    """``edgekit.verify`` is the function also after the pipeline has imported every part of the package."""
    import importlib
    import pkgutil

    parts = {module.name for module in pkgutil.iter_modules(edgekit.__path__)}
    assert parts & set(edgekit.__all__) == set()
    importlib.import_module("edgekit.pipeline")
    assert all(callable(getattr(edgekit, name)) for name in edgekit.__all__ if name != "__version__")
