"""The adb driver against a stand-in for the adb client: what it sends, and what it makes of the answers."""

import json
import sys

import pytest

from edgekit.device.adb import Adb
from edgekit.device.android import condition, free_bytes, phones
from edgekit.device.driver import Condition, Phone
from edgekit.errors import AppMissingError, AppStoppedError, DeviceFullError, DeviceLostError, DeviceToolError

PHONE = Phone(platform="android", serial="A1", model="Pixel")
RUN = "0" * 32
STAND_IN = """#!{python} -IS
import json, sys
words = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps(words) + "\\n")
for part, code, out, err in json.load(open({answers!r})):
    if part in " ".join(words):
        sys.stdout.write(out)
        sys.stderr.write(err)
        sys.exit(code)
"""


@pytest.fixture
def adb(tmp_path, monkeypatch):
    """Put a stand-in on the path that gives these answers (words, code, stdout, stderr), and log what it is asked."""

    def make(*answers):
        log, given = tmp_path / "log", tmp_path / "answers.json"
        given.write_text(json.dumps(answers))
        program = tmp_path / "bin" / "adb"
        program.parent.mkdir()
        program.write_text(STAND_IN.format(python=sys.executable, log=str(log), answers=str(given)))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent))
        return Adb(), lambda: [json.loads(line) for line in log.read_text().splitlines()]

    return make


def test_without_adb_there_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceToolError, match="adb is not on this machine") as caught:
        Adb()
    assert "apt-get install adb" in caught.value.hint


def test_the_list_of_devices_is_read():
    listing = (
        "List of devices attached\n"
        "R5CT30XXXXX            device usb:1-1 product:dm1q model:SM_S911B device:dm1q transport_id:3\n"
        "emulator-5554          offline transport_id:4\n"
        "2A1            unauthorized usb:1-2 transport_id:5\n"
        "* daemon started successfully\n\n"
    )
    first, second, third = phones(listing)
    assert (first.serial, first.model, first.ready) == ("R5CT30XXXXX", "SM_S911B", None)
    assert "does not answer" in second.ready
    assert "asks on its screen" in third.ready


@pytest.mark.parametrize(
    ("thermal", "battery", "expected"),
    [
        ("Thermal Status: 0\n", "  level: 85\n  USB powered: true\n", Condition(thermal="nominal", battery_pct=85, charging=True)),
        ("IsStatusOverride: false\nThermal Status: 3\n", "  AC powered: false\n", Condition(thermal="serious", battery_pct=None, charging=False)),
        ("Thermal Status: 9\n", "  level: 101\n", Condition(thermal="critical", battery_pct=None, charging=None)),
        ("Can't find service: thermalservice\n", "", Condition(thermal=None, battery_pct=None, charging=None)),
    ],
)
def test_the_condition_is_read(thermal, battery, expected):
    assert condition(thermal, battery) == expected


def test_free_space_is_read():
    table = "Filesystem     1K-blocks    Used Available Use% Mounted on\n/dev/block/dm-5 112763984 1234 98765432  13% /data\n"
    assert free_bytes(table) == 98765432 * 1024
    assert free_bytes("") is None


def test_push_goes_through_run_as_and_nothing_is_left(adb, tmp_path):
    driver, asked = adb()
    (tmp_path / "net.pte").write_bytes(b"x")
    driver.push(PHONE, RUN, {"net.pte": tmp_path / "net.pte"})
    staged = f"/data/local/tmp/edgekit/{RUN}"
    assert [" ".join(words[2:]) for words in asked()] == [
        f"shell mkdir -p {staged}",
        f"shell run-as dev.edgekit.latency mkdir -p files/{RUN}",
        f"push {tmp_path / 'net.pte'} {staged}/net.pte",
        f"shell run-as dev.edgekit.latency cp -r {staged}/net.pte files/{RUN}/net.pte",
        f"shell rm -rf {staged}",
    ]
    assert all(words[:2] == ["-s", "A1"] for words in asked())


def test_a_start_is_cold_and_names_the_run(adb):
    driver, asked = adb()
    driver.start(PHONE, RUN, 1)
    assert [words[3:] for words in asked()] == [
        ["am", "force-stop", "dev.edgekit.latency"],
        ["am", "start", "-n", "dev.edgekit.latency/.RunActivity", "--es", "run", RUN, "--ei", "process", "1"],
    ]


def test_what_am_calls_an_error_is_one_whatever_its_exit_code(adb):
    driver, _ = adb(("am start", 0, "Error type 3\nError: Activity class {x} does not exist.\n", ""))
    with pytest.raises(AppStoppedError, match="cannot be started"):
        driver.start(PHONE, RUN, 0)


def test_a_file_comes_back_as_it_is(adb):
    driver, asked = adb(("exec-out", 0, '{"schema":"x"}\r\n', ""))
    assert driver.fetch(PHONE, RUN, "report-0.json") == b'{"schema":"x"}\r\n'
    assert asked()[0][2:] == ["exec-out", "run-as", "dev.edgekit.latency", "cat", f"files/{RUN}/report-0.json"]


def test_the_app_has_to_be_there_and_debuggable(adb):
    driver, _ = adb(("run-as", 1, "", "run-as: package not debuggable: dev.edgekit.latency\n"), ("pm path", 0, "package:/data/app/base.apk\n", ""))
    with pytest.raises(AppMissingError, match="no debuggable build"):
        driver.require_app(PHONE)


def test_the_app_is_missing(adb):
    driver, _ = adb(("pm path", 1, "", ""))
    with pytest.raises(AppMissingError, match="not installed") as caught:
        driver.require_app(PHONE)
    assert "installDebug" in caught.value.hint


@pytest.mark.parametrize("said", ["error: device 'A1' not found", "adb: device offline", "error: no devices/emulators found", "error: closed"])
def test_a_phone_that_is_gone(adb, said):
    driver, _ = adb(("pidof", 1, "", said + "\n"))
    with pytest.raises(DeviceLostError, match="the connection to A1 is gone"):
        driver.is_running(PHONE)


def test_an_app_that_is_gone_is_no_phone_that_is_gone(adb):
    driver, _ = adb(("pidof", 1, "", ""))
    assert driver.is_running(PHONE) is False


def test_a_full_phone_is_cleaned_up(adb, tmp_path):
    (tmp_path / "net.pte").write_bytes(b"x")
    driver, asked = adb(("push", 1, "", "adb: error: failed to copy: remote write failed: No space left on device\n"))
    with pytest.raises(DeviceFullError, match="the phone is full"):
        driver.push(PHONE, RUN, {"net.pte": tmp_path / "net.pte"})
    assert asked()[-1][2:] == ["shell", "rm", "-rf", f"/data/local/tmp/edgekit/{RUN}"]


def test_names_and_room(adb):
    driver, _ = adb(("ls", 0, "plan.json\nreport-0.json\n", ""), ("date", 0, "1800000000\n", ""), ("df", 0, "h\n/d 9 1 5 13% /data\n", ""))
    assert driver.names(PHONE, RUN) == {"plan.json", "report-0.json"}
    room = driver.room(PHONE)
    assert (room.free_bytes, room.unix_s) == (5 * 1024, 1_800_000_000)


@pytest.mark.parametrize("name", ["a b", "$(reboot)", "a;b", "a'b", "a\nb", "a&b", "*"])
def test_nothing_that_a_shell_could_read_is_sent(adb, name):
    driver, _ = adb()
    with pytest.raises(DeviceToolError, match="cannot be sent to a phone's shell"):
        driver.fetch(PHONE, RUN, name)
