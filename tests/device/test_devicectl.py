"""The devicectl driver against recorded JSON.

The JSON here was put together from Apple's documentation and from what public projects read of it; it does not come from a Mac of ours.
"""

import json
import sys

import pytest

from edgekit.device.devicectl import APP, Devicectl
from edgekit.device.driver import Phone
from edgekit.errors import AppMissingError, AppStoppedError, DeviceFullError, DeviceLostError, DeviceToolError

PHONE = Phone(platform="ios", serial="00008130-AB", model="iPhone17,1")
RUN = "0" * 32
STAND_IN = """#!{python} -IS
import json, sys
words = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps(words) + "\\n")
for part, result, fetched in json.load(open({answers!r})):
    if part in " ".join(words):
        print("text that nobody reads")
        if fetched is not None:
            open(words[words.index("--destination") + 1], "w").write(fetched)
        if result is not None:
            open(words[words.index("--json-output") + 1], "w").write(json.dumps(result))
        sys.exit(0 if result and result["info"]["outcome"] == "success" else 1)
"""


def success(result):
    return {"info": {"outcome": "success", "jsonVersion": 2, "commandType": "devicectl"}, "result": result}


def failure(sentence):
    inner = {"domain": "NSPOSIXErrorDomain", "code": 28, "userInfo": {"NSLocalizedDescription": {"string": sentence}}}
    told = {"NSLocalizedDescription": {"string": "The operation couldn't be completed."}, "NSUnderlyingError": {"error": inner}}
    return {"info": {"outcome": "failed"}, "error": {"domain": "com.apple.dt.CoreDeviceError", "code": 1, "userInfo": told}}


def row(identifier, *, platform="iOS", tunnel="connected", pairing="paired"):
    return {
        "identifier": identifier,
        "connectionProperties": {"pairingState": pairing, "transportType": "wired", "tunnelState": tunnel},
        "deviceProperties": {"name": "Somebody's iPhone", "osVersionNumber": "27.0", "developerModeStatus": "enabled"},
        "hardwareProperties": {"platform": platform, "productType": "iPhone17,1", "udid": identifier},
    }


@pytest.fixture
def devicectl(tmp_path, monkeypatch):
    """Put a stand-in on the path that gives these answers (words, JSON, content of a copied file), and log what it is asked."""

    def make(*answers):
        log, given = tmp_path / "log", tmp_path / "answers.json"
        given.write_text(json.dumps([(*answer, None)[:3] for answer in answers]))
        program = tmp_path / "bin" / "xcrun"
        program.parent.mkdir()
        program.write_text(STAND_IN.format(python=sys.executable, log=str(log), answers=str(given)))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent))
        return Devicectl(), lambda: [json.loads(line) for line in log.read_text().splitlines()]

    return make


def test_phones_are_listed_and_watches_are_not(devicectl):
    rows = [row("A"), row("W", platform="watchOS"), row("B", tunnel="unavailable"), row("C", pairing="unpaired")]
    driver, _ = devicectl(("list devices", success({"devices": rows})))
    found = driver.phones()
    assert [(phone.serial, phone.model, phone.os) for phone in found] == [(name, "iPhone17,1", "27.0") for name in "ABC"]
    assert [phone.ready is None for phone in found] == [True, False, False]


def test_the_bundle_id_comes_last_in_a_launch(devicectl):
    driver, asked = devicectl(("process launch", success({"process": {"processIdentifier": 7}})))
    driver.start(PHONE, RUN, 1)
    (words,) = asked()
    assert words[:4] == ["devicectl", "device", "process", "launch"]
    assert words[-1] == APP
    assert json.loads(words[words.index("--environment-variables") + 1]) == {"EDGEKIT_RUN": RUN, "EDGEKIT_PROCESS": "1"}
    assert words.index("--terminate-existing") < words.index(APP)


def test_files_go_to_the_apps_documents_and_come_back(devicectl, tmp_path):
    driver, asked = devicectl(("copy to", success({})), ("copy from", success({}), '{"schema":"x"}'))
    driver.push(PHONE, RUN, {"net.mlpackage": tmp_path})
    assert driver.fetch(PHONE, RUN, "report-0.json") == b'{"schema":"x"}'
    sent, fetched = asked()
    assert sent[sent.index("--destination") + 1] == f"Documents/{RUN}/net.mlpackage"
    assert fetched[fetched.index("--source") + 1] == f"Documents/{RUN}/report-0.json"


def test_what_runs_and_what_lies_there(devicectl):
    processes = [{"executable": "file:///private/var/x/EdgekitLatency.app/EdgekitLatency", "processIdentifier": 7}]
    files = [{"relativePath": f"{RUN}/plan.json"}, {"name": "report-0.json"}, {"other": 1}]
    driver, _ = devicectl(("info processes", success({"runningProcesses": processes})), ("info files", success({"files": files})))
    assert driver.is_running(PHONE) is True
    assert driver.names(PHONE, RUN) == {"plan.json", "report-0.json"}


def test_the_app_is_missing(devicectl):
    driver, _ = devicectl(("info apps", success({"apps": []})))
    with pytest.raises(AppMissingError, match="not installed") as caught:
        driver.require_app(PHONE)
    assert "Xcode" in caught.value.hint


@pytest.mark.parametrize(
    ("sentence", "error"),
    [
        ("The device is not connected.", DeviceLostError),
        ("Connection was lost while copying.", DeviceLostError),
        ("No space left on device", DeviceFullError),
        ("Something else happened.", DeviceToolError),
    ],
)
def test_failures_are_told_apart(devicectl, tmp_path, sentence, error):
    driver, _ = devicectl(("copy to", failure(sentence)))
    with pytest.raises(error) as caught:
        driver.push(PHONE, RUN, {"net.mlpackage": tmp_path})
    assert sentence in str(caught.value)


def test_a_locked_phone_does_not_start_the_app(devicectl):
    driver, _ = devicectl(("process launch", failure("Unable to launch because the device was not, or could not be, unlocked.")))
    with pytest.raises(AppStoppedError, match="cannot be started"):
        driver.start(PHONE, RUN, 0)


@pytest.mark.parametrize("answer", [None, success([]), success({"other": 1})])
def test_what_is_no_json_of_the_known_form_is_refused(devicectl, answer):
    driver, _ = devicectl(("list devices", answer))
    with pytest.raises(DeviceToolError):
        driver.phones()


def test_without_a_mac_there_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceToolError, match="xcrun is not on this machine"):
        Devicectl()
