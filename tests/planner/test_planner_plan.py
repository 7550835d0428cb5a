import json
from importlib import resources

import attrs
import pytest
from jsonschema import Draft202012Validator

from edgekit.errors import BadInputError
from edgekit.planner.groups import Group
from edgekit.planner.plan import Decision, Plan, read_plan

ROWS = (
    Decision(method="forward", path="stem", kind="conv", nodes=1, quantized=True, sqnr_db=41.5),
    Decision(method="forward", path="norm", kind="norm", nodes=2, quantized=False, why="no such operator", cost_ms=0.5),
    Decision(method="forward", path="head", kind="linear", nodes=1, quantized=False, why="alone 9 dB", weight_bits=8, cost_ms=1.5),
)
PLAN = Plan(model="net", target="tflite", precision="w8a8", limit={"kind": "sqnr_db", "value": 20.0}, expected_sqnr_db=22.0, groups=ROWS)
GROUPS = (
    Group(method="forward", path="stem", kind="conv", nodes=("conv2d",)),
    Group(method="forward", path="norm", kind="norm", nodes=("rsqrt", "layer_norm")),
    Group(method="forward", path="head", kind="linear", nodes=("linear",)),
)
FOR = {"model": "net", "target": "tflite", "precision": "w8a8"}


@pytest.fixture
def file(tmp_path):
    def write(document):
        (tmp_path / "plan.json").write_text(document if isinstance(document, str) else json.dumps(document))
        return tmp_path / "plan.json"

    return write


def test_a_plan_comes_back_as_it_was(file):
    assert read_plan(file(PLAN.to_json()), **FOR) == PLAN


def test_a_plan_is_what_its_schema_says():
    schema = json.loads((resources.files("edgekit") / "schemas" / "quantization_plan.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    document = json.loads(json.dumps(PLAN.to_json()))
    validator.validate(document)
    assert not validator.is_valid({**document, "more": 1})
    assert not validator.is_valid({**document, "groups": [{**document["groups"][0], "quantized": 1}]})


def test_a_manifest_holds_one(file):
    assert read_plan(file({"artifact": {}, "quantization": {"plan": PLAN.to_json(), "scheme": {}}}), **FOR) == PLAN


def test_what_stays_in_floats_by_node():
    assert PLAN.kept_float(GROUPS) == {"forward": frozenset({"rsqrt", "layer_norm", "linear"})}


def test_weights_that_are_stored_in_integers_all_the_same():
    assert PLAN.stored(GROUPS) == {"forward": frozenset({"linear"})}


def test_the_dearest_comes_first():
    assert [row.path for row in PLAN.blame] == ["head", "norm"]


@pytest.mark.parametrize(
    "groups", [GROUPS[:2], (*GROUPS, attrs.evolve(GROUPS[0], path="more")), (attrs.evolve(GROUPS[0], method="exit_1"), *GROUPS[1:])]
)
def test_another_network_is_refused(groups):
    with pytest.raises(BadInputError, match="the plan is for another network"):
        PLAN.kept_float(groups)


@pytest.mark.parametrize(("field", "value"), [("model", "other"), ("target", "onnx"), ("precision", "w8a32")])
def test_a_plan_for_something_else_is_refused(file, field, value):
    with pytest.raises(BadInputError, match=f"is for {field} {value}"):
        read_plan(file(PLAN.to_json() | {field: value}), **FOR)


def _with_group(**changes):
    document = PLAN.to_json()
    document["groups"] = [dict(row) for row in document["groups"]]
    document["groups"][0].update(changes)
    return document


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "[]",
        "{}",
        '{"quantization": {}}',
        '{"quantization": 3}',
        {**PLAN.to_json(), "more": 1},
        {**PLAN.to_json(), "schema_version": 2},
        {**PLAN.to_json(), "groups": {}},
        {**PLAN.to_json(), "groups": [PLAN.to_json()["groups"][0]] * 2},
        {**PLAN.to_json(), "limit": 3},
        _with_group(quantized=1),
        _with_group(nodes="2"),
        _with_group(why=3),
        _with_group(more=1),
        json.dumps(PLAN.to_json()).replace("22.0", "NaN"),
    ],
)
def test_what_is_no_plan_is_refused(file, document):
    with pytest.raises(BadInputError):
        read_plan(file(document), **FOR)
