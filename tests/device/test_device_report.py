"""Runs on phones in ``edgekit report``: what was kept of a run is what the page shows."""

import json
from pathlib import Path

import pytest
from phones import SMALL, cut, plan_json, report_json

from edgekit.device.report import report_from_json
from edgekit.device.results import document
from edgekit.report.build import build_report


@pytest.fixture
def page(tmp_path):
    """Write a run's results and return the page that is made of them, as Markdown."""

    def made(*reports):
        run = tmp_path / "device_runs" / SMALL.run_id
        run.mkdir(parents=True)
        kept = document(SMALL, [report_from_json(report) for report in reports], {})
        (run / "results.json").write_text(json.dumps(kept))
        (run / "plan.json").write_text(json.dumps(plan_json()))
        return Path(build_report([tmp_path / "device_runs"], output_dir=tmp_path).markdown).read_text()

    return made


def lines(page, start):
    return [line for line in page.splitlines() if line.startswith(f"| {start}")]


def test_every_process_is_a_row_with_the_picture_timed_apart(page):
    text = page(*(report_json(plan_json(), process) for process in (0, 1)))
    rows = lines(text, "net.pte")
    assert [row.split("|")[4].strip() for row in rows] == ["0", "1"]
    assert [cell.strip() for cell in rows[0].split("|")[5:13]] == ["ok", "0.01", "0.00", "0.00", "0.00", "0.00", "0.00", "4"]
    assert "android Pixel G5; system 17; debuggable build; thermal state nominal at the start, nominal at worst, nominal at the end" in text
    assert "battery 80% to 80%, not charging; harness test 1" in text


def test_exits_have_their_shares_and_the_mean(page):
    report = report_json(plan_json(), samples=(2_000_000, 4_000_000, 2_000_000, 4_000_000))
    shown = [[cell.strip() for cell in row.split("|")[3:6]] for row in lines(page(report), "exits.tflite") if row.count("|") == 6]
    assert shown == [["1", "50%", "2.00"], ["2", "50%", "4.00"], ["all", "100%", "3.00"]]


def test_what_was_cut_short_or_failed_says_so_and_why(page):
    report = report_json(plan_json(), complete=False)
    text = page(report | {"results": [cut(report["results"][0]) | {"actual": None}]})
    (row,) = lines(text, "net.pte")
    assert "invalid, cut short" in row
    assert "cpu?" in row
    assert "net.pte, process 0: the run was cut short: 1 samples of at most 4" in text
