"""``edgekit lint`` from the command line."""

import json
import shutil
from pathlib import Path

import pytest

import edgekit
from edgekit.artifact import manifest_path

FINDING = {"rule", "severity", "accelerator", "method", "operator", "name", "module", "line", "problem", "hint", "source"}
RULE = {"id", "accelerator", "severity", "statement", "hint", "source", "verified"}
PREDICTION = "placement is decided on the device; this is a prediction from published rules"


@pytest.fixture(scope="module")
def peaked(net, tmp_path_factory):
    """The user's model with a maximum before its linear layer: behind a mean, the rewrites make that layer a convolution."""
    file = tmp_path_factory.mktemp("source") / "net.py"
    file.write_text(net.read_text().replace("torch.relu(self.body(x)).mean((2, 3))", "torch.relu(self.body(x)).amax((2, 3))"))
    assert "amax" in file.read_text()
    return file


@pytest.fixture(scope="module")
def exported(peaked, tmp_path_factory):
    """The exports of ``net.py:build`` by target; not to be changed."""
    options = {"resolution": 32, "output_dir": tmp_path_factory.mktemp("linted"), "atol": 1.0}
    return {row.target: row.path for row in edgekit.export(f"{peaked}:build", targets=["coreml", "tflite"], **options).artifacts}


@pytest.fixture
def copy_of(exported, tmp_path):
    """Copy an artifact without its manifest."""

    def copy(target) -> Path:
        path = exported[target]
        place = tmp_path / path.name
        return Path(shutil.copytree(path, place) if path.is_dir() else shutil.copy(path, place))

    return copy


def line_of(file: Path, code: str) -> int:
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if code in line)


def test_json_has_every_finding_with_where_it_comes_from(cli, peaked, exported):
    ran = cli("lint", exported["coreml"], "--json")
    assert ran.code == 0, ran.err
    document = ran.document()
    wanted = {"schema_version", "command", "artifact", "target", "prediction", "about", "findings", "rules_checked", "counts", "notes"}
    assert document.keys() == wanted
    assert (document["schema_version"], document["command"], document["target"]) == (1, "lint", "coreml")
    assert (document["prediction"], document["about"], document["notes"]) == (True, PREDICTION, [])
    assert document["artifact"] == str(exported["coreml"])
    assert all(row.keys() == FINDING for row in document["findings"])
    assert all(row.keys() == RULE for row in document["rules_checked"])
    (head,) = [row for row in document["findings"] if row["rule"] == "ane-linear"]
    assert (head["severity"], head["accelerator"], head["method"], head["operator"]) == ("warning", "Neural Engine", "forward", "linear")
    assert (head["module"], head["line"]) == ("head", f"net.py:{line_of(peaked, 'return self.head(')}, in forward")
    assert head["source"].startswith("https://github.com/apple/coreai-models/")
    counts = {severity: sum(row["severity"] == severity for row in document["findings"]) for severity in ("warning", "info")}
    assert document["counts"] == counts
    assert {row["rule"] for row in document["findings"]} <= {row["id"] for row in document["rules_checked"]}


def test_for_people_one_line_a_group(cli, exported):
    ran = cli("lint", exported["coreml"])
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].startswith(f"{exported['coreml'].name}  coreml  1 warning, ")
    assert lines[1] == PREDICTION
    document = cli("lint", exported["coreml"], "--json").document()
    start = next(place for place, line in enumerate(lines) if line.startswith("warning  ane-linear  Neural Engine: "))
    group, hint, link = lines[start + 1 : start + 4]
    assert group.split()[:2] == ["1", "linear"]
    assert "(head, net.py:" in group
    assert hint.strip().startswith("try  a 1x1 convolution")
    assert link.strip() == f"see  {next(row['source'] for row in document['findings'] if row['rule'] == 'ane-linear')}"
    narrow = [row for row in document["findings"] if row["rule"] == "ane-narrow-last-axis" and row["operator"] == "conv"]
    assert any(line.split()[:2] == [str(len(narrow)), "conv"] for line in lines)


