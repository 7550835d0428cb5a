"""``edgekit gate`` from the command line."""

import json
from importlib import resources

import pytest
from jsonschema import Draft202012Validator

from edgekit.artifact import size_bytes

SCHEMA = json.loads((resources.files("edgekit") / "schemas" / "gate.schema.json").read_text())


@pytest.fixture
def budgets(onnx_artifact, tmp_path):
    """Write budgets for the ONNX artifact: metric and limit."""

    def write(**limits):
        agreed = 'owner = "tests", date = 2026-11-21, reason = "because"'
        rows = "\n".join(f'  {{ metric = "{metric.replace("__", ".")}", max = {limit}, {agreed} }},' for metric, limit in limits.items())
        path = tmp_path / "budgets.toml"
        path.write_text(
            f'schema_version = 1\n[[artifact]]\nname = "{onnx_artifact.name}"\ntools = {{ torch = "2.13.0" }}\nbudgets = [\n{rows}\n]  # end\n'
        )
        return path

    return write


def valid(document):
    """Whether a document is as its schema says."""
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(document)] == []


def test_kept_budgets_are_0_and_a_table(cli, budgets, onnx_artifact):
    size = size_bytes(onnx_artifact)
    ran = cli("gate", "--budgets", budgets(size__total=size + 5, operators__total=6), "--artifact", onnx_artifact)
    assert (ran.code, ran.err) == (0, "")
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["size.total", f"{size:,}", "bytes", "<=", f"{size + 5:,}", "5", "-", "kept"] in rows
    assert ran.out.endswith("1 artifact, budgets: 2 kept\n")


def test_an_excess_is_6_and_named_with_its_owner(cli, budgets, onnx_artifact):
    size = size_bytes(onnx_artifact)
    ran = cli("gate", "--budgets", budgets(size__total=size - 31), "--artifact", onnx_artifact.parent)
    assert ran.code == 6
    assert f"size.total is {size:,} bytes, at most {size - 31:,} bytes allowed: 31 bytes, " in ran.err
    assert "(budget of tests, 2026-11-21: because)" in ran.err
    assert "exceeded" in ran.out


def test_json_is_one_valid_document_kept_or_not(cli, budgets, onnx_artifact, tmp_path):
    assert Draft202012Validator.check_schema(SCHEMA) is None
    size = size_bytes(onnx_artifact)
    ran = cli("gate", "--budgets", budgets(size__total=size), "--artifact", onnx_artifact, "--json")
    base = ran.document()
    assert (ran.code, base["verdict"], base["why"]) == (0, "kept", None)
    assert valid(base)
    (tmp_path / "base.json").write_text(ran.out)
    ran = cli("gate", "--budgets", budgets(size__total=1), "--artifact", onnx_artifact, "--compare", tmp_path / "base.json", "--why", "--json")
    document = ran.document()
    assert (ran.code, document["verdict"], document["error"]["exit_code"], len(document["failures"])) == (6, "exceeded", 6, 1)
    assert document["why"][0]["grown"] == {"constants": [], "operators": [], "nodes": []}
    assert valid(document)
    (budget,) = document["artifacts"][0]["budgets"]
    assert (budget["reached"], budget["slack"], budget["status"], budget["date"]) == (size, 1 - size, "exceeded", "2026-11-21")
    assert not valid(document | {"extra": 1})
    onnx_artifact.unlink()
    missing = cli("gate", "--budgets", budgets(size__total=1), "--artifact", onnx_artifact.parent, "--json")
    assert (missing.code, missing.document()["artifacts"][0]["state"]) == (6, "missing")
    assert valid(missing.document())


def test_markdown_is_written_whatever_the_verdict(cli, budgets, onnx_artifact, tmp_path):
    size = size_bytes(onnx_artifact)
    for limit, code, words in ((size, 0, "All are kept."), (size - 1, 6, f"- **{onnx_artifact.name}: size.total is ")):
        file = tmp_path / "report.md"
        assert cli("gate", "--budgets", budgets(size__total=limit), "--artifact", onnx_artifact, "--markdown", file, "--why").code == code
        text = file.read_text()
        assert words in text
        assert f"| size.total | {size:,} bytes | <= {limit:,} | " in text
        assert "stored twice: nothing" in text
        file.unlink()


def test_the_base_is_a_column(cli, budgets, onnx_artifact, tmp_path):
    path = budgets(size__total=10**6)
    document = cli("gate", "--budgets", path, "--artifact", onnx_artifact, "--json").document()
    document["artifacts"][0]["metrics"]["size.total"]["value"] -= 123
    (tmp_path / "base.json").write_text(json.dumps(document))
    ran = cli("gate", "--budgets", path, "--artifact", onnx_artifact, "--compare", tmp_path / "base.json")
    assert "+123" in next(line for line in ran.out.splitlines() if "size.total" in line).split()


def test_ratchet_writes_the_file_and_says_so(cli, budgets, onnx_artifact):
    path, size = budgets(size__total=10**6, macs__total=1), size_bytes(onnx_artifact)
    ran = cli("gate", "--budgets", path, "--artifact", onnx_artifact, "--ratchet")
    assert ran.code == 6  # of the other one
    assert f"tightened  {onnx_artifact.name}  size.total  1,000,000 to {size:,}" in ran.out
    text = path.read_text()
    assert f"max = {size:_}," in text
    assert "max = 1," in text
    assert text.endswith("# end\n")
    document = cli("gate", "--budgets", path, "--artifact", onnx_artifact, "--ratchet", "--json").document()
    assert document["tightened"] == []
    assert valid(document)


def test_why_names_the_floor(cli, budgets, onnx_artifact):
    ran = cli("gate", "--budgets", budgets(size__total=10**6), "--artifact", onnx_artifact, "--why")
    size = size_bytes(onnx_artifact)
    assert f"{size:,} bytes; its parameters alone 5,972; {size - 5972:+,} bytes" in ran.out
    assert "--compare BASE.json tells what grew" in ran.out


def test_bad_input_is_3_and_bad_requests_are_2(refused, budgets, onnx_artifact, tmp_path):
    (tmp_path / "junk").write_bytes(b"\x80\x04junk")
    assert "junk is no TOML" in refused(3, "gate", "--budgets", tmp_path / "junk")
    assert "cannot read the budgets nothing.toml" in refused(3, "gate", "--budgets", tmp_path / "nothing.toml")
    path = budgets(size__total=1)
    assert "base" in refused(3, "gate", "--budgets", path, "--artifact", onnx_artifact, "--compare", tmp_path / "base.json")
    assert "artifact with budgets" in refused(2, "gate", "--budgets", path, "--artifact", tmp_path / "other.onnx")
    assert "add --latency" in refused(2, "gate", "--budgets", path, "--artifact", onnx_artifact, "--latency-base", tmp_path)
    assert "--budgets" in refused(2, "gate", "--artifact", onnx_artifact)
    onnx_artifact.write_bytes(onnx_artifact.read_bytes()[:200])
    assert onnx_artifact.name in refused(3, "gate", "--budgets", path, "--artifact", onnx_artifact)


def test_help_has_examples_and_the_exit_code(cli):
    said = cli("gate", "--help").out
    assert "edgekit gate --budgets recipes/budgets.toml --artifact build" in said
    assert "Ends with 6" in said
