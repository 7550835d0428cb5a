"""Policy files: what is written is read back, whole, and anything else is refused."""

import copy
import json

import pytest
from attrs import evolve

from edgekit.errors import OutputError, PolicyError
from edgekit.policy.costs import Costs
from edgekit.policy.policy import Fitted, Policy, place_file, policy_from_json, read_policy, write_policy
from edgekit.policy.replay import Outcome

POLICY = Policy(
    kind="max_softmax",
    model="chase-tiny",
    exits=4,
    classes=10,
    thresholds=(900_000, None, 0),
    temperatures=(1.5, 1.0, 0.25),
    costs=Costs(macs=(1, 2, 3, 4), ms=(0.5, 1.0, 1.5, 2.25)),
    fitted=Fitted(objective="budget_macs", limit=2.5, cost="macs", q=0.7, samples=4, labelled=True, calibrated=True, sha256="ab" * 32),
    expected=Outcome(
        counts=(1, 0, 2, 1),
        accuracy=0.75,
        exit_accuracy=(0.25, 0.5, 0.5, 1.0),
        leaver_accuracy=(1.0, None, 0.5, 1.0),
        macs=2.75,
        ms=1.4,
        bytes=None,
    ),
)
OTHERS = (
    Policy(kind="patience", exits=3, classes=2, patience=2),
    Policy(kind="anytime", exits=3, classes=2, exit=3),
    Policy(kind="entropy", exits=2, classes=2, thresholds=(1_000_000,)),
)


@pytest.mark.parametrize("policy", [POLICY, *OTHERS])
def test_written_and_read_back(tmp_path, policy):
    path = tmp_path / "new" / "policy.json"
    write_policy(policy, path)
    assert read_policy(path) == policy
    first = path.read_bytes()
    write_policy(read_policy(path), path)
    assert path.read_bytes() == first
    assert [file.name for file in path.parent.iterdir()] == ["policy.json"]


def test_what_the_file_says():
    document = POLICY.to_json()
    assert document["thresholds"] == [0.90000004, None, 0.0]
    assert document["thresholds_micro"] == [900_000, None, 0]
    assert document["costs"] == {"macs": [1, 2, 3, 4], "ms": [0.5, 1.0, 1.5, 2.25], "bytes": None}
    assert document["expected"]["shares"] == [0.25, 0.0, 0.5, 0.25]
    assert len(document["fingerprint"]) == 64


def test_the_fingerprint_is_of_model_exits_and_classes():
    other = {evolve(OTHERS[0], **change).fingerprint for change in ({}, {"model": "a"}, {"exits": 4}, {"classes": 3})}
    assert len(other) == 4
    assert evolve(OTHERS[0], patience=3).fingerprint in other


def changed(**members):
    return copy.deepcopy(POLICY.to_json()) | members


