"""Quantized exports from end to end, of a small network of one's own, and everything that stops one."""

import json

import numpy as np
import pytest
from PIL import Image

import edgekit
from edgekit.errors import ParityError

CLASSES = 5


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Sixty pictures in class folders."""
    place = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for number in range(60):
        folder = place / f"class{number % CLASSES}"
        folder.mkdir(exist_ok=True)
        small = generator.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(small).resize((32, 32), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return place


@pytest.fixture(scope="module")
def exported(net, pictures, tmp_path_factory):
    """One w8a8 export for LiteRT; not to be changed."""
    return edgekit.export(
        f"{net}:build",
        targets=["tflite"],
        precision="w8a8",
        resolution=32,
        data=str(pictures),
        num_calibration_samples=20,
        sqnr=15.0,
        output_dir=tmp_path_factory.mktemp("quantized"),
    ).artifacts[0]


@pytest.fixture
def manifest(exported):
    return json.loads(exported.manifest.read_text())


def test_it_answers_as_eager_does(exported):
    assert exported.parity.verdict == "pass"
    assert exported.parity.executed_by == "litert"
    assert exported.parity.sqnr_db >= 15
    assert exported.path.name == "net-build_32_w8a8.tflite"


def test_the_manifest_says_on_what_and_how_well(manifest):
    section = manifest["quantization"]
    assert section["scheme"]["name"] == "w8a8"
    assert section["data"]["judged"]["samples"] == 20
    assert [row["samples"] for row in section["data"]["calibrated"]] == [20, 20, 20]
    assert len({row["sha256"] for row in section["data"]["calibrated"]}) == 3
    assert len(section["judged"]) == 3
    for row in section["judged"]:
        answer = row["answers"][0]
        assert answer["sqnr_db"] > 15
        assert answer["accuracy"] == pytest.approx(answer["eager_accuracy"] + (answer["wins"] - answer["losses"]) / 20)
    assert manifest["recipe"]["data"].startswith("pictures")
    assert "/" not in manifest["recipe"]["data"]


def test_a_plan_that_is_pinned_gives_the_same_bytes(net, pictures, exported, tmp_path):
    again = edgekit.export(
        f"{net}:build",
        targets=["tflite"],
        precision="w8a8",
        resolution=32,
        data=str(pictures),
        num_calibration_samples=20,
        plan=exported.manifest,
        output_dir=tmp_path,
    ).artifacts[0]
    assert again.sha256 == exported.sha256
    assert again.plan == exported.plan


def test_integers_at_the_edges_and_costs_of_ones_own(net, pictures, exported, tmp_path):
    """A table by which floats are cheaper everywhere leaves nothing in integers but what is given and answered."""
    table = {"per": "value", "fp32": 1.0, "w8a8": 2.0}
    kinds = ("conv", "depthwise", "linear", "matmul", "add", "mul", "activation", "mean", "pool", "norm", "softmax", "other", "relu")
    costs = tmp_path / "costs.json"
    document = {
        "schema_version": 1,
        "target": "tflite",
        "widens_weights": False,
        "measured": {"cpu": "a slow one"},
        "ns": {**dict.fromkeys(kinds, table), "convert": {"per": "value", "ns": 0.1}},
    }
    costs.write_text(json.dumps(document))
    found = edgekit.export(
        f"{net}:build",
        targets=["tflite"],
        precision="w8a8",
        resolution=32,
        data=str(pictures),
        num_calibration_samples=20,
        sqnr=15.0,
        costs=costs,
        io="int8",
        output_dir=tmp_path,
    ).artifacts[0]
    assert found.plan.costs == {"cpu": "a slow one"}
    assert [row.path for row in found.plan.groups if row.quantized] == []
    assert [row.path for row in exported.plan.groups if row.quantized] != []
    loaded = edgekit.load_artifact(found.path)
    ((image,), (logits,)) = loaded.methods[0].inputs, loaded.methods[0].outputs
    assert (image.dtype, logits.dtype) == ("int8", "int8")
    assert (image.scale > 0, logits.scale > 0) == (True, True)
    given = np.random.default_rng(0).standard_normal(image.shape).astype(np.float32)
    with pytest.raises(edgekit.errors.UsageError, match="input image is float32") as caught:
        loaded.run("forward", {"image": given})
    assert "stored()" in caught.value.hint
    answer = loaded.run("forward", {"image": image.stored(given)})["logits"]
    assert answer.dtype == np.int8
    floats = edgekit.load_artifact(exported.path).run("forward", {"image": given})["logits"]
    assert np.abs(logits.real(answer) - floats).max() < 0.2 * np.abs(floats).max()
    parity = edgekit.verify(found.path, model=f"{net}:build", data=str(pictures))
    assert (parity.verdict, parity.sqnr_db) == ("pass", pytest.approx(found.parity.sqnr_db))


def test_verify_judges_it_again(net, pictures, exported):
    parity = edgekit.verify(exported.path, model=f"{net}:build", data=str(pictures))
    assert parity.verdict == "pass"
    assert parity.sqnr_db == pytest.approx(exported.parity.sqnr_db)


def test_weights_alone_need_no_pictures(net, tmp_path):
    written = edgekit.export(f"{net}:build", targets=["tflite"], precision="w8a32", resolution=32, output_dir=tmp_path).artifacts[0]
    section = json.loads(written.manifest.read_text())["quantization"]
    assert (section["data"], section["plan"]) == (None, None)
    assert written.parity.samples == 9


def test_answers_that_are_not_near_enough_stop_it(net, tmp_path):
    """Four bits round this network's answers by more than 60 dB allow."""
    with pytest.raises(ParityError, match="does not answer as the model does") as caught:
        edgekit.export(f"{net}:build", targets=["tflite"], precision="w4a32", resolution=32, sqnr=60.0, output_dir=tmp_path)
    assert "is under 60 dB" in caught.value.what
    assert caught.value.details["quantization"]["judged"]
    assert not list(tmp_path.glob("net*"))


