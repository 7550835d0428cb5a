"""``edgekit policy`` and artifacts: what is stored in a manifest is what a policy file holds."""

import json

import numpy as np
import pytest

from edgekit.artifact import MANIFEST_SCHEMA, digest, manifest_path, write_manifest
from edgekit.policy.costs import Costs
from edgekit.policy.section import ExitSection, policy_in

MACS = (10, 20, 30, 40)


@pytest.fixture
def val(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "val.npz", logits=rng.standard_normal((4, 300, 10)).astype(np.float32), labels=rng.integers(0, 10, 300))
    return tmp_path / "val.npz"


@pytest.fixture
def made(tmp_path):
    """Make a file with a manifest that says it is of a network with four exits; storing a policy asks for no more."""

    def make(name="net.tflite", model="net.py:build", exits=4):
        path = tmp_path / name
        path.write_bytes(b"weights")
        logits = {"name": "logits", "dtype": "float32", "shape": [1, 10], "layout": "NC"}
        image = {"name": "image", "dtype": "float32", "shape": [1, 3, 32, 32], "layout": "NCHW"}
        section = ExitSection(confidence="max_softmax", costs=Costs(macs=MACS[:exits], bytes=MACS[:exits]))
        document = {
            "schema_version": MANIFEST_SCHEMA,
            "artifact": {"sha256": digest(path)},
            "model": {"name": model},
            "methods": [{"name": f"exit_{k}", "inputs": [image], "outputs": [logits]} for k in range(1, exits + 1)],
            "early_exit": section.to_json() if exits > 1 else None,
        }
        write_manifest(document, manifest_path(path))
        return path

    return make


def test_fit_stores_the_policy_by_the_costs_that_the_manifest_knows(cli, val, made, tmp_path):
    first, second = made(), made("net.pte")
    ran = cli("policy", "fit", "--logits", val, "--artifact", first, "--artifact", second, "--budget-macs", "25", "-o", tmp_path / "p.json", "--json")
    assert ran.code == 0, ran.err
    assert ran.document()["artifacts"] == [str(first), str(second)]
    assert policy_in(first) == policy_in(second) == policy_in(tmp_path / "p.json")
    found = policy_in(first)
    assert (found.model, found.costs.macs, found.costs.bytes) == ("net.py:build", MACS, MACS)
    assert 20 < found.expected.bytes == found.expected.macs <= 25
    assert json.loads(manifest_path(first).read_text())["early_exit"]["policy"] == json.loads((tmp_path / "p.json").read_text())
    assert first.read_bytes() == b"weights"


def test_a_file_is_not_needed_beside_an_artifact(cli, val, made):
    path = made()
    ran = cli("policy", "fit", "--logits", val, "--artifact", path, "--budget-macs", "25", "--kind", "entropy", "--calibrate", "temperature")
    assert ran.code == 0, ran.err
    assert f"stored the policy in the manifest of {path}" in ran.err
    section = json.loads(manifest_path(path).read_text())["early_exit"]
    assert (section["policy"]["kind"], section["reads"], len(section["policy"]["temperatures"])) == ("entropy", "logits", 3)


def test_attach_and_apply(cli, val, made, tmp_path):
    file, first, second = tmp_path / "p.json", made(), made("net.pte")
    assert cli("policy", "fit", "--logits", val, "--model", "net.py:build", "--costs", "10,20,30,40", "--budget-macs", "25", "-o", file).code == 0
    ran = cli("policy", "attach", first, second, "--policy", file, "--json")
    assert ran.code == 0, ran.err
    assert ran.document()["policy"] == json.loads(file.read_text())
    assert ran.document()["artifacts"] == [str(first), str(second)]
    applied = [cli("policy", "apply", "--policy", path, "--logits", val, "--json").document() for path in (file, second)]
    assert applied[0]["outcome"] == applied[1]["outcome"] == applied[0]["expected"]
    assert cli("policy", "attach", made("third.pte"), "--policy", second).code == 0
    assert policy_in(tmp_path / "third.pte") == policy_in(file)


@pytest.mark.parametrize(
    ("code", "artifact", "options", "told"),
    [
        (2, {}, ("--model", "chase-tiny"), "--model chase-tiny and --artifact are of two models"),
        (3, {"exits": 3}, (), "the artifact has 3 exits"),
        (3, {"exits": 1}, (), "has no exits"),
    ],
)
def test_refusals(refused, val, made, code, artifact, options, told):
    path = made(**artifact)
    before = manifest_path(path).read_bytes()
    assert told in refused(code, "policy", "fit", "--logits", val, "--artifact", path, "--budget-macs", "25", *options)
    assert manifest_path(path).read_bytes() == before


def test_artifacts_of_several_models(refused, val, made):
    paths = ("--artifact", made(), "--artifact", made("other.pte", model="chase-tiny"))
    assert "of several models" in refused(3, "policy", "fit", "--logits", val, *paths, "--budget-macs", "25")


def test_a_policy_has_to_go_somewhere(refused, val):
    assert "say where the policy goes" in refused(2, "policy", "fit", "--logits", val, "--budget-macs", "25")


def test_a_policy_for_another_network_is_not_attached(refused, cli, val, made, tmp_path):
    file = tmp_path / "p.json"
    assert cli("policy", "fit", "--logits", val, "--model", "chase-tiny", "--budget-macs", "2e6", "-o", file).code == 0
    assert "the artifact is of net.py:build" in refused(3, "policy", "attach", made(), "--policy", file)
    assert "cannot read none.json" in refused(3, "policy", "attach", made(), "--policy", tmp_path / "none.json")
    assert "holds no policy" in refused(3, "policy", "attach", made(), "--policy", made("empty.pte"))