BAD = [
    ([], "is not a JSON object"),
    (changed(schema_version=2), "has schema version 2"),
    (changed(schema_version=True), "schema_version has to be an integer"),
    (changed(schema_version=None), "has schema version None"),
    (changed(threshold=1), r"unknown key 'threshold'"),
    ({key: value for key, value in POLICY.to_json().items() if key != "exits"}, "lacks exits"),
    (changed(kind="mood"), "unknown kind of policy 'mood'"),
    (changed(kind=3), "kind has to be a string"),
    (changed(kind="patience"), "lacks patience|has thresholds"),
    (changed(patience=2), "has patience"),
    (changed(exits=3), "thresholds_micro has 3 values"),
    (changed(exits=-1), "needs 0"),
    (changed(exits=4.0), "exits has to be an integer"),
    (changed(model="other"), "fingerprint"),
    (changed(classes=11), "fingerprint"),
    (changed(thresholds=[0.9, None, 0.0]), "thresholds and thresholds_micro of p.json differ"),
    (changed(thresholds_micro=[900_000, None]), "thresholds_micro has 2 values"),
    (changed(thresholds_micro=[900_000, None, 1_000_001]), "the threshold of exit 3 is 1000001"),
    (changed(thresholds_micro=[900_000, None, -1]), "the threshold of exit 3 is -1"),
    (changed(thresholds_micro=[0.9, None, 0]), "integers and nulls"),
    (changed(thresholds_micro=[True, None, 0]), "integers and nulls"),
    (changed(thresholds_micro=None), "lacks thresholds"),
    (changed(temperatures=[1.0]), "temperatures has 1 values"),
    (changed(temperatures=[1.0, 0.0, 1.0]), "the temperature of exit 2 is 0.0"),
    (changed(temperatures=[1.0, "1", 1.0]), "temperatures has to be a number"),
    (changed(costs={"macs": [1, 2, 3, 4], "ms": None}), "costs of p.json lacks bytes"),
    (changed(costs={"macs": [1, 2, 3], "ms": None, "bytes": None}), "macs has 3 values"),
    (changed(costs={"macs": [1, 2, 4, 3], "ms": None, "bytes": None}), "fall from one exit to the next"),
    (changed(fitted=POLICY.to_json()["fitted"] | {"labelled": 1}), "labelled has to be true or false"),
    (changed(fitted=POLICY.to_json()["fitted"] | {"objective": "luck"}), "unknown objective"),
    (changed(expected=POLICY.to_json()["expected"] | {"shares": [1.0, 0, 0, 0]}), "shares are not those of counts"),
    (changed(expected=POLICY.to_json()["expected"] | {"counts": [0, 0, 0, 0]}), "not those of samples"),
    (changed(expected=POLICY.to_json()["expected"] | {"leaver_accuracy": ["a", None, 1, 1]}), "numbers and nulls"),
]


@pytest.mark.parametrize(("document", "told"), BAD)
def test_damaged_policies_are_refused(document, told):
    with pytest.raises(PolicyError, match=told):
        policy_from_json(document, "p.json")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is not a policy"),
        ("{", "is not a policy"),
        ("[" * 100_000, "is not a policy"),
        ('{"exits": 1, "exits": 2}', "stands there twice"),
        (json.dumps(changed(temperatures=[float("nan")] * 3)), "NaN is not JSON"),
        (json.dumps(changed(temperatures=[float("inf")] * 3)), "Infinity is not JSON"),
        (json.dumps(changed()).replace("1.5", "1e999"), "has to be a number"),
    ],
)
def test_texts_that_are_no_policy_are_refused(tmp_path, text, told):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(PolicyError, match=told):
        read_policy(tmp_path / "p.json")


def test_missing_and_huge_files_are_refused(tmp_path):
    with pytest.raises(PolicyError, match="cannot read"):
        read_policy(tmp_path / "p.json")
    with (tmp_path / "p.json").open("wb") as stream:
        stream.truncate(17 * 1024 * 1024)
    with pytest.raises(PolicyError, match="too large"):
        read_policy(tmp_path / "p.json")


def test_a_failed_write_keeps_the_old_file(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").write_text("old")
    with pytest.raises(OutputError, match="cannot write taken"):
        place_file(tmp_path / "taken", b"new")
    with pytest.raises(OutputError, match="cannot write to"):
        place_file(tmp_path / "file" / "policy.json", b"new")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "taken"]


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"kind": "max_softmax", "thresholds": (1,)}, "1 thresholds for 3 exits"),
        ({"kind": "max_softmax"}, "lacks thresholds"),
        ({"kind": "patience", "patience": 1}, "a patience of 1"),
        ({"kind": "patience", "patience": 2, "temperatures": (1.0, 1.0)}, "has temperatures"),
        ({"kind": "anytime", "exit": 4}, "there is no exit 4"),
        ({"kind": "anytime", "exit": 1, "exits": 1}, "1 exits and 10 classes"),
        ({"kind": "anytime", "exit": 1, "costs": Costs(macs=(1, 2))}, "2 costs in macs for 3 exits"),
    ],
)
def test_contradictions_are_refused(members, told):
    with pytest.raises(PolicyError, match=told):
        Policy(**{"exits": 3, "classes": 10} | members)
