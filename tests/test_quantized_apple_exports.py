"""Quantized exports for Core ML and Core AI from end to end: planned, calibrated on pictures, judged, described in the manifest."""

import json

import numpy as np
import pytest
from PIL import Image

import edgekit
from edgekit.errors import ParityError, UsageError

NET = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)
        self.body = nn.Conv2d(16, 64, 3, 2, 1)
        self.head = nn.Linear(64, 40)
        for parameter in self.parameters():
            parameter.data.normal_(0, 0.2, generator=generator)

    def forward(self, image):
        x = torch.relu(self.body(torch.relu(self.stem(image))))
        return self.head(x.mean((2, 3)))


def build():
    return Net()
"""
VALUES = 64 * 16 * 9 + 40 * 64


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    file = tmp_path_factory.mktemp("net") / "net.py"
    file.write_text(NET)
    return f"{file}:build"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    place = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for number in range(40):
        small = generator.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(small).resize((32, 32), Image.Resampling.BICUBIC).save(place / f"{number}.png")
    return str(place)


def exported(net, target, precision, folder, **options):
    return edgekit.export(net, targets=[target], precision=precision, resolution=32, output_dir=folder, **options).artifacts[0]


@pytest.mark.parametrize(("target", "executed_by"), [("coreml", "mil-interpreter"), ("coreai", "coreai")])
def test_activations_are_planned_calibrated_and_judged(target, executed_by, net, pictures, tmp_path):
    found = exported(net, target, "w8a8", tmp_path, data=pictures, num_calibration_samples=8, sqnr=18.0)
    assert (found.parity.verdict, found.parity.executed_by) == ("pass", executed_by)
    assert found.parity.sqnr_db >= 18
    manifest = json.loads(found.manifest.read_text())
    plan = manifest["quantization"]["plan"]
    assert {row["kind"] for row in plan["groups"] if row["quantized"]} <= {"conv", "linear"}
    assert manifest["operators"]["quantize"] == sum(row["quantized"] for row in plan["groups"]) - 1  # the first convolution is short


def test_tables_need_no_pictures(net, tmp_path):
    found = exported(net, "coreml", "palette8", tmp_path)
    assert found.parity.verdict == "pass"
    manifest = json.loads(found.manifest.read_text())
    assert manifest["recipe"]["deployment_target"] == "iOS17"
    assert VALUES < manifest["artifact"]["sections"]["weights"] < 1.5 * VALUES
    again = exported(net, "coreml", "palette8", tmp_path / "again")
    assert again.sha256 == found.sha256


def test_integers_of_four_bits_ask_for_a_later_system(net, tmp_path):
    found = exported(net, "coreml", "w4a32", tmp_path, sqnr=10.0)
    assert json.loads(found.manifest.read_text())["recipe"]["deployment_target"] == "iOS18"
    with pytest.raises(UsageError, match="iOS17 has no Core ML packages of w4a32"):
        exported(net, "coreml", "w4a32", tmp_path / "older", deployment_target="iOS17")


def test_what_no_longer_answers_alike_is_not_published(net, tmp_path):
    with pytest.raises(ParityError, match="does not answer as the model does"):
        exported(net, "coreai", "palette4", tmp_path, sqnr=80.0)
    assert not list(tmp_path.glob("*.aimodel"))