def test_without_pictures_no_ranges(refused, net, tmp_path):
    said = refused(2, "export", f"{net}:build", "-t", "tflite", "--precision", "w8a8", "-o", tmp_path)
    assert "needs pictures" in said
    assert "edgekit data pull cifar10" in said


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--precision", "palette4"), "looked up in a table"),
        (("--precision", "fp16"), "XNNPACK computes float models in float32"),
        (("--precision", "fp32", "--data", "cifar10"), "--data says nothing to precision fp32"),
        (("--precision", "w8a32", "--num-calibration-samples", "3"), "chooses no ranges"),
        (("--precision", "w8a8", "--data", "x", "--sqnr", "30", "--accuracy-budget", "1"), "two limits of one thing"),
        (("--precision", "w8a8", "--data", "x", "--accuracy-budget", "-1"), "accuracy budget is -1"),
        (("--precision", "w8a8", "--data", "x", "--num-calibration-samples", "0"), "0 samples choose no ranges"),
    ],
)
def test_what_contradicts_itself(refused, net, tmp_path, options, sentence):
    assert sentence in refused(2, "export", f"{net}:build", "-t", "tflite", "-o", tmp_path, *options)


def test_bad_pictures(refused, net, tmp_path):
    (tmp_path / "empty").mkdir()
    said = refused(3, "export", f"{net}:build", "-t", "tflite", "--precision", "w8a8", "--data", tmp_path / "empty", "-o", tmp_path)
    assert "holds no pictures" in said


def test_fewer_pictures_than_asked_for(refused, net, pictures, tmp_path):
    said = refused(3, "export", f"{net}:build", "-t", "tflite", "--resolution", "32", "--precision", "w8a8", "--data", pictures, "-o", tmp_path)
    assert "fewer pictures" in said
    assert "--num-calibration-samples 44" in said
