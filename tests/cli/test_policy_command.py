"""``edgekit policy`` from the command line."""

import json
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from edgekit.policy.policy import read_policy

POLICY = {
    "schema_version",
    "kind",
    "model",
    "exits",
    "classes",
    "fingerprint",
    "thresholds",
    "thresholds_micro",
    "temperatures",
    "patience",
    "exit",
    "costs",
    "fitted",
    "expected",
}


def drawn(seed, samples=600):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, samples)
    values = rng.standard_normal((4, samples, 10)).astype(np.float32)
    ease = rng.normal(1.5, 1.5, samples)
    for k in range(4):
        values[k, np.arange(samples), labels] += ease + 0.7 * k
    return {"logits": values, "labels": labels}


@pytest.fixture
def val(tmp_path):
    np.savez(tmp_path / "val.npz", **drawn(0))
    return tmp_path / "val.npz"


@pytest.fixture
def held_out(tmp_path):
    np.savez(tmp_path / "test.npz", **drawn(1))
    return tmp_path / "test.npz"


@pytest.fixture
def fitted(cli, val, tmp_path):
    path = tmp_path / "policy.json"
    ran = cli("policy", "fit", "--logits", val, "--model", "chase-tiny", "--budget-macs", "1.5e6", "-o", path)
    assert ran.code == 0, ran.err
    return path


def test_fit_writes_a_policy_and_prints_one_document(cli, val, tmp_path):
    path = tmp_path / "policy.json"
    ran = cli("policy", "fit", "--logits", val, "--model", "chase-tiny", "--budget-macs", "1.5e6", "-o", path, "--json")
    assert ran.code == 0, ran.err
    document = ran.document()
    assert document.keys() == {"schema_version", "command", "path", "artifacts", "plot", "policy", "curve"}
    assert (document["schema_version"], document["command"], document["path"], document["plot"]) == (1, "policy fit", str(path), None)
    assert document["policy"] == json.loads(path.read_text())
    assert document["policy"].keys() == POLICY
    policy = read_policy(path)
    assert (policy.model, policy.kind, policy.exits, policy.classes) == ("chase-tiny", "max_softmax", 4, 10)
    assert policy.costs.macs == (864_832, 1_255_296, 1_563_232, 3_318_848)
    assert 1.49e6 < policy.expected.macs <= 1.5e6
    assert (policy.fitted.samples, policy.fitted.labelled, policy.fitted.calibrated) == (600, True, False)
    assert document["curve"]["cost"] == "macs"
    assert document["curve"]["points"][0]["cost"] == 864_832
    assert all(point.keys() == {"at", "cost", "accuracy"} for point in document["curve"]["points"])


def test_the_same_request_gives_the_same_bytes(cli, val, fitted, tmp_path):
    cli("policy", "fit", "--logits", val, "--model", "chase-tiny", "--budget-macs", "1.5e6", "-o", tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == fitted.read_bytes()


def test_for_people_a_line_an_exit(cli, fitted, held_out):
    ran = cli("policy", "apply", "--policy", fitted, "--logits", held_out)
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0].split("  ")[0] == "exit"
    assert "max softmax >= 0." in lines[1]
    assert "always" in lines[4]
    assert lines[5].startswith("policy")
    assert "600 samples" in lines[-1]
    assert "fitted: " in lines[-1]


def test_apply_replays_and_compares_with_every_single_exit(cli, fitted, held_out, val):
    document = cli("policy", "apply", "--policy", fitted, "--logits", held_out, "--json").document()
    wanted = "schema_version command path plot kind model samples logits_sha256 outcome expected single_exits curve"
    assert document.keys() == set(wanted.split())
    assert document["samples"] == sum(document["outcome"]["counts"]) == 600
    assert document["expected"] == json.loads(fitted.read_text())["expected"]
    assert document["outcome"] != document["expected"]
    data = np.load(held_out)
    alone = (data["logits"].argmax(2) == data["labels"]).mean(1)
    assert [row["accuracy"] for row in document["single_exits"]] == pytest.approx(alone.tolist())
    assert [row["macs"] for row in document["single_exits"]] == [864_832, 1_255_296, 1_563_232, 3_318_848]
    same = cli("policy", "apply", "--policy", fitted, "--logits", val, "--json").document()
    assert same["outcome"] == same["expected"]
    assert same["logits_sha256"] == json.loads(fitted.read_text())["fitted"]["sha256"]


