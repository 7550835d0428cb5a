"""``edgekit models``, ``targets`` and ``doctor``: as tables for people and as one JSON document."""

import importlib.metadata
import importlib.util

import pytest

from edgekit.capabilities import TARGETS
from edgekit.models.registry import MODELS

# From the paper's table and its reference implementation (design/models.md).
PARAMETERS = {
    "emov2-1m": 1_460_844,
    "emov2-2m": 2_384_312,
    "emov2-5m": 5_126_440,
    "emov2-20m": 20_195_208,
    "emov2-50m": 49_815_560,
    "imcnet-b16": 27_501_544,
    "imcnet-s16": 7_263_208,
    "imcnet-ti16": 2_010_088,
}
EXITS = {"chase-imagenet": 7, "chase-cifar10": 6, "chase-cifar100": 6, "chase-tiny": 4, "chase-nano": 6}


def test_models_as_json(cli):
    ran = cli("models", "--json")
    document = ran.document()
    assert (ran.code, document["schema_version"], document["command"]) == (0, 1, "models")
    rows = {row["name"]: row for row in document["models"]}
    assert {name: rows[name]["parameters"] for name in PARAMETERS} == PARAMETERS
    assert rows.keys() == {entry.name for entry in MODELS}
    for row in rows.values():
        assert row.keys() == {"name", "about", "parameters", "macs", "resolution", "methods"}
        assert type(row["macs"]) is type(row["resolution"]) is int
        exits = [f"exit_{number}" for number in range(1, EXITS.get(row["name"], 0) + 1)]
        assert row["methods"] == (exits or ["forward"])


def test_models_as_a_table(cli):
    ran = cli("models")
    header, *rows = ran.out.splitlines()
    assert header.split()[:2] == ["model", "M"]
    assert [row.split()[0] for row in rows] == [entry.name for entry in MODELS]
    assert rows[2].split()[:4] == ["emov2-5m", "5.13", "1025", "224"]
    assert "MACs" in ran.err


def test_targets_as_json(cli):
    document = cli("targets", "--json").document()
    assert [row["name"] for row in document["targets"]] == [facts.name for facts in TARGETS]
    for row in document["targets"]:
        assert row["precisions"]
        assert row["installed"] is (row["missing"] == [])
        assert row["suffix"].startswith(".")


@pytest.fixture
def without_onnxruntime(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "onnxruntime" else found(name, *rest))


def test_targets_name_what_is_missing(cli, without_onnxruntime):
    row = next(row for row in cli("targets", "--json").document()["targets"] if row["name"] == "onnx")
    assert (row["installed"], row["missing"], row["extra"]) == (False, ["onnxruntime"], "onnx")
    assert "no: pip install 'edgekit[onnx]'" in cli("targets").out


def test_targets_as_a_table(cli):
    lines = cli("targets").out.splitlines()
    assert lines[0].split()[:3] == ["target", "writes", "precisions"]
    assert any(line.startswith("tflite (litert)") for line in lines)


def test_doctor_as_json(cli):
    ran = cli("doctor", "--json")
    rows = {row["name"]: row for row in ran.document()["packages"]}
    assert ran.code == 0
    assert rows["torch"]["installed"] == importlib.metadata.version("torch")
    assert rows["torch"]["state"] == "ok"
    assert rows["onnxruntime"]["extra"] == "onnx"
    assert "pytest" not in rows


def test_doctor_says_how_to_get_what_is_missing(cli, monkeypatch):
    version = importlib.metadata.version

    def without(name):
        if name == "coremltools":
            raise importlib.metadata.PackageNotFoundError(name)
        return "0.0.1" if name == "onnxruntime" else version(name)

    monkeypatch.setattr(importlib.metadata, "version", without)
    ran = cli("doctor")
    line = next(line for line in ran.out.splitlines() if line.startswith("coremltools"))
    assert line.split()[2:4] == ["-", "missing"]
    assert "coremltools: pip install 'edgekit[coreml]'" in ran.err
    assert "another version" in next(line for line in ran.out.splitlines() if line.startswith("onnxruntime"))
