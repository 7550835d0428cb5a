"""Artifacts against budgets: what is kept, what is not, and what is said about it."""

import json
import shutil

import pytest

import edgekit
from edgekit.artifact import manifest_path, size_bytes
from edgekit.errors import ArtifactError, BudgetError, BudgetFileError, UnknownNameError, UsageError
from edgekit.gates.base import read_base
from edgekit.gates.document import to_json
from edgekit.gates.locate import locate
from edgekit.gates.report import require_budgets

TOTAL = 'metric = "size.total", max = {}'


def test_budgets_that_are_kept(write_budgets, onnx_artifact):
    size = size_bytes(onnx_artifact)
    report = edgekit.check_budget(write_budgets(TOTAL.format(size), 'metric = "parity.sqnr_db", min = 100'), artifacts=[onnx_artifact])
    (artifact,) = report.artifacts
    assert [check.status for check in artifact.checks] == ["kept", "kept"]
    assert artifact.checks[0].reached.value == size
    assert artifact.state == "checked"
    assert report.counts() == {"kept": 2, "exceeded": 0, "absent": 0, "undecided": 0, "not_measured": 0}
    require_budgets(report)


def test_one_byte_too_many_is_named(write_budgets, onnx_artifact):
    size = size_bytes(onnx_artifact)
    report = edgekit.check_budget(write_budgets(TOTAL.format(size - 1)), artifacts=[onnx_artifact])
    with pytest.raises(BudgetError) as caught:
        require_budgets(report)
    assert caught.value.exit_code == 6
    assert caught.value.summary == (
        f"{onnx_artifact.name}: size.total is {size:,} bytes, at most {size - 1:,} bytes allowed: 1 bytes, {1 / (size - 1):.2%} over "
        "(budget of tests, 2026-11-21: because)"
    )


def test_too_little_is_under(write_budgets, onnx_artifact):
    report = edgekit.check_budget(write_budgets('metric = "parity.sqnr_db", min = 1000'), artifacts=[onnx_artifact])
    assert "at least 1,000 dB allowed" in report.failures[0]
    assert " under (budget of" in report.failures[0]


def test_a_limit_of_nothing_can_be_exceeded(write_budgets, onnx_artifact):
    report = edgekit.check_budget(write_budgets('metric = "operators.total", max = 0'), artifacts=[onnx_artifact])
    assert "at most 0 operators allowed: 6 operators over (budget" in report.failures[0]


def test_every_excess_is_named(write_budgets, onnx_artifact):
    report = edgekit.check_budget(write_budgets(TOTAL.format(1), 'metric = "macs.total", max = 1'), artifacts=[onnx_artifact])
    with pytest.raises(BudgetError) as caught:
        require_budgets(report)
    assert caught.value.summary == "2 budgets are not kept"
    assert "(1) net-build_32_fp32.onnx: size.total" in caught.value.what
    assert "(2) net-build_32_fp32.onnx: macs.total" in caught.value.what


def test_what_an_artifact_does_not_have_is_a_failure(write_budgets, onnx_artifact):
    lines = ('metric = "delegation.share", min = 0.5', 'metric = "method.exit_9.operators", max = 9')
    report = edgekit.check_budget(write_budgets(*lines), artifacts=[onnx_artifact])
    assert [check.status for check in report.artifacts[0].checks] == ["absent", "absent"]
    assert "delegation.share is not there" in report.failures[0]


@pytest.mark.parametrize("place", ["folder", "file"])
def test_a_missing_artifact_is_a_failure(write_budgets, onnx_artifact, tmp_path, place):
    budgets = write_budgets(TOTAL.format(10**9))
    onnx_artifact.unlink()
    report = edgekit.check_budget(budgets, artifacts=[tmp_path if place == "folder" else onnx_artifact])
    assert report.failures == (f"{onnx_artifact.name}: the artifact is missing, it has budgets",)
    assert to_json(report)["artifacts"][0]["state"] == "missing"


