"""What Android's own tools print, read: lists of devices, thermal service, battery, free space."""

import re

from edgekit.device.driver import Condition, Phone
from edgekit.device.plan import THERMAL

_NOT_READY = {
    "unauthorized": "it asks on its screen whether this computer may debug it: allow that",
    "offline": "it does not answer: unplug it, plug it in again",
    "no permissions": "this user may not use the USB device: see adb's udev rules",
}
_THERMAL_OF = (0, 1, 2, 2, 3, 3, 3)
"""Android's THERMAL_STATUS_NONE, LIGHT, MODERATE, SEVERE, CRITICAL, EMERGENCY, SHUTDOWN, as indices of ``THERMAL``."""


def phones(listing: str) -> tuple[Phone, ...]:
    """Read ``adb devices -l``."""
    found = []
    for line in listing.splitlines():
        match = re.match(r"(\S+)\s+(device|unauthorized|offline|no permissions|\S+)\b(.*)", line)
        if match is None or line.startswith(("List of", "*")):
            continue
        serial, state, rest = match.groups()
        model = re.search(r"model:(\S+)", rest)
        ready = None if state == "device" else _NOT_READY.get(state, f"adb calls it {state}")
        found.append(Phone(platform="android", serial=serial, model=model[1] if model else "unknown", ready=ready))
    return tuple(found)


def condition(thermal: str, battery: str) -> Condition:
    """Read ``dumpsys thermalservice`` and ``dumpsys battery``; what is not there is not known."""
    status = re.search(r"Thermal Status:\s*(\d+)", thermal)
    level = re.search(r"^\s*level:\s*(\d+)", battery, re.MULTILINE)
    powered = re.findall(r"^\s*(?:AC|USB|Wireless|Dock) powered:\s*(true|false)", battery, re.MULTILINE)
    return Condition(
        thermal=None if status is None else THERMAL[_THERMAL_OF[min(int(status[1]), len(_THERMAL_OF) - 1)]],
        battery_pct=None if level is None or int(level[1]) > 100 else int(level[1]),
        charging="true" in powered if powered else None,
    )


def free_bytes(listing: str) -> int | None:
    """Read ``df -k FOLDER``: the fourth column of the last line."""
    columns = listing.strip().splitlines()[-1].split() if listing.strip() else []
    return int(columns[3]) * 1024 if len(columns) >= 4 and columns[3].isdigit() else None
