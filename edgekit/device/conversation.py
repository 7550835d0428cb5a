"""One run on a phone: gates, push, then for each process start, poll, pull, check, keep.

Whatever goes wrong in the middle, what the phone had finished is fetched if it still can be, checked, and kept; the error says where.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from edgekit.artifact import size_bytes
from edgekit.device import results
from edgekit.device.driver import PARTIAL, PLAN, REPORT, Driver, Phone
from edgekit.device.gate import gate
from edgekit.device.integer_json import parse
from edgekit.device.plan import Plan
from edgekit.device.report import Report, report_from_json
from edgekit.device.store import Store
from edgekit.device.validate import check_report, worst_thermal
from edgekit.errors import (
    AppStoppedError,
    DeviceClockError,
    DeviceError,
    DeviceFullError,
    DeviceHotError,
    EdgekitError,
    NoDeviceError,
    ReportError,
    SeveralDevicesError,
)

_MOST_CLOCK_SKEW_S = 600
_GONE_POLLS = 3
_SPARE_BYTES = 64 * 1024 * 1024
_SLACK_S = 300.0
"""What a run may take beyond what its plan allows: opening models, compiling them for an accelerator."""


@frozen(kw_only=True)
class Time:
    """The host's clock; tests bring their own."""

    monotonic: Callable[[], float] = time.monotonic
    unix: Callable[[], float] = time.time
    sleep: Callable[[float], Any] = time.sleep
    poll_s: float = 1.0


@frozen(kw_only=True)
class Run:
    """What came of a run. ``results`` is the file with the rows."""

    document: dict[str, Any]
    results: Path


