"""A run on a phone that does what it is told, and on phones that go wrong: the kind of error, and what is kept."""

import json

import pytest
from phones import RUN_ID, SMALL, FakePhone, FakeTime, failed

from edgekit.device.conversation import Conversation, choose
from edgekit.device.driver import Phone
from edgekit.device.store import Store
from edgekit.errors import (
    AppStoppedError,
    DeviceClockError,
    DeviceFullError,
    DeviceHotError,
    DeviceLostError,
    NoDeviceError,
    ReportError,
    SeveralDevicesError,
)


@pytest.fixture
def talk(tmp_path):
    """A conversation with a phone, and its clock."""

    def make(driver):
        files = {}
        for variant in SMALL.variants:
            files[variant.model] = tmp_path / variant.model
            files[variant.model].write_bytes(b"model")
        clock = FakeTime()
        (phone,) = driver.phones()
        return Conversation(driver=driver, phone=phone, plan=SMALL, artifacts=files, store=Store.of(tmp_path / "runs", RUN_ID), time=clock)

    return make


def kept(tmp_path):
    return {path.name for path in (tmp_path / "runs" / RUN_ID).iterdir()}


def test_a_run_pushes_starts_polls_pulls_checks_and_keeps(talk, tmp_path):
    driver = FakePhone()
    done = talk(driver).run()
    assert driver.told == ["push", "start 0", "start 1", "clean"]
    assert kept(tmp_path) == {"plan.json", "report-0.json", "report-1.json", "results.json"}
    assert json.loads(done.results.read_text()) == done.document
    rows = done.document["results"]
    assert [(row["variant"], row["process"]) for row in rows] == [("net.pte", 0), ("exits.tflite", 0), ("net.pte", 1), ("exits.tflite", 1)]
    assert (rows[0]["p50_ms"], rows[0]["min_ms"], rows[0]["load_ms"], rows[0]["preprocess_p50_ms"]) == (0.001, 0.000999, 0.005, 0.0005)
    assert rows[0]["exits"] is None
    assert [(exit_["count"], exit_["share"]) for exit_ in rows[1]["exits"]["by_exit"]] == [(2, 0.5), (2, 0.5)]
    assert rows[1]["exits"]["expected_ms"] == 0.001001  # 4005 / 4, half up
    bench = {"artifact", "method", "threads", "load_ms", "first_ms", "samples_ms", "p50_ms", "p90_ms", "min_ms", "peak_memory_bytes"}
    assert bench <= rows[0].keys()


def test_a_model_that_did_not_load_is_a_row_without_times(talk):
    def change(report):
        report["results"][0] = failed(report["results"][0])

    row = talk(FakePhone(change=change)).run().document["results"][0]
    assert (row["status"], row["error"], row["p50_ms"], row["samples_ms"]) == ("load_failed", "no such operator", None, [])


@pytest.mark.parametrize(
    ("trouble", "error", "sentence"),
    [
        ("unplugged", DeviceLostError, "the connection to A1 is gone"),
        ("killed", AppStoppedError, "the harness ended without a report"),
        ("hangs", AppStoppedError, "the harness did not finish in time"),
    ],
)
def test_what_was_measured_before_is_kept(talk, tmp_path, trouble, error, sentence):
    with pytest.raises(error, match=sentence) as caught:
        talk(FakePhone(trouble)).run()
    assert caught.value.exit_code == 7
    (results,) = caught.value.details["kept"]
    assert results in caught.value.hint
    rows = json.loads((tmp_path / "runs" / RUN_ID / "results.json").read_text())["results"]
    # Of the second process what it had finished on the way, if the phone could still be asked.
    assert [row["process"] for row in rows] == ([0, 0] if trouble == "unplugged" else [0, 0, 1])
    assert all(row["complete"] == (row["process"] == 0) for row in rows)
    assert [(row["status"], len(row["samples_ms"])) for row in rows if not row["complete"]] == [("invalid", 1)] * (trouble != "unplugged")


def test_an_app_that_is_slow_to_start_is_not_taken_for_a_dead_one(talk):
    assert len(talk(FakePhone("slow to start")).run().document["results"]) == 4


def test_after_the_cable_is_back_the_rest_is_pulled(talk, tmp_path):
    driver = FakePhone("unplugged")
    conversation = talk(driver)
    with pytest.raises(DeviceLostError):
        conversation.run()
    driver.trouble = None
    rows = conversation.pull().document["results"]
    assert [(row["process"], row["complete"]) for row in rows] == [(0, True), (0, True), (1, False)]
    assert kept(tmp_path) == {"plan.json", "report-0.json", "partial-1.json", "results.json"}


