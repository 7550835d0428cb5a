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


@pytest.fixture
def installed(monkeypatch):
    """Pretend that packages are installed in other versions, ``None`` for not at all."""
    version = importlib.metadata.version

    def pretend(**versions):
        known = {name.replace("_", "-"): value for name, value in versions.items()}

        def found(name):
            if known.get(name, "") is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return known.get(name) or version(name)

        monkeypatch.setattr(importlib.metadata, "version", found)

    return pretend


def test_doctor_says_how_to_get_what_is_missing(cli, installed):
    installed(coremltools=None, onnxruntime="0.0.1")
    ran = cli("doctor")
    line = next(line for line in ran.out.splitlines() if line.startswith("coremltools"))
    assert line.split()[2:4] == ["-", "missing"]
    assert "coremltools: is missing. Without it: no target coreml." in ran.err
    assert "pip install 'edgekit[coreml]' brings coremltools ==9.0" in ran.err
    assert "too old" in next(line for line in ran.out.splitlines() if line.startswith("onnxruntime"))
    assert ran.code == 0  # the other targets can be exported to


@pytest.mark.parametrize(
    ("version", "state", "words"),
    [(None, "missing", "is missing"), ("2.9.1", "older", "is older than 2.13.0"), ("2.14.0+cpu", "newer", "is newer than 2.13.0, which edgekit was")],
)
def test_doctor_on_a_wrong_torch(cli, installed, version, state, words):
    installed(torch=version)
    ran = cli("doctor", "--json")
    document = ran.document()
    assert (ran.code, document["usable"]) == (2, False)
    assert next(row for row in document["packages"] if row["name"] == "torch")["state"] == state
    problem = next(row for row in document["problems"] if row["about"] == "torch")
    assert words in problem["what"]
    assert problem["stops"] == "everything"
    assert problem["hint"].startswith("pip install torch==2.13.0, first and alone")


def test_doctor_on_builds_and_on_what_packages_ask_of_each_other(cli, installed):
    installed(torch="2.13.0+cu130", numpy="1.0")
    problems = {row["about"]: row for row in cli("doctor", "--json").document()["problems"]}
    assert "is a build for GPUs" in problems["torch"]["what"]
    assert problems["torch"]["stops"] is None
    assert any("asks for numpy" in row["what"] for row in cli("doctor", "--json").document()["problems"])


def test_an_export_with_other_versions_says_so_first(cli, installed, tmp_path):
    installed(onnx="1.99.0")
    ran = cli("export", "emov2-1m", "-t", "onnx", "-o", tmp_path, "--dry-run")
    assert ran.err.startswith("WARNING  onnx 1.99.0 is newer than 1.23.2, which edgekit was proved with")


@pytest.mark.parametrize(("version", "words"), [(None, "torch is not installed"), ("2.13.0", "torch 2.13.0 is installed and cannot be imported")])
def test_without_torch_there_is_a_sentence(cli, installed, monkeypatch, version, words):
    installed(torch=version)

    def broken(name, *rest, **options):
        raise ImportError("libtorch_cpu.so: cannot open shared object file", name="torch")

    monkeypatch.setattr("edgekit.recipes.load_recipes", broken)
    ran = cli("export", "--recipe", "x.toml", "--json")
    assert (ran.code, ran.document()["error"]["kind"]) == (2, "UsageError")
    assert words in ran.err
    assert "internal error" not in ran.err