def test_tflite_is_read_for_two_accelerators(cli, exported):
    document = cli("lint", exported["tflite"], "--json").document()
    assert {row["accelerator"] for row in document["rules_checked"]} == {"LiteRT GPU", "XNNPACK"}
    assert document["counts"]["warning"] == 0
    assert cli("lint", exported["tflite"], "--strict").code == 0


def test_executorch_says_what_it_cannot_know(cli, net, tmp_path):
    (row,) = edgekit.export(f"{net}:build", targets=["executorch"], resolution=32, output_dir=tmp_path).artifacts
    document = cli("lint", row.path, "--json").document()
    assert document["notes"] == ["an ExecuTorch program keeps no names: module and line unknown"]
    assert document["findings"] == []


def test_strict_ends_with_6_and_still_shows_everything(cli, exported):
    ran = cli("lint", exported["coreml"], "--strict")
    assert ran.code == 6
    assert "ane-linear" in ran.out
    assert "has 1 warning, --strict allows none" in ran.err
    ran = cli("lint", exported["coreml"], "--strict", "--json")
    document = ran.document()
    assert ran.code == document["error"]["exit_code"] == 6
    assert (document["error"]["kind"], document["prediction"]) == ("BudgetError", True)
    assert document["findings"] == cli("lint", exported["coreml"], "--json").document()["findings"]


def test_without_a_manifest_module_and_line_are_unknown(cli, copy_of):
    path = copy_of("coreml")
    assert "no manifest: module and line unknown" in cli("lint", path).out
    document = cli("lint", path, "--json").document()
    assert document["findings"]
    assert all((row["module"], row["line"]) == (None, None) for row in document["findings"])
    assert document["notes"] == ["no manifest: module and line unknown"]


def test_a_manifest_without_origins(cli, copy_of, exported):
    path = copy_of("tflite")
    document = json.loads(manifest_path(exported["tflite"]).read_text())
    del document["origins"]
    manifest_path(path).write_text(json.dumps(document))
    assert "a manifest without origins, from an older edgekit" in cli("lint", path).out


def test_a_manifest_of_another_artifact_or_with_nonsense(refused, copy_of, exported):
    path = copy_of("tflite")
    document = json.loads(manifest_path(exported["tflite"]).read_text())
    manifest_path(path).write_text(json.dumps(document | {"origins": {"modules": 3}}))
    assert "the manifest's origins cannot be read" in refused(3, "lint", path)
    path.write_bytes(path.read_bytes() + b"\0")
    assert "is not the artifact its manifest describes" in refused(3, "lint", path)


@pytest.mark.parametrize("options", [[], ["--strict"]])
def test_a_target_without_rules_says_so(cli, onnx_artifact, options):
    ran = cli("lint", onnx_artifact, *options)
    assert ran.code == 0
    assert "no rules for this target" in ran.out
    document = cli("lint", onnx_artifact, "--json").document()
    assert (document["findings"], document["rules_checked"], document["notes"]) == ([], [], ["no rules for this target"])


def test_bad_input_is_3(refused, cli, tmp_path):
    assert "no artifact nothing.tflite" in refused(3, "lint", tmp_path / "nothing.tflite")
    (tmp_path / "notes.txt").write_text("not an artifact")
    assert "is not an artifact edgekit knows" in refused(3, "lint", tmp_path / "notes.txt")
    for name in ("a.tflite", "a.pte"):
        (tmp_path / name).write_bytes(b"\x00\x01 not a model")
        assert name in refused(3, "lint", tmp_path / name)
    (tmp_path / "a.mlpackage").mkdir()
    assert "a.mlpackage" in refused(3, "lint", tmp_path / "a.mlpackage")
    document = cli("lint", tmp_path / "a.pte", "--json").document()
    assert (document["command"], document["error"]["exit_code"]) == ("lint", 3)


def test_help_has_examples_and_the_exit_code(cli):
    said = cli("lint", "--help").out
    assert "edgekit lint emov2-5m_224_fp32.tflite --json" in said
    assert "with --strict 6 if there is a warning" in said
