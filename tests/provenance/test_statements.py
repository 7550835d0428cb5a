"""Statements of provenance and bills of materials: what they say, that they are valid, and what a change to any part of them is told."""

import hashlib
import json
import shutil

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import edgekit
from edgekit.artifact import SBOM_SUFFIX, STATEMENT_SUFFIX, companion, manifest_path, read_manifest
from edgekit.errors import ArtifactError, MissingExtraError, ProvenanceError
from edgekit.provenance.check import check_provenance, provenance_of
from edgekit.provenance.proofs import Proofs
from edgekit.provenance.sbom import installed_packages


@pytest.fixture(scope="module")
def exported(net, tmp_path_factory):
    """A file and a folder, with statements; not to be changed."""
    folder = tmp_path_factory.mktemp("stated")
    proofs = Proofs(provenance=True)
    return edgekit.export(f"{net}:build", targets=["onnx", "coreml"], resolution=32, output_dir=folder, proofs=proofs, atol=1.0).artifacts


@pytest.fixture(params=[0, 1], ids=["onnx", "coreml"])
def stated(exported, tmp_path, request):
    """A copy of an artifact with all that lies beside it."""
    original = exported[request.param].path
    for path in original.parent.glob(original.name + "*"):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    return tmp_path / original.name


def edited(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_statement_names_each_file_and_what_made_it(stated):
    found = check_provenance(stated)
    files = [stated] if stated.is_file() else sorted(file for file in stated.rglob("*") if file.is_file())
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    assert [row["digest"]["sha256"] for row in found["subject"]] == digests
    assert all(row["name"].startswith(stated.name) for row in found["subject"])
    document = read_manifest(stated).document
    definition = found["predicate"]["buildDefinition"]
    assert definition["externalParameters"] == document["recipe"]
    code = next(row for row in definition["resolvedDependencies"] if row.get("annotations") == {"role": "code"})
    assert code == {"name": "net.py", "digest": {"sha256": document["model"]["code_sha256"]}, "annotations": {"role": "code"}}
    uris = [row["uri"] for row in definition["resolvedDependencies"] if "uri" in row]
    torch = document["tools"]["torch"].replace("+", "%2B")
    assert f"pkg:pypi/torch@{torch}" in uris
    assert found["predicate"]["runDetails"]["builder"]["version"] == document["tools"]


def test_a_bill_is_valid_and_lists_every_package(stated):
    text = companion(stated, SBOM_SUFFIX).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    document = read_manifest(stated).document
    assert bill["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": document["artifact"]["sha256"]}]
    assert "timestamp" not in bill["metadata"]
    packages = {row["name"]: row["version"] for row in bill["components"] if row["type"] == "library"}
    assert {"torch", "numpy", "edgekit"} <= set(packages)
    assert packages == installed_packages("onnx" if stated.is_file() else "coreml")
    assert all(row["scope"] == "excluded" for row in bill["components"] if row["type"] == "library")
    inside = {row["bom-ref"]: row for row in bill["components"] if row["scope"] == "required"}
    assert set(inside) == {"model", "code"}


def test_equal_exports_have_equal_statements(stated):
    document = read_manifest(stated).document
    for suffix, text in provenance_of(stated, document).items():
        assert companion(stated, suffix).read_text() == text


def test_a_byte_of_the_artifact_is_enough(stated):
    file = stated if stated.is_file() else next(file for file in stated.rglob("*.mlmodel"))
    file.write_bytes(file.read_bytes() + b"\x00")
    edited(manifest_path(stated), lambda row: row["artifact"].update(sha256=edgekit.artifact.digest(stated)))
    with pytest.raises(ProvenanceError, match="is about other files") as caught:
        check_provenance(stated)
    assert file.name in caught.value.what


CHANGES = [
    (lambda row: row.update(predicateType="https://example.org/other"), "is not a statement of provenance"),
    (lambda row: row.update(subject=[]), "is about other files"),
    (lambda row: row.update(subject="all"), "is about other files"),
    (lambda row: row["predicate"]["buildDefinition"]["externalParameters"].update(model="emov2-5m"), "does not say what its manifest says"),
    (lambda row: row["predicate"]["buildDefinition"]["resolvedDependencies"].pop(), "does not say what its manifest says"),
    (lambda row: row["predicate"]["runDetails"]["builder"]["version"].update(torch="2.0"), "does not say what its manifest says"),
    (lambda row: row["predicate"].update(more=1), "does not say what its manifest says"),
    (lambda row: row.pop("predicate"), "does not say what its manifest says"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES)
def test_a_statement_of_something_else(stated, change, words):
    edited(companion(stated, STATEMENT_SUFFIX), change)
    with pytest.raises(ProvenanceError, match=words):
        check_provenance(stated)


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.update(bomFormat="SPDX"),
        lambda row: row.pop("metadata"),
        lambda row: row["metadata"]["component"].update(name="other.onnx"),
        lambda row: row["metadata"]["component"]["hashes"][0].update(content="0" * 64),
        lambda row: row["metadata"]["component"].update(hashes=3),
    ],
)
def test_a_bill_of_something_else(stated, change):
    edited(companion(stated, SBOM_SUFFIX), change)
    with pytest.raises(ProvenanceError, match=r"(is about another artifact|names no artifact)"):
        check_provenance(stated)


@pytest.mark.parametrize("suffix", [STATEMENT_SUFFIX, SBOM_SUFFIX])
@pytest.mark.parametrize("content", [None, b"", b"\xff", b"[]", b"[" * 100_000])
def test_what_is_missing_or_none(stated, suffix, content):
    companion(stated, suffix).unlink()
    if content is not None:
        companion(stated, suffix).write_bytes(content)
    with pytest.raises(ProvenanceError):
        check_provenance(stated)


def test_without_a_manifest_there_is_nothing_to_compare_with(stated):
    manifest_path(stated).unlink()
    with pytest.raises(ArtifactError, match="has no manifest"):
        check_provenance(stated)


def test_an_export_without_takes_the_old_ones_away(net, tmp_path):
    options = {"targets": ["onnx"], "resolution": 32, "output_dir": tmp_path, "overwrite": True}
    edgekit.export(f"{net}:build", proofs=Proofs(provenance=True), **options)
    assert len(list(tmp_path.iterdir())) == 4
    edgekit.export(f"{net}:build", **options)
    assert len(list(tmp_path.iterdir())) == 2


def test_without_the_library_an_export_stops_at_once(net, tmp_path, monkeypatch):
    monkeypatch.setattr("edgekit.provenance.proofs.importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="a bill of materials needs packages") as caught:
        Proofs(provenance=True).before((), ())
    assert caught.value.hint == "pip install 'edgekit[provenance]'"


def test_verify_from_the_command_line(cli, exported, net, tmp_path):
    original = exported[0].path
    for path in original.parent.glob(original.name + "*"):
        shutil.copy(path, tmp_path / path.name)
    artifact = tmp_path / original.name
    ran = cli("verify", artifact, "--model", f"{net}:build", "--provenance", "--json")
    assert (ran.code, ran.document()["provenance"]) == (0, "checked")
    companion(artifact, STATEMENT_SUFFIX).unlink()
    assert cli("verify", artifact, "--model", f"{net}:build").code == 0
    ran = cli("verify", artifact, "--model", f"{net}:build", "--provenance")
    assert ran.code == 3
    assert "net-build_32_fp32.onnx.intoto.json is missing" in ran.err
