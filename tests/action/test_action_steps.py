"""The GitHub Action's steps, run here: with edgekit's own gate on an artifact that is there, and with stand-ins for gh and for exports."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from edgekit.artifact import manifest_path

GH = """#!/bin/sh
printf '%s\\n' "$*" >> "$LOG"
for last in "$@"; do case $last in body=@*) cat "${last#body=@}" > "$LOG.body" ;; esac; done
case "$*" in *--jq*) printf '%s' "$ANSWER" ;; esac
"""
EDGEKIT = """#!/bin/sh
printf '%s\\n' "$*" >> "$LOG"
case $1 in export) exit "${EXPORT_CODE:-0}" ;; gate) [ -z "${GATE_CODE:-}" ] || exit "$GATE_CODE" ;; esac
exec "{python}" -m edgekit "$@"
"""


@pytest.fixture
def root(request):
    return request.config.rootpath


@pytest.fixture
def step(root, tmp_path):
    """Run a script of the action as GitHub would: exit code, log of the stand-ins, what it left."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name, text in (("gh", GH), ("edgekit", EDGEKIT.replace("{python}", sys.executable))):
        (bin_ / name).write_text(text)
        (bin_ / name).chmod(0o755)

    def run(script, *arguments, **variables):
        log = tmp_path / "log"
        log.unlink(missing_ok=True)
        files = {"GITHUB_OUTPUT": tmp_path / "output", "GITHUB_STEP_SUMMARY": tmp_path / "summary", "LOG": log}
        environment = os.environ | {"PATH": f"{bin_}:{os.environ['PATH']}"} | {k: str(v) for k, v in {**files, **variables}.items()}
        command = [str(root / ".github" / "action" / script), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path, timeout=300)
        return done, log.read_text().splitlines() if log.exists() else []

    return run


@pytest.fixture
def budgets(onnx_artifact, tmp_path):
    def write(limit):
        agreed = 'owner = "tests", date = 2026-11-21, reason = "because"'
        path = tmp_path / "budgets.toml"
        row = f'  {{ metric = "size.total", max = {limit}, {agreed} }},\n'
        path.write_text(f'schema_version = 1\n[[artifact]]\nname = "{onnx_artifact.name}"\ntools = {{ torch = "2.13.0" }}\nbudgets = [\n{row}]\n')
        return path

    return write


# --- export and gate


def test_kept_budgets(step, budgets, onnx_artifact, tmp_path):
    exports = "emov2-1m -t  onnx\n\n --recipe one.toml --precision fp32\n"
    variables = {"EDGEKIT_ARTIFACTS": onnx_artifact.parent, "EDGEKIT_BUDGETS": budgets(10**6)}
    done, log = step("gate.sh", EDGEKIT_EXPORTS=exports, **variables)
    assert done.returncode == 0, done.stderr
    folder = onnx_artifact.parent
    asked = ("emov2-1m -t onnx", "--recipe one.toml --precision fp32")
    assert log[:2] == [f"export {arguments} --output-dir {folder} --overwrite" for arguments in asked]
    assert json.loads((folder / "gate.json").read_text())["verdict"] == "kept"
    report = (folder / "report.md").read_text()
    assert "All are kept." in report
    assert (tmp_path / "summary").read_text() == report
    assert (tmp_path / "output").read_text() == f"verdict=kept\nreport={folder}/report.md\ndocument={folder}/gate.json\n"
    # The same again, against what it just left.
    (folder / "gate.json").rename(tmp_path / "base.json")
    done, log = step("gate.sh", EDGEKIT_COMPARE=tmp_path / "base.json", **variables)
    assert (done.returncode, len(log)) == (0, 1)
    assert log[0].endswith(f"--compare {tmp_path}/base.json --why")
    assert "| same |" in (folder / "report.md").read_text()


def test_an_excess_ends_the_job_and_is_reported(step, budgets, onnx_artifact, tmp_path):
    done, _ = step("gate.sh", EDGEKIT_ARTIFACTS=onnx_artifact.parent, EDGEKIT_BUDGETS=budgets(1), EDGEKIT_COMPARE=tmp_path / "none.json")
    assert done.returncode == 6
    assert "verdict=exceeded" in (tmp_path / "output").read_text()
    assert f"- **{onnx_artifact.name}: size.total is" in (tmp_path / "summary").read_text()
    assert json.loads((onnx_artifact.parent / "gate.json").read_text())["verdict"] == "exceeded"


def test_what_fails_before_the_gate_is_no_verdict(step, budgets, tmp_path):
    variables = {"EDGEKIT_EXPORTS": "--recipe one.toml", "EDGEKIT_BUDGETS": budgets(1)}
    done, log = step("gate.sh", EDGEKIT_ARTIFACTS=tmp_path / "new", EXPORT_CODE="4", **variables)
    assert (done.returncode, len(log)) == (4, 1)
    assert "verdict=failed" in (tmp_path / "output").read_text()
    assert "edgekit ended with 4" in (tmp_path / "summary").read_text()


def test_names_are_never_commands(step, budgets, onnx_artifact, tmp_path):
    hostile = f"--recipe $(touch {tmp_path}/pwned);touch {tmp_path}/pwned `touch {tmp_path}/pwned` * | #"
    done, log = step("gate.sh", EDGEKIT_EXPORTS=hostile, EDGEKIT_ARTIFACTS=onnx_artifact.parent, EDGEKIT_BUDGETS=budgets(1), GATE_CODE=0)
    assert done.returncode == 0, done.stderr
    assert log[0] == f"export {hostile} --output-dir {onnx_artifact.parent} --overwrite"
    assert not (tmp_path / "pwned").exists()


# --- the comment


