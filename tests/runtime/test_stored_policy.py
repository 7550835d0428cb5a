"""A policy in an artifact's manifest: stored in one step, read strictly, and what decides if an app brings none."""

import json
import shutil
import threading

import numpy as np
import pytest
import torch

import edgekit
from edgekit.artifact import digest, manifest_path, read_manifest
from edgekit.errors import ArtifactError, BadInputError, PolicyError
from edgekit.models.registry import model_entry
from edgekit.models.source import load_source
from edgekit.policy.decide import as_eager_policy
from edgekit.policy.policy import Policy, read_policy, write_policy
from edgekit.policy.section import ExitSection, policy_in, read_section, reads
from edgekit.runtime.attach import attach_policy
from edgekit.verification.samples import verification_samples


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exits")
    made = [edgekit.export("chase-tiny", targets=["executorch"], early_exit=form, output_dir=folder) for form in ("methods", "all", "last")]
    return dict(zip(("methods", "all", "last"), [result.artifacts[0].path for result in made], strict=True))


@pytest.fixture
def artifact(exported, tmp_path):
    """Return copies of an artifact and its manifest, to do anything with."""

    def copy(form="methods", name=None):
        place = tmp_path / (name or exported[form].name)
        shutil.copy(exported[form], place)
        shutil.copy(manifest_path(exported[form]), manifest_path(place))
        return place

    return copy


@pytest.fixture(scope="module")
def images():
    return np.concatenate([sample.tensor for sample in verification_samples(load_source("chase-tiny").preprocessing)])


@pytest.fixture(scope="module")
def thresholds(images):
    """Micro-units between the middle samples' confidences, so that samples leave everywhere and none is at a threshold."""
    network = load_source("chase-tiny").module
    found = []
    with torch.no_grad():
        features = (torch.from_numpy(images),)
        for stage in network.exit_stages():
            logits, features = stage(features)
            sure = sorted(torch.softmax(logits, 1).amax(1).tolist())
            found.append(int(1e6 * (sure[5] + sure[6]) / 2))
    return tuple(found[:3])


def policy(thresholds=(1, 2, 3), **changes):
    fields = {"kind": "max_softmax", "model": "chase-tiny", "exits": 4, "classes": 10, "thresholds": thresholds}
    return Policy(**fields | changes)


PATIENCE = {"kind": "patience", "thresholds": None, "patience": 2}
ANYTIME = {"kind": "anytime", "thresholds": None, "exit": 3}
CALIBRATED = {"temperatures": (0.5, 0.8, 2.0)}


def test_an_export_says_what_its_exits_cost_and_that_nobody_has_given_it_a_policy(exported):
    name, section = read_section(exported["methods"])
    assert (name, section.confidence, section.policy) == ("chase-tiny", "max_softmax", None)
    assert section.costs.macs == model_entry("chase-tiny").exit_macs
    assert section.costs.bytes[-1] == 4 * model_entry("chase-tiny").parameters
    assert list(section.costs.bytes) == sorted(set(section.costs.bytes))
    _, together = read_section(exported["all"])
    assert together.costs.macs == (section.costs.macs[-1],) * 4  # all of it is always computed
    with pytest.raises(ArtifactError, match="has no exits"):
        read_section(exported["last"])


@pytest.mark.parametrize(
    ("changes", "decided_by"),
    [({}, "confidence"), ({"kind": "entropy"}, "logits"), (CALIBRATED, "logits"), (PATIENCE, "logits"), (ANYTIME, "nothing")],
)
@pytest.mark.parametrize("form", ["methods", "all"])
def test_what_is_stored_decides_as_eager_does(artifact, thresholds, images, form, changes, decided_by):
    asked = policy(**{"thresholds": thresholds} | changes)
    path = artifact(form)
    before = digest(path)
    attach_policy([path], asked)
    assert digest(path) == before
    document = read_manifest(path).document["early_exit"]
    assert (document["reads"], document["policy"]) == (decided_by, asked.to_json())
    got = edgekit.load_artifact(path).run_early_exit(images)
    with torch.no_grad():
        eager = load_source("chase-tiny").module(torch.from_numpy(images), as_eager_policy(asked))
    assert got.exit.tolist() == eager.exit.tolist()
    assert np.abs(got.logits - eager.logits.numpy()).max() <= 1e-4 * float(eager.logits.abs().max())
    if asked.thresholds is not None and decided_by == "confidence":
        assert set(got.exit.tolist()) == {1, 2, 3, 4}


def test_a_policy_of_ones_own_is_taken_instead(artifact, images, thresholds):
    path = artifact()
    attach_policy([path], policy(thresholds))
    opened = edgekit.load_artifact(path)
    assert set(opened.run_early_exit(images, policy(**ANYTIME)).exit.tolist()) == {3}


def test_a_graph_whose_confidence_is_not_known_is_decided_from_its_logits():
    assert reads(policy(), None) == reads(policy(kind="margin"), "max_softmax") == "logits"
    assert reads(policy(kind="margin"), "margin") == "confidence"


def test_without_a_policy_there_is_no_answer(exported, images):
    with pytest.raises(PolicyError, match="holds no policy") as caught:
        edgekit.load_artifact(exported["methods"]).run_early_exit(images)
    assert "edgekit policy attach" in caught.value.hint
    with pytest.raises(PolicyError, match="holds no policy"):
        policy_in(exported["methods"])
    with pytest.raises(BadInputError, match="no exits to choose from"):
        edgekit.load_artifact(exported["last"]).run_early_exit(images)