@pytest.mark.parametrize("trouble", ["full", "full while pushing"])
def test_a_full_phone(talk, trouble):
    driver = FakePhone(trouble)
    with pytest.raises(DeviceFullError, match=r"room|full"):
        talk(driver).run()
    assert "start 0" not in driver.told


def test_a_wrong_clock_is_told_before_anything_is_measured(talk):
    driver = FakePhone("clock")
    with pytest.raises(DeviceClockError, match="the phone's clock is wrong") as caught:
        talk(driver).run()
    assert "7,200 s ahead" in caught.value.what
    assert driver.told == []


def test_a_warm_phone_is_waited_for(talk):
    conversation = talk(FakePhone(heat=["serious", "fair"]))
    conversation.run()
    assert conversation.time.now >= 2 * 5


def test_a_phone_that_stays_hot_is_not_measured(talk):
    driver = FakePhone(heat=["serious"] * 9)
    with pytest.raises(DeviceHotError, match="too hot to begin"):
        talk(driver).run()
    assert driver.told == []


def test_throttling_meanwhile_makes_the_run_invalid_and_keeps_it(talk, tmp_path):
    def change(report):
        report["env"][1]["thermal"] = "fair"
        for result in report["results"]:
            result |= {"status": "invalid", "error": "the phone got warmer: fair"}

    with pytest.raises(DeviceHotError, match="the run counts as invalid") as caught:
        talk(FakePhone(change=change)).run()
    assert caught.value.exit_code == 7
    document = json.loads((tmp_path / "runs" / RUN_ID / "results.json").read_text())
    assert document["context"]["thermal"] == {"start": "nominal", "worst": "fair", "end": "fair"}
    assert {row["status"] for row in document["results"]} == {"invalid"}


def test_the_report_of_another_run_is_refused_and_kept_apart(talk, tmp_path):
    def change(report):
        report["run_id"] = "f" * 32

    with pytest.raises(ReportError, match="cannot be believed") as caught:
        talk(FakePhone(change=change)).run()
    assert (caught.value.exit_code, caught.value.code) == (3, "run_id")
    assert kept(tmp_path) == {"plan.json", "refused-report-0.json"}


def test_a_report_that_is_no_json_is_refused_and_kept_apart(talk, tmp_path, monkeypatch):
    monkeypatch.setattr(FakePhone, "fetch", lambda self, phone, run_id, name: b"\x00not json")
    with pytest.raises(ReportError) as caught:
        talk(FakePhone()).run()
    assert caught.value.code == "json"
    assert (tmp_path / "runs" / RUN_ID / "refused-report-0.json").read_bytes() == b"\x00not json"


def test_nothing_to_pull(talk):
    with pytest.raises(ReportError, match="no report of this run"):
        talk(FakePhone()).pull()


def phone(serial, ready=None):
    return Phone(platform="android", serial=serial, model="Pixel", ready=ready)


class Listed:
    def __init__(self, *phones):
        self._phones = phones

    def phones(self):
        return self._phones


def test_choosing_a_phone():
    assert choose(Listed(phone("A")), None).serial == "A"
    assert choose(Listed(phone("A"), phone("B")), "B").serial == "B"
    assert choose(Listed(phone("A"), phone("B", "offline")), None).serial == "A"


@pytest.mark.parametrize(
    ("phones", "serial", "error", "sentence"),
    [
        ((), None, NoDeviceError, "no phone is connected"),
        ((phone("A"),), "B", NoDeviceError, "no such phone is connected"),
        ((phone("A", "it asks on its screen"),), None, NoDeviceError, "A cannot be talked to"),
        ((phone("A"), phone("B")), None, SeveralDevicesError, "several phones are connected"),
    ],
)
def test_no_phone_to_choose(phones, serial, error, sentence):
    with pytest.raises(error, match=sentence) as caught:
        choose(Listed(*phones), serial)
    assert caught.value.exit_code == 7


@pytest.mark.parametrize("run_id", ["..", "../../etc", "A" * 32, "0" * 31])
def test_an_id_that_names_another_folder_is_refused(tmp_path, run_id):
    with pytest.raises(Exception, match="is no run"):
        Store.of(tmp_path, run_id)
