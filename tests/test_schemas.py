"""The JSON schemas for other languages: what edgekit writes is valid, and what it refuses to read is not, where a schema can tell."""

import copy
import json
from importlib import resources

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from edgekit.policy.costs import Costs
from edgekit.policy.policy import Fitted, Policy
from edgekit.policy.replay import Outcome
from edgekit.policy.section import ExitSection

NAMES = ("policy", "early_exit")
DOCUMENTS = {name: json.loads((resources.files("edgekit") / "schemas" / f"{name}.schema.json").read_text()) for name in NAMES}
REGISTRY = Registry().with_resources((document["$id"], Resource.from_contents(document)) for document in DOCUMENTS.values())
COSTS = Costs(macs=(1, 2, 3, 4), ms=(0.5, 1.0, 1.5, 2.25))
FULL = Policy(
    kind="max_softmax",
    model="chase-tiny",
    exits=4,
    classes=10,
    thresholds=(900_000, None, 0),
    temperatures=(1.5, 1.0, 0.25),
    costs=COSTS,
    fitted=Fitted(objective="budget_macs", limit=2.5, cost="macs", q=0.7, samples=4, labelled=True, calibrated=True, sha256="ab" * 32),
    expected=Outcome(
        counts=(1, 0, 2, 1), accuracy=0.75, exit_accuracy=(0.25, 0.5, 0.5, 1.0), leaver_accuracy=(1.0, None, 0.5, 1.0), macs=2.75, ms=1.4, bytes=None
    ),
)
POLICIES = (
    FULL,
    Policy(kind="patience", exits=3, classes=2, patience=2),
    Policy(kind="anytime", exits=3, classes=2, exit=3),
    Policy(kind="entropy", exits=2, classes=2, thresholds=(1_000_000,)),
)


def errors(name, document):
    validator = Draft202012Validator(DOCUMENTS[name], registry=REGISTRY)
    return [error.message for error in validator.iter_errors(json.loads(json.dumps(document)))]


@pytest.mark.parametrize("name", NAMES)
def test_they_are_schemas(name):
    Draft202012Validator.check_schema(DOCUMENTS[name])


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.kind)
def test_what_is_written_is_valid(policy):
    assert errors("policy", policy.to_json()) == []
    assert errors("early_exit", ExitSection(confidence="max_softmax", costs=COSTS, policy=policy).to_json()) == []


def test_what_the_command_line_fits_is_valid(cli, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "val.npz", logits=rng.standard_normal((4, 300, 10)).astype(np.float32), labels=rng.integers(0, 10, 300))
    for kind in ("max-softmax", "patience", "anytime"):
        file = tmp_path / f"{kind}.json"
        ran = cli("policy", "fit", "--logits", tmp_path / "val.npz", "--model", "chase-tiny", "--budget-macs", "3e6", "--kind", kind, "-o", file)
        assert ran.code == 0, ran.err
        assert errors("policy", json.loads(file.read_text())) == []


def test_a_section_without_a_policy_and_an_artifact_without_exits_are_valid():
    assert errors("early_exit", ExitSection(confidence=None).to_json()) == []
    assert errors("early_exit", None) == []


def test_every_member_is_described():
    """An empty list of required or allowed members would let everything through."""
    document = DOCUMENTS["policy"]
    assert set(document["required"]) == set(document["properties"]) == set(FULL.to_json())
    for member in ("fitted", "expected"):
        row = document["properties"][member]["anyOf"][1]
        assert set(row["required"]) == set(row["properties"]) == set(FULL.to_json()[member])


BAD = [
    ("schema_version", 2),
    ("kind", "mood"),
    ("model", 7),
    ("exits", 1),
    ("classes", 2.5),
    ("fingerprint", "abc"),
    ("thresholds_micro", None),
    ("thresholds_micro", [1_000_001, None, 0]),
    ("thresholds_micro", [0.9, None, 0]),
    ("temperatures", [0, 1, 1]),
    ("patience", 2),
    ("exit", 1),
    ("costs", {"macs": None, "ms": None}),
    ("costs", {"macs": [0, 1], "ms": None, "bytes": None}),
    ("fitted", {}),
    ("expected", {"accuracy": 2}),
]


@pytest.mark.parametrize(("member", "value"), BAD)
def test_what_is_refused_is_not_valid(member, value):
    assert errors("policy", FULL.to_json() | {member: value})
    whole = copy.deepcopy(FULL.to_json())
    del whole[member]
    assert errors("policy", whole)
    assert errors("policy", FULL.to_json() | {"extra": 1})


@pytest.mark.parametrize(
    "change",
    [
        {"reads": None},
        {"reads": "mood"},
        {"policy": None},
        {"policy": {"kind": "max_softmax"}},
        {"costs": None},
        {"confidence": 7},
        {"extra": 1},
    ],
)
def test_a_section_that_is_refused_is_not_valid(change):
    section = ExitSection(confidence="max_softmax", costs=COSTS, policy=FULL).to_json()
    assert errors("early_exit", section) == []
    assert errors("early_exit", section | change)