@pytest.mark.parametrize(
    ("options", "check"),
    [
        (("--costs", "1,2,3,9", "--budget-macs", "2.5"), lambda p: p.expected.macs <= 2.5 and p.model is None),
        (("--costs-ms", "1,2,3,4", "--budget-ms", "2"), lambda p: p.expected.ms <= 2 and p.fitted.cost == "ms" and p.expected.macs is None),
        (("--costs", "1,2,3,9", "--target-accuracy", "0.8", "--kind", "entropy"), lambda p: p.expected.accuracy >= 0.8 and p.kind == "entropy"),
        (("--costs", "1,2,3,9", "--costs-ms", "1,2,3,4", "--target-accuracy", "0.8"), lambda p: p.fitted.cost == "ms"),
        (("--costs", "1,2,3,9", "--budget-macs", "4", "--kind", "max-softmax", "--calibrate", "temperature"), lambda p: len(p.temperatures) == 3),
        (("--model", "mine", "--costs", "1,2,3,9", "--budget-macs", "4", "--kind", "margin"), lambda p: p.model == "mine"),
        (
            ("--model", "chase-tiny", "--costs", "1,2,3,9", "--budget-macs", "8", "--kind", "patience"),
            lambda p: p.patience >= 2 and p.costs.macs[3] == 9,
        ),
        (("--costs", "1,2,3,9", "--budget-macs", "4", "--kind", "anytime"), lambda p: p.exit == 3),
    ],
)
def test_every_objective_and_kind(cli, val, tmp_path, options, check):
    ran = cli("policy", "fit", "--logits", val, "-o", tmp_path / "p.json", *options)
    assert ran.code == 0, ran.err
    assert check(read_policy(tmp_path / "p.json"))


def test_costs_in_the_file(cli, tmp_path):
    np.savez(tmp_path / "val.npz", costs_macs=np.array([10, 20, 30, 40]), logits=drawn(0)["logits"])
    ran = cli("policy", "fit", "--logits", tmp_path / "val.npz", "--budget-macs", "25", "-o", tmp_path / "p.json")
    assert ran.code == 0, ran.err
    policy = read_policy(tmp_path / "p.json")
    assert (policy.costs.macs, policy.expected.accuracy, policy.expected.exit_accuracy) == ((10, 20, 30, 40), None, None)
    assert "right %" not in ran.out


def test_plots_say_what_they_show_and_are_the_same_again(cli, fitted, held_out, tmp_path):
    for name in ("a.svg", "b.svg", "c.png"):
        assert cli("policy", "apply", "--policy", fitted, "--logits", held_out, "--plot", tmp_path / name).code == 0
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    text = " ".join(ET.parse(tmp_path / "a.svg").getroot().itertext())
    for words in (
        "top-1 accuracy (%)",
        "mean multiply-adds per image (MMACs)",
        "samples that leave here (%)",
        "one exit for all",
        "chase-tiny: max softmax policy on 600 replayed samples",
    ):
        assert words in text
    with Image.open(tmp_path / "c.png") as image:
        assert image.width > 1000


def test_a_plot_without_labels_shows_where_samples_leave(cli, fitted, tmp_path):
    np.savez(tmp_path / "bare.npz", logits=drawn(2)["logits"])
    assert cli("policy", "apply", "--policy", fitted, "--logits", tmp_path / "bare.npz", "--plot", tmp_path / "p.svg").code == 0
    text = (tmp_path / "p.svg").read_text()
    assert "samples that leave here" in text
    assert "accuracy" not in text


