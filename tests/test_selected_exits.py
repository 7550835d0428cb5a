"""Exports of networks with exits as one graph that selects, and as a file for one method."""

import math

import attrs
import numpy as np
import pytest
import torch

import edgekit
from edgekit.artifact import read_manifest
from edgekit.errors import BadInputError, PolicyError, UsageError
from edgekit.inspection import inspect_artifact
from edgekit.interface import Preprocessing
from edgekit.methods import method_sources
from edgekit.models.source import load_source
from edgekit.ops.confidence import max_softmax
from edgekit.policy.decide import as_eager_policy
from edgekit.policy.policy import Policy
from edgekit.runtime.attach import attach_policy
from edgekit.targets.registry import get_target
from edgekit.verification.cases import eager_cases
from edgekit.verification.check import check_artifact
from edgekit.verification.samples import verification_samples
from edgekit.verification.tolerances import tolerance_for

EXECUTED = {"coreml": "mil-interpreter", "tflite": "litert", "executorch": "executorch", "onnx": "onnxruntime", "coreai": "coreai"}
SAMPLES = verification_samples(Preprocessing(resolution=32))


@pytest.fixture(scope="module")
def tiny():
    return load_source("chase-tiny")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("selected")
    result = edgekit.export("chase-tiny", targets=list(EXECUTED), early_exit="select", output_dir=folder)
    return {artifact.target: artifact for artifact in result.artifacts}


@pytest.fixture(scope="module")
def opened(exported):
    return {target: edgekit.load_artifact(artifact.path) for target, artifact in exported.items()}


def picture(artifact, sample):
    return sample.pixels.transpose(2, 0, 1)[None].copy() if artifact.methods[0].inputs[0].dtype == "image" else sample.tensor


def policy(**changes):
    return Policy(**{"kind": "max_softmax", "exits": 4, "classes": 10, "thresholds": (0, 0, 0)} | changes)


@pytest.mark.parametrize("target", EXECUTED)
def test_the_graph_is_proved_at_every_exit(exported, target):
    artifact = exported[target]
    assert artifact.path.stem == f"chase-tiny_32_{artifact.precision}_select"
    assert (artifact.methods, artifact.parity.verdict, artifact.parity.executed_by) == (("forward",), "pass", EXECUTED[target])
    assert (artifact.parity.samples, artifact.parity.top1_agreement) == (9, 1.0)
    (method,) = read_manifest(artifact.path).document["methods"]
    assert [(row["name"], row["shape"], row["dtype"]) for row in method["inputs"][1:]] == [("thresholds", [3], "float32")]
    assert [row["name"] for row in method["outputs"]] == ["logits", "confidence", "exit"]


def test_the_samples_take_every_exit(tiny):
    case = eager_cases(tiny, method_sources(tiny.module, "select"), SAMPLES)["forward"]
    assert {int(number[0]) for number in case.outputs["exit"]} == {1, 2, 3, 4}
    given = np.stack([row["thresholds"] for row in case.inputs])
    assert np.isnan(given).any()
    assert np.isinf(given).any()


def test_another_exit_than_eager_fails(exported, tiny):
    """The artifact is compared with answers of which one left elsewhere, with all other numbers as they are."""
    case = eager_cases(tiny, method_sources(tiny.module, "select"), SAMPLES)["forward"]
    wrong = [case.outputs["exit"][0] + 1, *case.outputs["exit"][1:]]
    case = attrs.evolve(case, outputs={**case.outputs, "exit": wrong})
    artifact = edgekit.load_artifact(exported["onnx"].path)
    parity = check_artifact(
        get_target("onnx"), artifact.path, artifact.methods, SAMPLES, {"forward": case}, tolerance_for("fp32", atol=1e6), counterparts={}
    )
    assert (parity.verdict, parity.reason) == ("fail", f"sample {SAMPLES[0].name} leaves at exit [1], eager at [2]")


@pytest.mark.parametrize("target", EXECUTED)
def test_ties_leave_and_what_is_no_number_does_not(opened, target):
    artifact = opened[target]
    image = picture(artifact, SAMPLES[0])

    def run(*thresholds):
        return artifact.run("forward", {"image": image, "thresholds": np.array(thresholds, np.float32)})

    sure = run(-math.inf, 0, 0)["confidence"][0]
    assert run(sure, 0, 0)["exit"].tolist() == [1]
    assert run(np.nextafter(sure, np.float32(2)), 0, 0)["exit"].tolist() == [2]  # in half precision, too: it is decided in float32
    assert run(math.nan, 0, 0)["exit"].tolist() == [2]
    assert run(math.inf, math.nan, math.inf)["exit"].tolist() == [4]


@pytest.mark.parametrize("target", EXECUTED)
def test_the_confidence_is_that_of_the_logits_in_float32(opened, target):
    """Half precision's numbers around a confidence of 0.2 are 1.2e-4 apart. The package's logits are half, so float32 holds them exactly."""
    artifact = opened[target]
    for sample in SAMPLES:
        found = artifact.run("forward", {"image": picture(artifact, sample), "thresholds": np.zeros(3, np.float32)})
        expected = max_softmax(torch.from_numpy(found["logits"])).numpy()
        assert np.abs(found["confidence"] - expected).max() <= 1e-6