@pytest.mark.parametrize(
    "images",
    [np.zeros((3, 32, 32), np.float32), np.zeros((0, 3, 32, 32), np.float32), [[1.0]]],
)
def test_what_is_no_batch_of_images(exported, images):
    with pytest.raises(BadInputError, match="images"):
        edgekit.load_artifact(exported["methods"]).run_early_exit(images, policy())


def test_images_of_another_size(exported):
    with pytest.raises(edgekit.errors.UsageError, match=r"shape \(1, 3, 16, 16\)"):
        edgekit.load_artifact(exported["methods"]).run_early_exit(np.zeros((1, 3, 16, 16), np.float32), policy())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": "chase-cifar10"}, "the artifact is of chase-tiny"),
        ({"exits": 3, "thresholds": (1, 2)}, "the artifact has 4 exits"),
        ({"classes": 100}, "and 10 classes"),
    ],
)
def test_a_policy_for_another_network_changes_nothing(artifact, changes, told):
    good, other = artifact(name="good.pte"), artifact()
    before = manifest_path(good).read_bytes()
    with pytest.raises(PolicyError) as caught:
        attach_policy([good, other], policy(**changes))
    assert told in str(caught.value)
    assert (caught.value.exit_code, manifest_path(good).read_bytes()) == (3, before)


def test_an_artifact_without_exits_or_manifest(artifact, tmp_path):
    with pytest.raises(ArtifactError, match="has no exits"):
        attach_policy([artifact("last")], policy())
    (tmp_path / "bare.pte").write_bytes(b"x")
    with pytest.raises(ArtifactError, match="has no manifest"):
        attach_policy([tmp_path / "bare.pte"], policy())


def test_an_artifact_that_was_replaced(artifact):
    path = artifact()
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ArtifactError, match="not the artifact its manifest describes"):
        attach_policy([path], policy())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda section: section | {"extra": 1}, "unknown key 'extra'"),
        (lambda section: [section], "is not a JSON object"),
        (lambda section: {key: value for key, value in section.items() if key != "reads"}, "lacks reads"),
        (lambda section: section | {"reads": "logits"}, "says that 'logits' decides"),
        (lambda section: section | {"confidence": 7}, "has to be a string"),
        (lambda section: section | {"costs": section["costs"] | {"macs": [4, 3, 2, 1]}}, "fall from one exit"),
        (lambda section: section | {"policy": section["policy"] | {"thresholds_micro": [1, 2]}}, "thresholds_micro has 2 values"),
        (lambda section: section | {"policy": section["policy"] | {"thresholds_micro": [1, 2, 1_000_001]}}, "the threshold of exit 3"),
        (lambda section: section | {"policy": policy(model="chase-cifar10").to_json()}, "the artifact is of chase-tiny"),
        (lambda section: section | {"policy": policy(exits=3, thresholds=(1, 2)).to_json()}, "the artifact has 4 exits"),
    ],
)
def test_a_section_that_was_edited_is_refused(artifact, change, told):
    path = artifact()
    attach_policy([path], policy())
    document = json.loads(manifest_path(path).read_text())
    manifest_path(path).write_text(json.dumps(document | {"early_exit": change(document["early_exit"])}))
    with pytest.raises(PolicyError) as caught:
        edgekit.load_artifact(path)
    assert told in str(caught.value)


def test_a_threshold_that_is_no_number_is_no_json(artifact):
    path = artifact()
    attach_policy([path], policy((333_333, 2, 3)))
    text = manifest_path(path).read_text()
    assert text.count("333333,") == 1
    manifest_path(path).write_text(text.replace("333333,", "NaN,"))
    with pytest.raises(PolicyError, match="integers and nulls"):
        edgekit.load_artifact(path)


def test_the_manifest_is_replaced_in_one_step_and_nothing_else_changes(artifact):
    path = artifact()
    before = json.loads(manifest_path(path).read_text())
    stop, torn = threading.Event(), []

    def read():
        while not stop.is_set():
            try:
                read_manifest(path)
            except ArtifactError as error:
                torn.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(40):
        attach_policy([path], policy((number, 2, 3)))
    stop.set()
    reader.join()
    assert not torn
    after = json.loads(manifest_path(path).read_text())
    assert after.pop("early_exit")["policy"]["thresholds_micro"] == [39, 2, 3]
    assert before.pop("early_exit")["policy"] is None
    assert after == before
    assert sorted(file.name for file in path.parent.iterdir()) == sorted([path.name, manifest_path(path).name])


def test_a_policy_is_read_out_of_a_manifest_as_from_a_file(artifact, tmp_path):
    path = artifact()
    write_policy(policy(), tmp_path / "policy.json")
    attach_policy([path], policy_in(tmp_path / "policy.json"))
    assert policy_in(path) == read_policy(tmp_path / "policy.json") == policy()


def test_a_section_without_costs_is_one():
    assert ExitSection(confidence=None).to_json() == {
        "confidence": None,
        "costs": {"macs": None, "ms": None, "bytes": None},
        "thresholds": None,
        "reads": None,
        "policy": None,
    }
