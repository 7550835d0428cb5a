"""README's tables are those of the stored results."""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest

from edgekit.report.evidence import gather

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def readme():
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_no_table_is_stale(tables, readme):
    after = tables.with_tables(readme, gather([RESULTS]))
    stale = tables.stale_tables(readme, after)
    assert not stale, f"stale tables: {', '.join(stale)}; run python benchmarks/tables.py"
    assert after == readme


def test_every_table_stands_in_readme_once(tables, readme):
    assert sorted(re.findall(r"<!-- table: ([a-z-]+), by", readme)) == sorted(tables.TABLES)


def test_another_result_or_a_changed_number_makes_a_table_stale(tables, readme, tmp_path):
    shutil.copytree(RESULTS, tmp_path / "results")
    file = tmp_path / "results" / "against_naive_emov2-5m_224.json"
    document = json.loads(file.read_text())
    for row in document["results"][0]["rows"]:
        row["min_ms"] *= 2
    file.write_text(json.dumps(document))
    evidence = gather([tmp_path / "results"])
    assert tables.stale_tables(readme, tables.with_tables(readme, evidence)) == ["speed"]
    by_hand = readme.replace("| operators | 940 |", "| operators | 930 |")
    assert by_hand != readme
    assert tables.stale_tables(by_hand, tables.with_tables(by_hand, gather([RESULTS]))) == ["lint"]


def test_what_failed_or_is_missing_is_said(tables, tmp_path):
    rows = [{"variant": "edgekit", "min_ms": 15.5, "samples_ms": [15.5]}]
    document = {"benchmark": "against_naive", "model": "net", "resolution": 32, "results": [{"target": "onnx", "rows": rows}]}
    (tmp_path / "x.json").write_text(json.dumps(document))
    lines = list(tables.speed(gather([tmp_path])))
    assert lines[2] == "| net, 32 | missing, the plain export is missing | missing, the plain export is missing | 15.5 ms, the plain export failed |"


def test_bad_days_name_what_was_not_run_and_count_what_was_not_as_promised(tables, tmp_path):
    context = {"cpu": "some", "cores_used": 1, "date": "2026-11-22"}
    figures = {"kills": {"cases": 200, "killed": 190, "broken": 1}}
    fuzz = {"reader": "lock", "text": True, "cases": 1000, "slowest_s": 0.25, "peak_bytes": 10**9, "broken": 0}
    parts = [{"part": "kills", "kind": "faults", "context": context, "figures": figures["kills"]}]
    parts.append({"part": "fuzz lock", "kind": "fuzz", "context": context, "figures": fuzz})
    (tmp_path / "x.json").write_text(json.dumps({"benchmark": "reliability", "parts": parts, "not_run": ["full", "fuzz pte"]}))
    evidence = gather([tmp_path])
    assert list(tables.bad_days(evidence))[2:] == ["| kills | 200 | 190 killed | 1 |", "| full | not run |  |  |", "", "some, 1 core, 2026-11-22."]
    lines = list(tables.fuzzed(evidence))
    assert lines[2] == "| text, changed at random | 1 | 1,000 | 1,000 (lock) | 0 | 0.2 s | 1.0 GB |"
    assert lines[3].startswith("| binary, changed at random | not run |")
    assert "Not run: 1 readers with changed files, 0 with files of a search; `reliability.json` names them." in lines


def test_growth_is_the_factor_between_the_ends_of_an_axis(tables, tmp_path):
    def point(value, ours, theirs):
        return {"value": value, "timed": [{"variant": "edgekit", "min_ms": ours}, {"variant": "naive", "min_ms": theirs}]}

    document = {"benchmark": "growth", "target": "onnx", "axis": "batch", "points": [point(1, 10.0, 20.0), point(8, 80.0, 150.0)]}
    (tmp_path / "x.json").write_text(json.dumps(document))
    lines = list(tables.growth(gather([tmp_path])))
    assert lines[3] == "| 1 to 8 pictures | not measured yet | not measured yet | 8.00, 7.50 |"


def test_floors_are_shares_of_the_own_time_and_the_stored_ratios(tables, tmp_path):
    (tmp_path / "x.json").write_text(json.dumps({"benchmark": "other"}))
    assert list(tables.floors(gather([tmp_path])))[2].startswith("| not measured yet |")
    classes = {"products": 6.0, "functions": 2.0, "sums, norms and the rest": 1.5, "moves": 0.5}
    one = {"target": "onnx", "ratio": 0.5, "floor": 0.4, "edgekit": {"classes": classes}}
    document = {"benchmark": "where_time_goes", "model": "net", "resolution": 32, "profiles_of": [one]}
    (tmp_path / "x.json").write_text(json.dumps(document))
    assert list(tables.floors(gather([tmp_path])))[2] == "| net, 32, onnxruntime | 60% | 20% | 15% | 5% | 0.50 | 0.40 |"


def test_the_zoo_counts_what_passed_by_target(tables, tmp_path):
    (tmp_path / "x.json").write_text(json.dumps({"benchmark": "other"}))
    assert list(tables.zoo(gather([tmp_path])))[2].startswith("| not stored yet |")
    rows = [{"name": name, "target": "onnx", "passed": name == "A"} for name in "AB"] + [{"name": "A", "target": "coreml", "passed": True}]
    (tmp_path / "x.json").write_text(json.dumps({"benchmark": "zoo", "what": "modules", "results": rows}))
    assert list(tables.zoo(gather([tmp_path])))[2] == "| 2 modules | 1 | 0 | 0 | 1 | 0 | 2 of 10 |"