@pytest.mark.parametrize(
    ("code", "options", "told"),
    [
        (2, (), "say what the policy has to keep"),
        (2, ("--budget-macs", "1", "--budget-ms", "1"), "say what the policy has to keep"),
        (2, ("--budget-macs", "-1"), "--budget-macs -1 makes no sense"),
        (2, ("--budget-macs", "inf"), "--budget-macs inf makes no sense"),
        (2, ("--budget-ms", "nan"), "--budget-ms nan makes no sense"),
        (2, ("--target-accuracy", "77"), "--target-accuracy 77 makes no sense"),
        (2, ("--budget-macs", "1"), "the MACs of the exits are not known"),
        (2, ("--budget-ms", "1", "--model", "chase-tiny"), "the ms of the exits are not known"),
        (2, ("--budget-macs", "1", "--kind", "luck"), "luck"),
        (2, ("--budget-macs", "2", "--costs", "1,2,3,4", "--plot", "p.pdf"), "cannot plot to p.pdf"),
        (2, ("--budget-macs", "2", "--costs", "1,2,3,4", "--kind", "patience", "--calibrate", "temperature"), "is not calibrated"),
        (3, ("--budget-macs", "1", "--model", "chase-imagenet"), "7 costs in macs for 4 exits"),
        (3, ("--budget-macs", "1", "--model", "emov2-5m"), "emov2-5m has no early exits"),
        (3, ("--budget-macs", "1", "--costs", "none.json"), "cannot read none.json"),
        (3, ("--budget-macs", "1", "--costs", "4,3,2,1"), "fall from one exit to the next"),
        (3, ("--budget-macs", "1", "--costs", "1,nan,3,4"), "not finite"),
        (3, ("--budget-macs", "1", "--artifact", "none.pte"), "none.pte has no manifest"),
        (6, ("--budget-macs", "0.5", "--costs", "1,2,3,4"), "the cheapest needs 1 MACs"),
        (6, ("--target-accuracy", "1", "--costs", "1,2,3,4"), "the best found is"),
    ],
)
def test_refusals(refused, val, tmp_path, code, options, told):
    assert told in refused(code, "policy", "fit", "--logits", val, "-o", tmp_path / "p.json", *options)
    assert not (tmp_path / "p.json").exists()


def test_bad_files_end_with_3(refused, fitted, held_out, tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 nothing")
    assert "cannot read bad.npz" in refused(3, "policy", "apply", "--policy", fitted, "--logits", tmp_path / "bad.npz")
    document = json.loads(fitted.read_text())
    bad = tmp_path / "bad.json"
    for change, told in (
        ({"model": "chase-cifar10"}, "fingerprint"),
        ({"thresholds_micro": [1, 2]}, "thresholds_micro has 2 values"),
        ({"thresholds": [float("nan")] * 3}, "NaN is not JSON"),
        ({"extra": 1}, "unknown key 'extra'"),
    ):
        bad.write_text(json.dumps(document | change))
        assert told in refused(3, "policy", "apply", "--policy", bad, "--logits", held_out)
    np.savez(tmp_path / "other.npz", logits=np.zeros((3, 5, 10), dtype=np.float32))
    assert "for another network" in refused(3, "policy", "apply", "--policy", fitted, "--logits", tmp_path / "other.npz")
    assert "it is for chase-tiny" in refused(3, "policy", "apply", "--policy", fitted, "--logits", held_out, "--model", "chase-cifar10")


def test_an_output_that_cannot_be_written_is_refused_before_the_logits_are_read(refused, val, tmp_path):
    told = refused(3, "policy", "fit", "--logits", tmp_path / "none.npz", "-o", val / "p.json", "--costs", "1,2,3,4", "--budget-macs", "2")
    assert "cannot write to" in told


def test_an_error_with_json_is_one_document(cli, val, tmp_path):
    ran = cli("policy", "fit", "--logits", val, "-o", tmp_path / "p.json", "--costs", "1,2,3,4", "--budget-macs", "0.5", "--json")
    assert ran.code == 6
    assert ran.document()["error"]["kind"] == "BudgetError"


def test_help_has_examples(cli):
    assert "edgekit policy fit --logits val.npz --model chase-imagenet --budget-macs 1.0e9" in cli("policy", "--help").out
    for command, example in (("fit", "--"), ("apply", "--"), ("attach", "net.tflite")):
        ran = cli("policy", command, "--help")
        assert ran.code == 0
        assert f"edgekit policy {command} {example}" in ran.out


def test_a_plot_without_matplotlib_says_what_to_install(refused, monkeypatch, val, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    told = refused(
        2, "policy", "fit", "--logits", val, "-o", tmp_path / "p.json", "--costs", "1,2,3,4", "--budget-macs", "2", "--plot", tmp_path / "p.svg"
    )
    assert "edgekit[plot]" in told