@pytest.mark.parametrize("target", [target for target in EXECUTED if target != "coreml"])  # its pixels are 8-bit integers
def test_a_picture_that_is_no_number_goes_to_the_end(opened, target):
    artifact = opened[target]
    image = np.full(artifact.methods[0].inputs[0].shape, np.nan, np.float32)
    assert artifact.run("forward", {"image": image, "thresholds": np.zeros(3, np.float32)})["exit"].tolist() == [4]


@pytest.mark.parametrize("target", EXECUTED)
def test_an_artifact_follows_a_policy_where_eager_does(opened, tiny, target):
    artifact = opened[target]
    cases = eager_cases(tiny, method_sources(tiny.module, None), SAMPLES)
    # Between the fifth and the sixth surest of nine: nobody's confidence is at a threshold.
    sorted_ones = [np.sort(np.concatenate(cases[f"exit_{number}"].outputs["confidence"])) for number in (1, 2, 3)]
    asked = policy(thresholds=tuple(int(1e6 * float(row[4] + row[5]) / 2) for row in sorted_ones), model="chase-tiny")
    with torch.no_grad():
        eager = tiny.module(torch.from_numpy(np.concatenate([sample.tensor for sample in SAMPLES])), as_eager_policy(asked))
    got = artifact.run_early_exit(np.concatenate([picture(artifact, sample) for sample in SAMPLES]), asked)
    assert len(set(eager.exit.tolist())) >= 3
    assert got.exit.tolist() == eager.exit.tolist()
    limit = 2e-2 if target == "coreml" else 1e-4
    assert np.abs(got.logits - eager.logits.numpy()).max() <= limit * np.abs(eager.logits.numpy()).max()


def test_core_ai_decides_in_float32_in_half_precision_too(tmp_path):
    (written,) = edgekit.export("chase-tiny", targets=["coreai"], precision="fp16", early_exit="select", output_dir=tmp_path).artifacts
    artifact = edgekit.load_artifact(written.path)
    thresholds = np.array([-math.inf, 0, 0], np.float32)
    found = artifact.run("forward", {"image": SAMPLES[0].tensor, "thresholds": thresholds})
    assert np.abs(found["confidence"] - max_softmax(torch.from_numpy(found["logits"])).numpy()).max() <= 1e-6
    for threshold, number in ((found["confidence"][0], 1), (np.nextafter(found["confidence"][0], np.float32(2)), 2)):
        thresholds[0] = threshold
        assert artifact.run("forward", {"image": SAMPLES[0].tensor, "thresholds": thresholds})["exit"].tolist() == [number]


def test_a_policy_for_one_exit(opened):
    artifact = opened["onnx"]
    images = np.concatenate([sample.tensor for sample in SAMPLES[:3]])
    for number in range(1, 5):
        got = artifact.run_early_exit(images, policy(kind="anytime", thresholds=None, exit=number))
        assert got.exit.tolist() == [number] * 3


@pytest.mark.parametrize("changes", [{"kind": "patience", "thresholds": None, "patience": 2}, {"kind": "entropy"}, {"temperatures": (2.0, 2.0, 2.0)}])
def test_a_policy_that_the_graph_does_not_follow_is_neither_run_nor_stored(opened, changes):
    artifact = opened["onnx"]
    with pytest.raises(PolicyError, match="chooses an exit itself"):
        artifact.run_early_exit(SAMPLES[0].tensor, policy(**changes))
    with pytest.raises(PolicyError, match="chooses an exit itself"):
        attach_policy([artifact.path], policy(**changes))


def test_a_policy_for_another_number_of_exits(opened):
    with pytest.raises(PolicyError, match="another network"):
        opened["onnx"].run_early_exit(SAMPLES[0].tensor, policy(exits=3, thresholds=(1, 2)))


def test_the_manifest_has_the_exits_and_every_one_costs_all(exported):
    costs = read_manifest(exported["onnx"].path).document["early_exit"]["costs"]["macs"]
    assert len(costs) == 4
    assert len(set(costs)) == 1


@pytest.mark.parametrize("target", ["onnx", "tflite"])
def test_a_method_in_a_file_of_its_own(exported, tiny, target, tmp_path):
    cases = eager_cases(tiny, method_sources(tiny.module, None), SAMPLES)
    (artifact,) = edgekit.export("chase-tiny", targets=[target], early_exit="method=2", output_dir=tmp_path).artifacts
    assert (artifact.path.stem, artifact.methods, artifact.parity.verdict) == ("chase-tiny_32_fp32_method2", ("exit_2",), "pass")
    assert edgekit.verify(artifact.path).verdict == "pass"
    opened = edgekit.load_artifact(artifact.path)
    outputs = opened.run("exit_2", cases["exit_2"].inputs[0])
    assert outputs.keys() == cases["exit_2"].outputs.keys()
    assert np.abs(outputs["logits"] - cases["exit_2"].outputs["logits"][0]).max() <= 1e-4
    weights = [inspect_artifact(path).inspection.sections["weights"] for path in (artifact.path, exported[target].path)]
    assert weights[0] < 0.4 * weights[1]  # those of the other exits are not in it
    with pytest.raises(BadInputError, match="no exits to choose from"):
        opened.run_early_exit(SAMPLES[0].tensor, policy())


def test_a_method_that_is_not_there(tiny):
    with pytest.raises(UsageError, match="there is no exit 5"):
        method_sources(tiny.module, "method=5")
