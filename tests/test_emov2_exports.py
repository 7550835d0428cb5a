"""The headline command on full-size networks: every target passes parity, and the files are hardly larger than the weights."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.artifact import read_manifest
from edgekit.lint.run import lint_artifact
from edgekit.models.registry import model_entry

EDGEKIT = str(Path(sys.executable).with_name("edgekit"))
EXECUTED_BY = {"tflite": "litert", "executorch": "executorch", "onnx": "onnxruntime"}
MAX_FP32_OVERHEAD = 1.01
MAX_FP16_OVERHEAD = 1.09
MIN_SQNR_DB = 100


@pytest.mark.parametrize(("model", "resolution"), [("emov2-1m", 224), ("emov2-5m", 224), ("emov2-5m", 512), ("emov2-1m", 320)])
def test_all_four_targets_pass_and_are_small(model, resolution, tmp_path):
    targets = [argument for target in ("coreml", *EXECUTED_BY) for argument in ("--target", target)]
    command = [EDGEKIT, "export", model, *targets, "--resolution", str(resolution), "-o", str(tmp_path), "--json", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no vendor chatter reaches the user

    document = json.loads(done.stdout)
    assert document["trained"] is False
    artifacts = {artifact["target"]: artifact for artifact in document["artifacts"]}
    assert artifacts.keys() == {"coreml", *EXECUTED_BY}
    parameters = model_entry(model).parameters
    for target, runtime in EXECUTED_BY.items():
        artifact, parity = artifacts[target], artifacts[target]["parity"]
        assert (parity["verdict"], parity["executed_by"], parity["samples"]) == ("pass", runtime, 9)
        assert parity["sqnr_db"] >= MIN_SQNR_DB
        assert parity["top1_agreement"] == 1.0
        assert artifact["size_bytes"] <= MAX_FP32_OVERHEAD * 4 * parameters
    coreml = artifacts["coreml"]
    assert_lint(Path(coreml["path"]))
    assert coreml["precision"] == "fp16"
    assert_proved(coreml["parity"])
    assert coreml["size_bytes"] <= MAX_FP16_OVERHEAD * 2 * parameters

    for artifact in artifacts.values():
        fired = {rewrite["name"]: rewrite["sites"] for rewrite in artifact["rewrites"]}
        attention_blocks = {"emov2-1m": 9, "emov2-5m": 10}[model]
        assert sum(sites for name, sites in fired.items() if name.startswith("static_windows")) == attention_blocks
        manifest = read_manifest(Path(artifact["path"]))
        assert manifest is not None
        assert manifest.document["recipe"]["resolution"] == resolution
    assert not list(tmp_path.glob(".edgekit-*"))


REMAINING = {  # README says why of each
    "ane-move",
    "ane-narrow-last-axis",
    "ane-singleton-last-axis",
    "ane-softmax-axis",
    "ane-upcast",
    "ane-interface-alignment",
}


def assert_lint(path):
    """The default package has no warning, and no kind of finding but those that are explained."""
    report = lint_artifact(path)
    assert report.counts["warning"] == 0
    assert {finding.rule for finding in report.findings} <= REMAINING
    assert all(finding.module is not None for finding in report.findings if finding.rule != "ane-interface-alignment")


def assert_proved(parity):
    """A Core ML program in half precision: its outputs, the program itself in float32, and every operator of it."""
    assert (parity["verdict"], parity["executed_by"], parity["samples"], parity["top1_agreement"]) == ("pass", "mil-interpreter", 9, 1.0)
    assert parity["numerics"]["fp32"]["sqnr_db"] >= 90
    assert parity["numerics"]["fp16"]["sqnr_db"] >= 45
    assert parity["operators"]["compared"] >= 0.98 * parity["operators"]["operators"]
    assert parity["operators"]["min_sqnr_db"] >= 90


@pytest.mark.parametrize("model", ["emov2-2m", "emov2-20m", "emov2-50m"])
def test_core_ml_proves_the_other_sizes(model, tmp_path):
    command = [EDGEKIT, "export", model, "-t", "coreml", "-o", str(tmp_path), "--json", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (artifact,) = json.loads(done.stdout)["artifacts"]
    assert_proved(artifact["parity"])
    assert_lint(Path(artifact["path"]))
    assert artifact["size_bytes"] <= MAX_FP16_OVERHEAD * 2 * model_entry(model).parameters


def test_core_ml_in_float32(tmp_path):
    command = [EDGEKIT, "export", "emov2-1m", "-t", "coreml", "--precision", "fp32", "-o", str(tmp_path), "--json", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (artifact,) = json.loads(done.stdout)["artifacts"]
    parity = artifact["parity"]
    assert (parity["verdict"], parity["top1_agreement"]) == ("pass", 1.0)
    assert parity["sqnr_db"] == parity["numerics"]["fp32"]["sqnr_db"] >= MIN_SQNR_DB
    assert parity["operators"]["min_sqnr_db"] >= 90
    assert artifact["size_bytes"] <= MAX_FP32_OVERHEAD * 4 * model_entry("emov2-1m").parameters


@pytest.mark.parametrize("model", ["emov2-1m", "emov2-5m"])
def test_core_ai_passes_and_is_small(model, tmp_path):
    command = [EDGEKIT, "export", model, "-t", "coreai", "-o", str(tmp_path), "--json", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (artifact,) = json.loads(done.stdout)["artifacts"]
    assert Path(artifact["path"]).name == f"{model}_224_fp32.aimodel"
    parity = artifact["parity"]
    assert (parity["verdict"], parity["executed_by"], parity["samples"], parity["top1_agreement"]) == ("pass", "coreai", 9, 1.0)
    assert parity["sqnr_db"] >= MIN_SQNR_DB
    assert artifact["size_bytes"] <= MAX_FP32_OVERHEAD * 4 * model_entry(model).parameters


def test_portable_kernels_run_the_rewritten_network(tmp_path):
    # They refuse tensors whose strides only look contiguous, which XNNPACK does not mind.
    command = [EDGEKIT, "export", "emov2-1m", "-t", "executorch", "--backend", "portable", "--resolution", "64", "-o", str(tmp_path), "--json", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (artifact,) = json.loads(done.stdout)["artifacts"]
    assert artifact["parity"]["verdict"] == "pass"
    assert artifact["parity"]["sqnr_db"] >= MIN_SQNR_DB
    assert Path(artifact["path"]).name == "emov2-1m_64_fp32_portable.pte"


def test_a_core_ml_delegate_keeps_the_precision_its_file_is_named_after(tmp_path):
    command = [EDGEKIT, "export", "emov2-1m", "-t", "executorch", "--backend", "coreml", "--resolution", "64", "-o", str(tmp_path), "--json", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (artifact,) = json.loads(done.stdout)["artifacts"]
    assert artifact["parity"]["verdict"] == "not_executed"
    assert artifact["size_bytes"] >= 4 * 0.99 * model_entry("emov2-1m").parameters  # half precision would be half of it
