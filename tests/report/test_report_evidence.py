"""What is read, what is refused, and that nothing is written then."""

import copy
import json
import shutil

import pytest
from stored_results import BENCH, MANIFEST, POLICY

from edgekit.errors import ArtifactError, EvidenceError
from edgekit.report import build
from edgekit.report.build import build_report
from edgekit.report.entry import Entry
from edgekit.report.evidence import gather
from edgekit.report.manifests import artifact_rows
from edgekit.report.timings import measurements


def test_each_kind_of_result_is_told(folder):
    folder.all()
    folder.put("gate.json", {"schema_version": 1, "command": "gate", "verdict": "kept", "artifacts": [], "failures": []})
    folder.put("package.json", {"name": "something else"})
    found = gather([folder.path])
    kinds = {source.name: source.kind for source in found.sources}
    assert kinds == {
        "against.json": "benchmark",
        "bench.json": "bench",
        "gate.json": "gate",
        "policy.json": "policy",
        "net_32_fp16.mlpackage.manifest.json": "manifest",
        "net_32_fp32.onnx.manifest.json": "manifest",
        "net_32_fp32.pte.manifest.json": "manifest",
    }
    assert found.others == (("package.json", "no result of edgekit"),)


def test_the_same_file_in_two_folders_counts_once_and_what_is_inside_artifacts_not_at_all(folder):
    path = folder.manifest()
    again = folder.path / "again"
    again.mkdir()
    shutil.copy(path, again / path.name)
    (folder.path / "net.mlpackage").mkdir()
    (folder.path / "net.mlpackage" / "Manifest.json").write_text("{}")
    found = gather([folder.path])
    assert [source.name for source in found.sources] == [path.name]
    assert found.others == ()


def without(document, *keys):
    changed = copy.deepcopy(document)
    place = changed
    for key in keys[:-1]:
        place = place[key]
    del place[keys[-1]]
    return changed


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("bench.json", json.dumps(BENCH)[:200], "bench.json is not a stored result"),
        ("x.onnx.manifest.json", json.dumps(MANIFEST)[:-30], "x.onnx.manifest.json is not a stored result"),
        ("bench.json", json.dumps(BENCH).replace("6.25", "NaN"), "bench.json is not a stored result"),
        ("bench.json", json.dumps(BENCH).replace("6.25", "1e999"), "min_ms has to be a number"),
        ("bench.json", json.dumps(BENCH).replace("6.25", '"fast"'), "min_ms has to be a number"),
        ("bench.json", json.dumps(BENCH).replace("31000000", "31.5"), "peak_memory_bytes has to be an integer"),
        ("bench.json", json.dumps(BENCH | {"schema_version": 2}), "schema version 2"),
        ("bench.json", json.dumps(BENCH | {"results": {}}), "results has to be a list"),
        ("bench.json", json.dumps(BENCH | {"results": [3]}), r"results\[0\] is not a JSON object"),
        ("x.onnx.manifest.json", "[]", "is not a manifest"),
        ("x.onnx.manifest.json", json.dumps(MANIFEST | {"parity": "pass"}), "parity is not a JSON object"),
        ("x.onnx.manifest.json", json.dumps(MANIFEST | {"operators": {"Conv": -1e30}}), "operators.Conv has to be an integer"),
        ("x.onnx.manifest.json", "[" * 200_000, "is not a stored result"),
        ("policy.json", json.dumps(POLICY.to_json() | {"expected": {"counts": ["many"]}}), "counts has to be a number"),
    ],
)
def test_what_is_damaged_is_refused_and_nothing_is_written(folder, tmp_path, name, text, says):
    folder.manifest()
    folder.put(name, text)
    with pytest.raises(EvidenceError, match=says):
        build_report([folder.path], output_dir=tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))


def test_what_is_named_has_to_be_a_result(folder):
    folder.manifest()
    other = folder.put("package.json", {"name": "something else"})
    with pytest.raises(EvidenceError, match=r"package.json is no result of edgekit"):
        gather([folder.path, other])
    with pytest.raises(EvidenceError, match="there is no"):
        gather([folder.path / "nowhere"])


def test_an_empty_folder_gives_no_page(folder):
    with pytest.raises(EvidenceError, match="no stored results"):
        gather([folder.path])


def test_an_artifact_that_is_not_the_one_of_its_manifest_is_refused(folder):
    folder.manifest()
    (folder.path / "net_32_fp32.onnx").write_bytes(b"another")
    with pytest.raises(ArtifactError, match="is not the artifact its manifest describes"):
        gather([folder.path])


def test_both_forms_are_made_before_either_is_written(folder, tmp_path, monkeypatch):
    folder.manifest()

    def fail(page):
        raise RuntimeError("no Markdown today")

    monkeypatch.setattr(build, "to_markdown", fail)
    with pytest.raises(RuntimeError, match="no Markdown"):
        build_report([folder.path], output_dir=tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize(
    ("parity", "status"),
    [
        ({"verdict": "pass", "executed_by": "litert"}, "executed"),
        ({"verdict": "pass", "executed_by": "mil-interpreter"}, "interpreted"),
        ({"verdict": "pass", "executed_by": None}, "not stored"),
        ({"verdict": "not_executed", "executed_by": "litert"}, "not executed"),
        ({"verdict": "fail", "executed_by": "litert"}, "failed"),
        ({"verdict": "passed", "executed_by": "litert"}, "not stored"),
        ({}, "not stored"),
        (None, "not stored"),
    ],
)
def test_only_a_stored_pass_of_something_that_ran_is_one(folder, parity, status):
    folder.manifest(parity=parity)
    (row,) = artifact_rows(gather([folder.path]))
    assert row.parity.status == status


@pytest.mark.parametrize("keys", [(key,) for key in MANIFEST if key != "schema_version"] + [("model", "trained"), ("artifact", "size_bytes")])
def test_an_older_manifest_is_shown_with_what_it_has(folder, keys):
    folder.put("net_32_fp32.onnx.manifest.json", without(MANIFEST, *keys))
    (row,) = artifact_rows(gather([folder.path]))
    assert row.name == "net_32_fp32.onnx"


def test_times_keep_names_and_not_places(folder):
    folder.put("bench.json", BENCH)
    (run,) = measurements(gather([folder.path]))
    assert [(row.label, row.min_ms, row.ratio, row.base) for row in run.rows] == [
        ("net_32_fp32.onnx", 6.25, None, None),
        ("net_32_fp32.tflite", 5.5, 0.88, "net_32_fp32.onnx"),
    ]
    assert run.machine.sentence() == "AMD EPYC; 1 core; 1 thread; load 1 before; onnxruntime 1.31.1; day not stored"


def test_a_missing_member_is_none_and_a_wrong_one_an_error():
    entry = Entry({"a": None, "flag": 1, "texts": ["x", 2]}, "file.json")
    assert (entry.number("a"), entry.text("b"), entry.entry("c"), entry.numbers("d")) == (None, None, None, ())
    with pytest.raises(EvidenceError, match=r"file.json: flag has to be true or false"):
        entry.flag("flag")
    with pytest.raises(EvidenceError, match="texts has to be a list of strings"):
        entry.texts("texts")


@pytest.mark.parametrize("value", [10**400, float("nan"), -(10**19)])
def test_a_number_that_is_none_of_ours_is_refused(value):
    with pytest.raises(EvidenceError, match="has to be a number"):
        Entry({"p50_ms": value}, "result.json").number("p50_ms")
