"""``edgekit verify`` on files that edgekit did not write: no manifest, and a model that the user names."""

import shutil

import pytest
import torch

import edgekit
from edgekit.artifact import manifest_path
from edgekit.errors import ArtifactError, BadInputError, UsageError
from edgekit.models.source import load_source
from edgekit.quiet import quiet
from edgekit.targets.coreml.toolbox import coremltools

SCALED = '''

class Scaled(Net):
    """Takes pixels, red first, and has inside what the converter is told: blue first, and the scaling."""

    def forward(self, image):
        return super().forward(image.flip(1) / 128.0 - torch.tensor([1.0, 0.9, 1.1]).reshape(1, 3, 1, 1))


def scaled():
    return Scaled()


def two():
    return Returns(lambda image: (image.mean((2, 3)), image.amax((2, 3))))
'''


@pytest.fixture(scope="module")
def own(net, tmp_path_factory):
    file = tmp_path_factory.mktemp("own") / "own_net.py"
    file.write_text(net.read_text() + SCALED)
    return file


def convert(own, path, *, factory="build", half=False, shape=(1, 3, 32, 32), picture=False, ios=17):
    ct = coremltools()
    module = load_source(f"{own}:{factory}", resolution=32).module
    if picture:
        given = ct.ImageType("picture", shape, scale=1 / 128.0, bias=[-1.0, -0.9, -1.1], color_layout=ct.colorlayout.BGR)
    else:
        given = ct.TensorType("x", shape)
    with quiet():
        ct.convert(
            torch.jit.trace(module, torch.zeros(shape)),
            convert_to="mlprogram",
            inputs=[given],
            compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
            minimum_deployment_target=getattr(ct.target, f"iOS{ios}"),
            skip_model_load=True,
        ).save(str(path))
    return path


@pytest.fixture(scope="module")
def single(own, tmp_path_factory):
    return convert(own, tmp_path_factory.mktemp("single") / "m.mlpackage")


def test_a_package_in_float32(own, single):
    parity = edgekit.verify(single, model=f"{own}:build")
    assert (parity.verdict, parity.executed_by, parity.samples, parity.operators) == ("pass", "mil-interpreter", 9, None)
    assert parity.sqnr_db >= 100
    assert parity.tolerance.min_sqnr_db == 90
    assert parity.numerics.keys() == {"fp32"}


@pytest.mark.parametrize("ios", [15, 17])
def test_a_package_in_half_precision(own, tmp_path, ios):
    """From iOS 16 on, Core ML Tools makes the input half as well."""
    path = convert(own, tmp_path / "m.mlpackage", half=True, ios=ios)
    assert edgekit.load_artifact(path).methods[0].inputs[0].dtype == ("float32" if ios == 15 else "float16")
    parity = edgekit.verify(path, model=f"{own}:build")
    assert (parity.verdict, parity.tolerance.min_sqnr_db) == ("pass", 45)
    assert parity.numerics.keys() == {"fp16", "fp32_against_eager"}
    assert parity.numerics["fp32_against_eager"].sqnr_db >= 60  # what is left are the weights, stored as halves
    assert edgekit.verify(path, model=f"{own}:build", atol=1e-9).verdict == "fail"


def test_a_package_that_takes_pictures_and_a_model_that_takes_pixels(own, tmp_path):
    path = convert(own, tmp_path / "m.mlpackage", picture=True)
    parity = edgekit.verify(path, model=f"{own}:scaled")
    assert (parity.verdict, parity.samples) == ("pass", 9)
    assert parity.sqnr_db >= 90
    assert edgekit.verify(path, model=f"{own}:build").verdict == "fail"  # without the scaling


def test_a_model_that_it_is_not(own, single, monkeypatch):
    monkeypatch.setenv("NET_SEED", "1")
    parity = edgekit.verify(single, model=f"{own}:build")
    assert parity.verdict == "fail"
    assert "SQNR" in parity.reason


def test_several_outputs_go_by_position(own, tmp_path):
    path = convert(own, tmp_path / "m.mlpackage", factory="two")
    assert edgekit.verify(path, model=f"{own}:two").verdict == "pass"
    with pytest.raises(ArtifactError, match="has 2 outputs, the model 1"):
        edgekit.verify(path, model=f"{own}:build")


def test_without_a_model_the_hint_says_how(single, refused):
    said = refused(3, "verify", single)
    assert "m.mlpackage has no manifest" in said
    assert "--model path/to/file.py:factory" in said


@pytest.mark.parametrize("shape", [(1, 3, 32, 48), (2, 3, 32, 32)])
def test_inputs_that_edgekit_has_not(own, tmp_path, shape):
    with pytest.raises(ArtifactError, match="does not take one square RGB picture"):
        edgekit.verify(convert(own, tmp_path / "m.mlpackage", shape=shape), model=f"{own}:build")


def test_models_that_are_none(own, single, refused):
    assert "has no 'nope'" in refused(3, "verify", single, "--model", f"{own}:nope")
    assert "unknown model" in refused(2, "verify", single, "--model", "emov2-9m")
    with pytest.raises(BadInputError):
        edgekit.verify(single, model=f"{own}:raises")
    with pytest.raises(UsageError):
        edgekit.verify(single, model=f"{own}:build", atol=-1.0)


def test_weights_are_loaded(own, single, tmp_path):
    module = load_source(f"{own}:build", resolution=32).module
    torch.save(module.state_dict(), tmp_path / "same.pth")
    with torch.no_grad():
        module.head.bias += 1
    torch.save(module.state_dict(), tmp_path / "other.pth")
    assert edgekit.verify(single, model=f"{own}:build", weights=tmp_path / "same.pth").verdict == "pass"
    assert edgekit.verify(single, model=f"{own}:build", weights=tmp_path / "other.pth").verdict == "fail"


def test_from_the_command_line(cli, own, single):
    ran = cli("verify", single, "--model", f"{own}:build", "--json")
    assert ran.code == 0, ran.err
    assert ran.document()["parity"]["executed_by"] == "mil-interpreter"
    assert ran.document()["parity"]["numerics"]["fp32"]["verdict"] == "pass"


def test_the_outputs_of_a_foreign_package_have_shapes(single):
    (output,) = edgekit.load_artifact(single).methods[0].outputs
    assert (output.shape, output.dtype) == ((1, 5), "float32")


@pytest.mark.parametrize("target", ["onnx", "tflite", "executorch"])
def test_other_formats_work_the_same(net, target, tmp_path):
    path = edgekit.export(f"{net}:build", targets=[target], resolution=32, output_dir=tmp_path).artifacts[0].path
    moved = shutil.move(path, tmp_path / f"moved{path.suffix}")
    assert not manifest_path(moved).exists()
    parity = edgekit.verify(moved, model=f"{net}:build")
    assert (parity.verdict, parity.samples) == ("pass", 9)
    assert parity.sqnr_db >= 90
