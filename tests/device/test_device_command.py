"""``edgekit device`` from the command line, with a phone that tests make up."""

import json
from functools import partial

import pytest
from phones import RUN_ID, FakePhone, plan_json, report_json

from edgekit.artifact import digest, manifest_path
from edgekit.cli import device as command
from edgekit.device import build
from edgekit.device.driver import Room
from edgekit.device.integer_json import canonical
from edgekit.device.plan import Warmup


@pytest.fixture
def pte(tmp_path):
    """A file with a manifest that says it is an ExecuTorch program of one method."""

    def write(name="net.pte", **changes):
        path = tmp_path / name
        path.write_bytes(b"program of " + name.encode())
        document = {
            "schema_version": 1,
            "artifact": {"sha256": digest(path)},
            "model": {"name": "net"},
            "methods": [
                {
                    "name": "forward",
                    "inputs": [{"name": "image", "dtype": "float32", "shape": [1, 3, 8, 8], "layout": "NCHW"}],
                    "outputs": [{"name": "logits", "dtype": "float32", "shape": [1, 10], "layout": "NC"}],
                }
            ],
            "preprocessing": {"resolution": 8, "crop_ratio": 0.875, "interpolation": "bicubic", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
            "early_exit": None,
        }
        manifest_path(path).write_text(json.dumps(document | changes))
        return path

    return write


@pytest.fixture
def phone(monkeypatch):
    """One phone for every platform, and no waiting."""
    driver = FakePhone(polls=0)
    monkeypatch.setattr(command, "_driver", lambda name: driver)
    monkeypatch.setattr(FakePhone, "room", lambda self, phone: Room(free_bytes=None, unix_s=None))
    return driver


def test_a_dry_run_prints_the_plan_and_talks_to_nobody(cli, pte, monkeypatch):
    monkeypatch.setattr(command, "_driver", lambda name: pytest.fail("talked"))
    ran = cli("device", "run", "--platform", "android", "--artifact", pte(), "--compute", "cpu", "--compute", "gpu", "--dry-run")
    assert ran.code == 0, ran.err
    plan = ran.document()
    assert [variant["id"] for variant in plan["variants"]] == ["net.pte.cpu", "net.pte.gpu"]
    assert {variant["model_sha256"] for variant in plan["variants"]} == {digest(pte())}
    assert plan["variants"][0]["stages"][0]["inputs"][0] == {"name": "image", "dtype": "float32", "shape": [1, 3, 8, 8], "fill": "noise"}
    assert plan["variants"][0]["picture"]["mean_micro"] == [500_000] * 3


def test_a_report_that_cannot_be_believed_is_3_and_kept(cli, pte, phone, tmp_path):
    ran = cli("device", "run", "--platform", "android", "--artifact", pte(), "--samples", "4", "-o", tmp_path / "runs", "--json")
    assert ran.code == 3, "the made-up phone warms up twice, the plan asks for five"
    document = ran.document()
    assert "2 warm-up calls" in document["error"]["what"]
    assert document["kept"] == [str(tmp_path / "runs" / document["run_id"] / "refused-report-0.json")]


def test_a_run_prints_a_table_or_rows_as_bench_does(cli, pte, phone, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "Warmup", partial(Warmup, min=1))
    ran = cli("device", "run", "--platform", "android", "--artifact", pte(), "--samples", "4", "-o", tmp_path / "runs")
    assert ran.code == 0, ran.err
    head, *rows = ran.out.splitlines()
    assert head.split() == [
        "variant",
        "process",
        "status",
        "unit",
        "load",
        "ms",
        "first",
        "ms",
        "min",
        "ms",
        "p50",
        "ms",
        "p90",
        "ms",
        "picture",
        "ms",
    ]
    assert [row.split()[:4] for row in rows] == [["net.pte", "0", "ok", "cpu"], ["net.pte", "1", "ok", "cpu"]]
    assert "results.json" in ran.err
    more = ("--artifact", pte("other.pte"), "--samples", "4", "-o", tmp_path / "runs", "--json")
    rows = cli("device", "run", "--platform", "android", "--artifact", pte(), *more).document()["results"]
    assert [(row["variant"], row["method"], len(row["samples_ms"])) for row in rows] == [("net.pte", "forward", 4), ("other.pte", "forward", 4)] * 2


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--platform", "android", "--artifact", "no.pte"), 3, "no artifact no.pte"),
        (("--platform", "anroid", "--artifact", "no.pte"), 2, "did you mean 'android'?"),
        (("--platform", "android", "--artifact", "net.mlpackage"), 3, "no artifact"),
        (("--platform", "android"), 2, "--artifact"),
    ],
)
def test_refusals(refused, arguments, code, sentence):
    assert sentence in refused(code, "device", "run", *arguments)


def test_what_a_platform_does_not_run(refused, pte, tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"x")
    assert "does not run on android" in refused(2, "device", "run", "--platform", "android", "--artifact", tmp_path / "net.onnx")
    assert "the plan's compute cannot be" in refused(3, "device", "run", "--platform", "android", "--artifact", pte(), "--compute", "tpu")
    assert "the plan's thermal cannot be" in refused(3, "device", "run", "--platform", "android", "--artifact", pte(), "--max-thermal", "warm")


def test_an_artifact_with_exits_needs_a_policy(refused, pte):
    outputs = [{"name": "logits", "dtype": "float32", "shape": [1, 10], "layout": "NC"}]
    image = [{"name": "image", "dtype": "float32", "shape": [1, 3, 8, 8], "layout": "NCHW"}]
    methods = [{"name": f"exit_{k}", "inputs": image, "outputs": outputs} for k in (1, 2)]
    path = pte(methods=methods)
    assert "net.pte holds no policy" in refused(3, "device", "run", "--platform", "android", "--artifact", path)


def test_no_tool_is_7(refused, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "adb is not on this machine" in refused(7, "device", "list", "--platform", "android")
    assert "adb is not on this machine" in refused(7, "device", "list")


def test_phones_are_listed(cli, phone):
    ran = cli("device", "list", "--platform", "android")
    assert ran.out.splitlines()[1].split() == ["A1", "android", "Pixel", "ready"]
    document = cli("device", "list", "--platform", "android", "--json").document()
    assert document["devices"] == [{"platform": "android", "device": "A1", "model": "Pixel", "os": None, "ready": True, "why": None}]


def test_validate(cli, refused, tmp_path):
    plan, report = tmp_path / "plan.json", tmp_path / "report.json"
    plan.write_text(canonical(plan_json()))
    report.write_text(canonical(report_json(plan_json())))
    assert cli("device", "validate", report, "--plan", plan).out == f"report.json: process 0 of run {RUN_ID}, 2 results, valid\n"
    document = cli("device", "validate", report, "--plan", plan, "--json").document()
    assert (document["verdict"], [row["status"] for row in document["results"]]) == ("valid", ["ok", "ok"])
    report.write_text(report.read_text().replace("1001,999", "1001,998"))
    assert "the summary is not that of the samples" in refused(3, "device", "validate", report, "--plan", plan)
    assert "cannot read" in refused(3, "device", "validate", tmp_path / "no.json", "--plan", plan)


def test_pull_without_that_run(refused, tmp_path):
    assert "cannot read plan.json" in refused(3, "device", "pull", RUN_ID, "--platform", "android", "-o", tmp_path)
    assert "is no run" in refused(3, "device", "pull", "../x", "--platform", "android", "-o", tmp_path)
