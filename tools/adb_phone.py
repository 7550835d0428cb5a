"""A phone that is none: the real adbd in a network namespace of its own, stand-ins for Android's shell tools, the native runner as the app.

    unshare -n python tools/adb_phone.py RUNNER ARTIFACT POLICY

The real adb client and ``edgekit device`` talk to it as to a phone; prints what was seen, ends with 1 where it is not as it should be.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import native
import toolchains

_SERIAL = "emulator-5554"  # what adb calls a device that answers on this machine
_APP = "dev.edgekit.latency"
_TOOLS = {
    "pm": f'[ "$2" = {_APP} ] && echo package:/data/app/base.apk',
    "run-as": f'[ "$1" = {_APP} ] || exit 1\nshift\ncd /mnt/app && exec "$@"',
    "dumpsys": 'case $1 in thermalservice) echo "Thermal Status: 0";; battery) echo "  level: 80"; echo "  USB powered: true";; esac',
    "pidof": "pid=$(cat /mnt/app/pid 2>/dev/null) && kill -0 $pid 2>/dev/null && echo $pid",
    "am": """case $1 in
force-stop) kill $(cat /mnt/app/pid 2>/dev/null) 2>/dev/null; rm -f /mnt/app/pid;;
start)
  case $(cat /mnt/mode) in
  dies) echo "Starting: Intent"; exit 0;;
  unplugged) kill -9 $(cat /mnt/adbd.pid);;
  *) /opt/native_runner /mnt/app/files/$6 $9 >/mnt/log 2>&1 & echo $! >/mnt/app/pid; echo "Starting: Intent";;
  esac;;
esac""",
}


def _phone(root: Path, folder: Path, runner: Path) -> "subprocess.Popen[bytes]":
    """Start adbd with stand-ins beside it."""
    (root / "data").mkdir(exist_ok=True)
    for name in ("bin", "app/files"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, lines in _TOOLS.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{lines}\n")
        (folder / "bin" / name).chmod(0o755)
    inside = ["bwrap", "--die-with-parent", "--ro-bind", str(root), "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/data"]  # noqa: S108  its own
    inside += ["--ro-bind", str(runner.parent), "/opt", "--ro-bind", str(native.libraries()), "/srv", "--bind", str(folder), "/mnt"]
    inside += ["--setenv", "PATH", "/mnt/bin:/usr/bin:/bin", "--setenv", "LD_LIBRARY_PATH", "/srv"]
    adbd = subprocess.Popen([*inside, "/usr/lib/android-sdk/platform-tools/adbd"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (folder / "adbd.pid").write_text(str(adbd.pid))
    return adbd


def _edgekit(*words: str) -> tuple[int, dict[str, object], str]:
    done = subprocess.run([sys.executable, "-m", "edgekit", "device", *words, "--json"], capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def _expect(holds: object, what: str, seen: object) -> None:
    if not holds:
        sys.stderr.write(f"{what}: {seen}\n")
        raise SystemExit(1)
    sys.stdout.write(f"{what}\n")


def main() -> int:
    """Talk the whole conversation, and two that go wrong."""
    runner, artifact, policy = (Path(word).resolve() for word in sys.argv[1:4])
    root = toolchains.swift()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["HOME"] = name  # adb keeps a key there
        (folder / "mode").write_text("well")
        adbd = _phone(root, folder, runner)
        try:
            time.sleep(2)  # adb looks for devices on this machine when its server starts
            subprocess.run(["adb", "start-server"], capture_output=True, check=True)
            time.sleep(1)
            _, found, said = _edgekit("list", "--platform", "android")
            _expect(_SERIAL in str(found), "the real adb client lists it", found or said)
            run = ("run", "--platform", "android", "--device", _SERIAL, "--artifact", str(artifact), "--policy", str(policy), "--no-preprocess")
            run += ("--samples", "4", "-o", str(folder / "runs"))
            code, found, said = _edgekit(*run)
            rows = found.get("results", [])
            good = code == 0 and isinstance(rows, list) and [row["status"] for row in rows] == ["ok", "ok"]
            _expect(good, "two processes ran, and their reports are valid", (code, found, said[-1000:]))
            for mode, kind in (("dies", "AppStoppedError"), ("unplugged", "DeviceLostError")):
                (folder / "mode").write_text(mode)
                code, found, said = _edgekit(*run)
                told = found.get("error", {})
                _expect(code == 7 and isinstance(told, dict) and told.get("kind") == kind, f"{mode}: {kind}", (code, found, said[-1000:]))
        finally:
            subprocess.run(["adb", "kill-server"], capture_output=True, check=False)
            adbd.kill()
            adbd.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