@frozen(kw_only=True)
class Conversation:
    """Talks one plan through with one phone.

    :param artifacts: the models' files here, by the names in the plan.
    :param say: told what happens, a line each.
    """

    driver: Driver
    phone: Phone
    plan: Plan
    artifacts: Mapping[str, Path]
    store: Store
    say: Callable[[str], Any] = lambda _: None
    time: Time = field(factory=Time)

    def run(self) -> Run:
        """Carry the plan out.

        :raises DeviceError: of the kind that names what failed; ``details["kept"]`` says which files hold what was measured.
        :raises ReportError: the phone's report cannot be believed; it is kept, and named in ``details["kept"]``.
        """
        self._check_room()
        self._wait_until_cool()
        files = {PLAN: self.store.put_plan(self.plan), **self.artifacts}
        self.say(f"push {len(files)} files to {self.phone.serial}")
        self.driver.push(self.phone, self.plan.run_id, files)
        reports: list[Report] = []
        try:
            for process in range(self.plan.processes):
                self.say(f"process {process + 1} of {self.plan.processes}")
                self._start(process)
                reports.append(self._report(process))
        except EdgekitError as error:
            if isinstance(error, DeviceError):
                with contextlib.suppress(DeviceError, ReportError):
                    reports.append(self.salvage(len(reports)))
            self._keep(reports, error)
            raise
        written = self._put(reports)
        with contextlib.suppress(DeviceError):  # what is left behind there costs room, not results
            self.driver.clean(self.phone, self.plan.run_id)
        worst = worst_thermal(reading for report in reports for reading in report.env)
        if any(result.status == "invalid" for report in reports for result in report.results):
            hot = DeviceHotError(
                "the run counts as invalid",
                what=f"the phone was {worst}, the plan allows {self.plan.thermal.max_start}",
                why="a warm phone slows itself down",
                hint="let it cool down out of its case, off its charger, and run again; --max-thermal allows more",
            )
            self._keep(reports, hot)
            raise hot
        return written

    def salvage(self, process: int) -> Report:
        """Return what the phone wrote of a process: its report, or else what it had finished on the way.

        :raises DeviceError: it cannot be asked. :raises ReportError: there is nothing that could be believed.
        """
        names = self.driver.names(self.phone, self.plan.run_id)
        for name in (REPORT.format(process=process), PARTIAL.format(process=process)):
            if name in names:
                return self._checked(self.driver.fetch(self.phone, self.plan.run_id, name), name)
        raise ReportError("missing", f"the phone has no report of process {process}")

    def pull(self) -> Run:
        """Fetch what an earlier run left on the phone: after the cable was out, say.

        :raises DeviceError: the phone cannot be asked. :raises ReportError: it has none of this run, or one that cannot be believed.
        """
        reports = []
        for process in range(self.plan.processes):
            with contextlib.suppress(ReportError):
                reports.append(self.salvage(process))
        if not reports:
            raise ReportError("missing", "the phone has no report of this run", what=self.plan.run_id, hint="run it again")
        return self._put(reports)

    def _check_room(self) -> None:
        room = self.driver.room(self.phone)
        # Android's models are there twice for a moment: pushed, and copied into the app's folder.
        needed = 2 * sum(size_bytes(path) for path in self.artifacts.values()) + _SPARE_BYTES
        if room.free_bytes is not None and room.free_bytes < needed:
            raise DeviceFullError(
                "the phone has no room for the models",
                what=f"{room.free_bytes / 1e6:,.0f} MB are free",
                why=f"{needed / 1e6:,.0f} MB are needed",
                hint="free some of its storage, or run fewer artifacts at once",
            )
        skew = 0.0 if room.unix_s is None else room.unix_s - self.time.unix()
        if abs(skew) > _MOST_CLOCK_SKEW_S:
            raise DeviceClockError(
                "the phone's clock is wrong",
                what=f"it is {abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's",
                why="stored results could not be put in order",
                hint="turn on automatic date and time on the phone, or correct this machine's clock",
            )

    def _wait_until_cool(self) -> None:
        limit, began = self.plan.thermal, self.time.monotonic()
        while True:
            thermal = self.driver.condition(self.phone).thermal
            decision = gate(thermal, limit.max_start, int((self.time.monotonic() - began) * 1e3), limit.wait_ms)
            if decision == "start":
                return
            if decision == "refuse":
                raise DeviceHotError(
                    "the phone is too hot to begin",
                    what=f"it is {thermal}, the plan allows {limit.max_start}",
                    why=f"it did not cool down within {limit.wait_ms / 1e3:g} s",
                    hint="take it out of its case and off its charger; --max-thermal allows more",
                )
            self.say(f"waiting for the phone to cool down: {thermal}")
            self.time.sleep(self.time.poll_s * 5)

    def _start(self, process: int) -> None:
        self._wait_until_cool()
        self.driver.start(self.phone, self.plan.run_id, process)

    def _report(self, process: int) -> Report:
        wanted, end = REPORT.format(process=process), self.time.monotonic() + _deadline_s(self.plan)
        gone = 0
        while True:
            # Asked before the names: a report may come right before the end. Several times: a process that was just started is not there at once.
            gone = 0 if self.driver.is_running(self.phone) else gone + 1
            if wanted in self.driver.names(self.phone, self.plan.run_id):
                return self._checked(self.driver.fetch(self.phone, self.plan.run_id, wanted), wanted)
            if gone >= _GONE_POLLS:
                raise AppStoppedError(
                    "the harness ended without a report",
                    why="the system ended it (memory, or it was swiped away), or it failed",
                    hint="keep its screen in front; run fewer artifacts at once",
                )
            if self.time.monotonic() >= end:
                raise AppStoppedError("the harness did not finish in time", what=f"{_deadline_s(self.plan):,.0f} s", hint="lower --samples")
            self.time.sleep(self.time.poll_s)

    def _checked(self, content: bytes, name: str) -> Report:
        """Keep a report as it came, then check it."""
        try:
            report = report_from_json(parse(content, name))
            check_report(report, self.plan, partial=not name.startswith("report"))
        except ReportError as error:
            error.details["kept"] = [str(self.store.put(f"refused-{name}", content))]
            raise
        self.store.put(name, content)
        return report

    def _put(self, reports: list[Report]) -> Run:
        document = results.document(self.plan, reports, self.artifacts)
        return Run(document=document, results=self.store.put_results(document))

    def _keep(self, reports: list[Report], error: EdgekitError) -> None:
        kept = list(error.details.get("kept", []))
        if any(report.results for report in reports):
            kept.append(str(self._put(reports).results))
        error.details |= {"run_id": self.plan.run_id, "kept": kept}
        error.hint = " ".join(filter(None, (error.hint, f"(what was measured is in {', '.join(kept)})" if kept else None))) or None


def choose(driver: Driver, serial: str | None) -> Phone:
    """Return the phone to use.

    :param serial: as ``edgekit device list`` shows it; ``None``: the only one.
    :raises NoDeviceError: none, not that one, or one that is not ready. :raises SeveralDevicesError: more than one, and none was chosen.
    """
    connected = driver.phones()
    wanted = [phone for phone in connected if serial is None or phone.serial == serial]
    listed = ", ".join(f"{phone.serial} ({phone.model})" for phone in connected) or "none"
    if not wanted:
        hint = "plug one in; on Android turn on USB debugging, on iOS developer mode" if not connected else "edgekit device list"
        raise NoDeviceError("no such phone is connected" if serial else "no phone is connected", what=f"connected: {listed}", hint=hint)
    if len(wanted) > 1:
        ready = [phone for phone in wanted if phone.ready is None]
        if len(ready) != 1 or serial is not None:
            raise SeveralDevicesError("several phones are connected", what=listed, hint="--device SERIAL chooses one")
        wanted = ready
    if wanted[0].ready is not None:
        raise NoDeviceError(f"{wanted[0].serial} cannot be talked to", why=wanted[0].ready)
    return wanted[0]


def _deadline_s(plan: Plan) -> float:
    """Return how long a process may take: all waits, warm-ups and samples at their longest, and some."""
    each = 2 * plan.measure.max_ms + plan.cooldown_ms
    return _SLACK_S + (plan.thermal.wait_ms + len(plan.variants) * each) / 1e3