PULL = {"EDGEKIT_REPOSITORY": "owner/name", "EDGEKIT_PULL_REQUEST": "7", "GH_TOKEN": "t"}


@pytest.mark.parametrize(
    ("known", "method"), [("", "POST repos/owner/name/issues/7/comments"), ("41\n42", "PATCH repos/owner/name/issues/comments/41")]
)
def test_one_comment_is_made_or_replaced(step, tmp_path, known, method):
    (tmp_path / "report.md").write_text("# Budgets\n\ncc @everyone <!-- edgekit gate --> a\n")
    done, log = step("comment.sh", EDGEKIT_REPORT=tmp_path / "report.md", ANSWER=known, **PULL)
    assert done.returncode == 0, done.stderr
    assert len(log) == 2
    assert f"--method {method}" in log[1]
    body = (tmp_path / "log.body").read_text()
    assert body.startswith("<!-- edgekit gate -->\n# Budgets\n")
    assert body.count("<!--") == 1
    assert "@everyone" not in body


def test_a_long_report_is_shortened(step, tmp_path):
    (tmp_path / "report.md").write_text("ä" * 70_000)
    done, _ = step("comment.sh", EDGEKIT_REPORT=tmp_path / "report.md", ANSWER="", **PULL)
    body = (tmp_path / "log.body").read_bytes()
    assert done.returncode == 0, done.stderr
    assert len(body) < 65_536
    assert body.decode().endswith("the rest is in the job's summary\n")


@pytest.mark.parametrize(
    "wrong",
    [
        {"EDGEKIT_PULL_REQUEST": ""},
        {"EDGEKIT_PULL_REQUEST": "7/../8"},
        {"EDGEKIT_REPOSITORY": "name"},
        {"EDGEKIT_REPOSITORY": "--x/y"},
        {"link": True},
    ],
)
def test_what_is_no_pull_request_is_not_commented(step, tmp_path, wrong):
    (tmp_path / "report.md").write_text("x")
    if wrong.pop("link", False):
        (tmp_path / "secret").write_text("x")
        (tmp_path / "report.md").unlink()
        (tmp_path / "report.md").symlink_to(tmp_path / "secret")
    done, log = step("comment.sh", EDGEKIT_REPORT=tmp_path / "report.md", **PULL | wrong)
    assert done.returncode == 1
    assert log == []


@pytest.mark.parametrize(("answer", "number", "code"), [("12\n13", "12", 0), ("", "", 0), ("x; y", None, 1)])
def test_the_pull_request_of_a_branch(step, tmp_path, answer, number, code):
    variables = {"EDGEKIT_REPOSITORY": "owner/name", "EDGEKIT_HEAD": "fork:a branch", "EDGEKIT_COMMIT": "abc", "ANSWER": answer}
    done, log = step("find_pull_request.sh", **variables)
    assert done.returncode == code
    assert "--raw-field head=fork:a branch" in log[0]
    if number is not None:
        assert (tmp_path / "output").read_text() == f"number={number}\n"


# --- hooks


def test_hooks_check_each_file(step, budgets, tmp_path):
    good = budgets(1)
    (tmp_path / "bad.toml").write_text("x = 1")
    done, log = step("check_files.sh", "gate", "--dry-run", "--budgets", good)
    assert (done.returncode, log) == (0, [f"gate --dry-run --budgets {good}"])
    done, log = step("check_files.sh", "gate", "--dry-run", "--budgets", tmp_path / "bad.toml")
    assert (done.returncode, len(log)) == (3, 1)
    assert "unknown key 'x'" in done.stderr


def test_the_gate_hook_checks_what_was_built_and_has_budgets(step, budgets, onnx_artifact, tmp_path):
    variables = {"EDGEKIT_BUDGETS": budgets(1)}
    assert step("gate_where_built.sh", EDGEKIT_ARTIFACTS=tmp_path / "none", **variables)[0].returncode == 0
    manifest_path(tmp_path / "other.onnx").write_text("{}")
    done, log = step("gate_where_built.sh", EDGEKIT_ARTIFACTS=onnx_artifact.parent, **variables)
    assert done.returncode == 6
    assert log == [f"gate --budgets {variables['EDGEKIT_BUDGETS']} --artifact {onnx_artifact}"]


# --- what the files say


def test_every_step_is_a_script_that_is_there_and_takes_inputs_as_variables(root):
    action = yaml.safe_load((root / "action.yml").read_text())
    used = set()
    for row in action["runs"]["steps"]:
        name = row["run"].strip('"').removeprefix("$GITHUB_ACTION_PATH/")
        assert os.access(root / name, os.X_OK), name
        assert "${{" not in row["run"]
        text = (root / name).read_text()
        for variable in row.get("env", {}):
            assert variable == "GH_TOKEN" or variable in text, (name, variable)
        used |= {word for value in row.get("env", {}).values() for word in value.replace("}", " ").split() if word.startswith("inputs.")}
        used |= {word for word in row.get("if", "").split() if word.startswith("inputs.")}
    assert used == {f"inputs.{name}" for name in action["inputs"]}


@pytest.mark.parametrize("name", ["gate.yml", "gate-comment.yml"])
def test_workflows_put_nothing_into_commands(root, name):
    workflow = yaml.safe_load((root / ".github" / "workflows" / name).read_text())
    assert workflow["permissions"]["contents"] == "read"
    for job in workflow["jobs"].values():
        for row in job["steps"]:
            assert "${{" not in row.get("run", "")
            if row.get("run", "").startswith(".github"):
                assert os.access(root / row["run"], os.X_OK)


def test_hooks_name_scripts_that_are_there(root):
    for hook in yaml.safe_load((root / ".pre-commit-hooks.yaml").read_text()):
        assert os.access(root / hook["entry"].split()[0], os.X_OK)
        assert hook["language"] == "script"
