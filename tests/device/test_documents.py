"""Plans and reports as files: the JSON schemas for other languages, and what comes from outside."""

import json
from importlib import resources

import attrs
import pytest
from jsonschema import Draft202012Validator
from phones import SMALL, failed, plan_json, report_json

from edgekit.device.integer_json import canonical, parse
from edgekit.device.plan import plan_from_json
from edgekit.device.report import report_from_json
from edgekit.device.store import read_plan
from edgekit.device.validate import check_report
from edgekit.errors import PlanError, ReportError

SCHEMAS = {name: json.loads((resources.files("edgekit") / "schemas" / f"latency_{name}.schema.json").read_text()) for name in ("plan", "report")}


def errors(name, document):
    return [error.message for error in Draft202012Validator(SCHEMAS[name]).iter_errors(document)]


def test_they_are_schemas():
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)


def test_what_is_written_is_valid_and_reads_back():
    plan = plan_json()
    report = report_json(plan)
    assert (errors("plan", plan), errors("report", report)) == ([], [])
    assert plan_from_json(plan) == SMALL
    assert json.loads(canonical(report_from_json(report).to_json())) == report


def test_every_member_is_in_the_schemas():
    plan, report = SCHEMAS["plan"], SCHEMAS["report"]
    assert set(plan["required"]) == set(plan["properties"]) == set(plan_json())
    assert set(report["required"]) == set(report["properties"]) == set(report_json(plan_json()))
    row = report["properties"]["results"]["items"]
    assert set(row["required"]) == set(row["properties"]) == set(report_json(plan_json())["results"][0])


@pytest.mark.parametrize("kind", ["plan", "validate"])
def test_the_schema_refuses_what_is_of_the_wrong_shape(kind):
    """Of the conformance cases, all those with a wrong shape; ranges it tells where a schema can."""
    from pathlib import Path

    file = json.loads((Path(__file__).parent.parent / "conformance" / "vectors" / f"{kind}.json").read_text())
    told = 0
    for case in file["cases"]:
        whole = changed(file["base"], case["input"]["changes"])
        name = "plan" if kind == "plan" else "report"
        found = errors(name, whole[name])
        if case.get("error") in ("shape", "schema"):
            assert found, case["name"]
            told += 1
        if "expect" in case:
            assert not found, case["name"]
    assert told >= 4


def changed(base, changes):
    whole = json.loads(json.dumps(base))
    for path, *value in changes:
        place = whole
        for key in path[:-1]:
            place = place[key]
        if value:
            place[path[-1]] = json.loads(json.dumps(value[0]))
        else:
            del place[path[-1]]
    return whole


def test_a_failed_result_says_why_and_holds_nothing():
    report = report_json(plan_json())
    report["results"][0] = failed(report["results"][0])
    assert errors("report", report) == []
    check_report(report_from_json(report), SMALL)


def test_sizes_are_bounded():
    report = report_json(plan_json())
    for change in ({"samples_ns": [1] * 10_001}, {"error": "x" * 4001}):
        report["results"][0] |= change
        with pytest.raises(ReportError) as caught:
            report_from_json(report)
        assert caught.value.code == "shape"
        report = report_json(plan_json())
    with pytest.raises(ReportError, match="too large"):
        parse(b" " * (64 * 1024 * 1024 + 1), "report-0.json")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{", b"[" * 100_000, b'{"schema": "latency-plan/1"}', b"[]", b"7" * 5000])
def test_a_file_that_is_no_plan(tmp_path, content):
    (tmp_path / "plan.json").write_bytes(content)
    with pytest.raises(PlanError) as caught:
        read_plan(tmp_path / "plan.json")
    assert caught.value.exit_code == 3
    assert caught.value.code in ("json", "shape", "schema")


def test_a_plan_that_is_not_there(tmp_path):
    with pytest.raises(PlanError, match=r"cannot read plan\.json"):
        read_plan(tmp_path / "plan.json")


def test_every_check_says_why():
    """A code without its sentence would be an internal error where it matters most."""
    from edgekit.device import validate

    report = report_json(plan_json())
    for code in validate._WHY:
        with pytest.raises(ReportError) as caught:
            validate._require(code, False, "this")
        assert caught.value.why
    assert attrs.asdict(report_from_json(report))
