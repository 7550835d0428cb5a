"""Models that were written with torch.cond, exported to every target and run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import edgekit
from edgekit.artifact import read_manifest
from edgekit.errors import CaptureError, PolicyError
from edgekit.inspection import inspect_artifact, inspect_model
from edgekit.interface import Preprocessing
from edgekit.models.source import load_source
from edgekit.policy.costs import Costs
from edgekit.policy.policy import Policy
from edgekit.verification.samples import verification_samples

FILE = Path(__file__).parent / "data" / "conditional.py"
EXITING, EXPERTS, COUNTING = (f"{FILE}:{factory}" for factory in ("exiting", "experts", "counting"))
TARGETS = ("coreml", "tflite", "executorch", "onnx", "coreai")
SAMPLES = verification_samples(Preprocessing(resolution=32))


@pytest.fixture(scope="module")
def eager():
    """What the network answers as it was written: logits and exit by sample."""
    module = load_source(EXITING, resolution=32).module
    with torch.no_grad():
        return [module(torch.from_numpy(sample.tensor)) for sample in SAMPLES]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    result = edgekit.export(EXITING, targets=list(TARGETS), resolution=32, output_dir=tmp_path_factory.mktemp("conditional"))
    return {artifact.target: artifact for artifact in result.artifacts}


def images_for(artifact):
    pixels = artifact.methods[0].inputs[0].dtype == "image"
    return np.stack([sample.pixels.transpose(2, 0, 1) if pixels else sample.tensor[0] for sample in SAMPLES])


@pytest.mark.parametrize("target", TARGETS)
def test_conditions_become_methods_that_pass(exported, target):
    artifact = exported[target]
    names = ["exit_1", "exit_2", "exit_3", *(["forward"] if target == "onnx" else [])]
    assert (list(artifact.methods), artifact.parity.verdict, artifact.parity.samples) == (names, "pass", 9)
    split, selections = artifact.rewrites[:2]
    assert (split.name, len(split.sites), split.skips, selections.sites) == ("split_exits", 2, (), ())
    assert split.max_error == 0
    document = json.loads(artifact.manifest.read_text())
    above = [np.nextafter(np.float32(threshold), np.float32(np.inf)) for threshold in (0.333, -0.77)]  # the network compares with > and <
    assert np.array_equal(np.array(document["early_exit"]["thresholds"], np.float32), above)
    assert (document["early_exit"]["confidence"], document["early_exit"]["policy"]) == (None, None)
    assert document["early_exit"]["costs"]["macs"] == sorted(document["early_exit"]["costs"]["macs"])


@pytest.mark.parametrize("target", TARGETS)
def test_an_artifact_without_a_policy_leaves_where_the_model_leaves(exported, eager, target):
    artifact = edgekit.load_artifact(exported[target].path)
    calls = []
    counted = type(artifact).run

    def run(self, method, inputs):
        calls.append(method)
        return counted(self, method, inputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(artifact), "run", run)
        found = artifact.run_early_exit(images_for(artifact))
    assert found.exit.tolist() == [int(answer["exit"]) for answer in eager]
    assert set(found.exit.tolist()) == {1, 2, 3}
    assert len(calls) == found.exit.sum()  # nothing behind an exit was computed
    expected = np.concatenate([answer["logits"].numpy() for answer in eager])
    assert np.abs(found.logits - expected).max() <= (2e-2 if target == "coreml" else 1e-4) * np.abs(expected).max()


def test_an_artifact_passes_again(exported):
    assert edgekit.verify(exported["tflite"].path, model=EXITING).verdict == "pass"


def test_the_weights_are_stored_once(exported):
    parameters = sum(part.numel() for part in load_source(EXITING, resolution=32).module.parameters())
    for target in ("tflite", "executorch", "coreai"):
        weights = inspect_artifact(exported[target].path).inspection.sections["weights"]
        assert weights <= 1.03 * 4 * parameters + 4096, target  # alignment of a few small tensors


@pytest.mark.parametrize("form", ["select", "all"])
def test_one_graph_takes_the_same_exits(eager, tmp_path, form):
    (written,) = edgekit.export(EXITING, targets=["onnx"], resolution=32, early_exit=form, output_dir=tmp_path).artifacts
    artifact = edgekit.load_artifact(written.path)
    assert [method.name for method in artifact.methods] == ["forward"]
    assert artifact.run_early_exit(images_for(artifact)).exit.tolist() == [int(answer["exit"]) for answer in eager]


def test_another_policy_decides_by_the_logits(exported):
    """What the graph compares is an entropy here and a probability there, so that no policy may read it."""
    artifact = edgekit.load_artifact(exported["onnx"].path)
    policy = Policy(kind="max_softmax", exits=3, classes=10, thresholds=(0, 0), costs=Costs())
    assert artifact.run_early_exit(images_for(artifact), policy).exit.tolist() == [1] * 9
    with pytest.raises(PolicyError, match="for another network"):
        artifact.run_early_exit(images_for(artifact), Policy(kind="max_softmax", exits=2, classes=10, thresholds=(0,), costs=Costs()))


def test_experts_are_both_computed_and_one_is_selected(tmp_path):
    (written,) = edgekit.export(EXPERTS, targets=["onnx"], resolution=32, output_dir=tmp_path).artifacts
    assert (written.methods, written.parity.verdict) == (("forward",), "pass")
    split, selections = written.rewrites[:2]
    assert (split.sites, len(selections.sites)) == ((), 1)
    assert split.skips[0].site.startswith("conditional.py:")
    assert read_manifest(written.path).document["early_exit"] is None
    assert not [operator for operator in inspect_artifact(written.path).inspection.operators if operator == "If"]


def test_inspecting_a_model_lists_its_exits():
    report = inspect_model(EXITING, targets=("onnx",), resolution=32)
    split = next(each for each in report.targets["onnx"] if each.name == "split_exits")
    assert [site.partition(" ")[0] for site in split.sites] == ["exit_1", "exit_2"]
    assert all("conditional.py:" in site and "leaves where confidence >= " in site for site in split.sites)


def test_a_model_that_counts_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(CaptureError, match="it writes to seen") as caught:
        edgekit.export(COUNTING, targets=["onnx"], resolution=32, output_dir=tmp_path)
    assert caught.value.exit_code == 4
    assert not list(tmp_path.iterdir())