def test_other_tools_are_one_failure_whatever_the_budgets_say(write_budgets, onnx_artifact):
    budgets = write_budgets(TOTAL.format(1), 'metric = "macs.total", max = 1', tools='onnx = "1.0"')
    report = edgekit.check_budget(budgets, artifacts=[onnx_artifact])
    (failure,) = report.failures
    assert "its budgets are for other tools" in failure
    assert "the budgets are for 1.0" in failure
    assert report.artifacts[0].state == "other_tools"
    assert [check.status for check in report.artifacts[0].checks] == ["exceeded", "exceeded"]  # shown, to decide by


def test_of_two_tables_the_one_for_the_tools_counts(write_budgets, onnx_artifact):
    old = write_budgets(TOTAL.format(1), tools='onnx = "1.0"').read_text()
    new = write_budgets(TOTAL.format(10**9))
    new.write_text(old + new.read_text().partition("\n")[2])
    report = edgekit.check_budget(new, artifacts=[onnx_artifact])
    assert (report.failures, report.artifacts[0].group.position) == ((), 1)
    new.write_text(new.read_text().replace('{ onnx = "1.0" }', '{ torch = "2.13.0" }'))
    with pytest.raises(BudgetFileError, match=r"two tables for .* fit the tools"):
        edgekit.check_budget(new, artifacts=[onnx_artifact])


def test_an_artifact_without_budgets_does_not_pass_unchecked(write_budgets, onnx_artifact, tmp_path):
    other = tmp_path / "net-buildd_32_fp32.onnx"
    shutil.copy(onnx_artifact, other)
    with pytest.raises(UnknownNameError, match=r"did you mean 'net-build_32_fp32.onnx'\?"):
        edgekit.check_budget(write_budgets(TOTAL.format(1)), artifacts=[other])
    with pytest.raises(UsageError, match="no artifact to check"):
        edgekit.check_budget(write_budgets(TOTAL.format(1)), artifacts=[])


def test_a_changed_artifact_is_refused(write_budgets, onnx_artifact):
    document = json.loads(manifest_path(onnx_artifact).read_text())
    document["artifact"]["sha256"] = "0" * 64
    manifest_path(onnx_artifact).write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="is not the artifact its manifest describes"):
        edgekit.check_budget(write_budgets(TOTAL.format(10**9)), artifacts=[onnx_artifact])


def test_artifacts_are_found_by_name(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "x.onnx").write_text("")
    (tmp_path / "b" / "y.onnx").write_text("")
    names = ["x.onnx", "y.onnx", "z.onnx"]
    found = locate(names, [tmp_path / "a", tmp_path / "b"])
    assert found == {"x.onnx": tmp_path / "a" / "x.onnx", "y.onnx": tmp_path / "b" / "y.onnx", "z.onnx": None}
    assert locate(names, [tmp_path / "a" / "x.onnx"]) == {"x.onnx": tmp_path / "a" / "x.onnx"}
    assert locate(names, [tmp_path / "nowhere"]) == dict.fromkeys(names)
    assert locate(names, [tmp_path / "a" / "x.onnx", tmp_path / "a"])["x.onnx"] == tmp_path / "a" / "x.onnx"
    (tmp_path / "b" / "x.onnx").write_text("")
    with pytest.raises(UsageError, match=r"x\.onnx is there twice"):
        locate(names, [tmp_path / "a", tmp_path / "b"])


def test_an_earlier_report_is_read_back(write_budgets, onnx_artifact, tmp_path):
    budgets = write_budgets(TOTAL.format(1))
    report = edgekit.check_budget(budgets, artifacts=[onnx_artifact])
    (tmp_path / "base.json").write_text(json.dumps(to_json(report)))
    base = read_base(tmp_path / "base.json").artifacts[onnx_artifact.name]
    measured = report.artifacts[0].measured
    assert base.metrics == {name: metric.value for name, metric in measured.metrics.items()}
    assert (base.tools, base.contents) == (measured.tools, measured.contents)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"schema_version": 1, "command": "bench"}', '{"schema_version": 1, "command": "gate", "artifacts": [{}]}']
)
def test_an_earlier_report_that_is_none(write_budgets, onnx_artifact, tmp_path, content):
    (tmp_path / "base.json").write_text(content)
    with pytest.raises(BudgetFileError, match="is not a report of edgekit gate"):
        edgekit.check_budget(write_budgets(TOTAL.format(1)), artifacts=[onnx_artifact], compare=tmp_path / "base.json")
