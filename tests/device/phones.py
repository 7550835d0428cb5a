"""Plans, reports and phones that tests make up. A phone here is one that does what it is told, or goes wrong in one way."""

import copy
import json

from attrs import define, field

from edgekit.device.driver import PARTIAL, PLAN, REPORT, Condition, Phone, Room
from edgekit.device.integer_json import canonical, parse
from edgekit.device.plan import ExitPolicy, Measure, PicturePlan, Plan, Stage, Tensor, Thermal, Variant, Warmup
from edgekit.device.summary import summary
from edgekit.errors import DeviceFullError, DeviceLostError

RUN_ID = "0123456789abcdef" * 2
SHA = "ab" * 32
IMAGE = Tensor(name="image", dtype="float32", shape=(1, 3, 8, 8), fill="noise")
LOGITS = Tensor(name="logits", dtype="float32", shape=(1, 10))
SURE = Tensor(name="confidence", dtype="float32", shape=(1,))
FEATURES = Tensor(name="features_0", dtype="float32", shape=(1, 4))
PICTURE = PicturePlan(
    width=40,
    height=30,
    resolution=8,
    crop_micro=875_000,
    interpolation="bicubic",
    mean_micro=(485_000, 456_000, 406_000),
    std_micro=(229_000, 224_000, 225_000),
)
ONE = Variant(
    id="net.pte",
    engine="executorch",
    model="net.pte",
    model_sha256=SHA,
    compute="cpu",
    threads=1,
    stages=(Stage(entry="forward", inputs=(IMAGE,), outputs=(LOGITS,)),),
    picture=PICTURE,
)
EXITS = Variant(
    id="exits.tflite",
    engine="litert",
    model="exits.tflite",
    model_sha256="cd" * 32,
    compute="cpu",
    threads=1,
    stages=(
        Stage(entry="exit_1", inputs=(IMAGE,), outputs=(LOGITS, SURE, FEATURES)),
        Stage(entry="exit_2", inputs=(Tensor(name="features_0", dtype="float32", shape=(1, 4), fill="handed_on"),), outputs=(LOGITS,)),
    ),
    exit_policy=ExitPolicy(
        kind="max_softmax", exits=2, thresholds_micro=(900_000,), patience=None, exit=None, temperatures_micro=None, reads="confidence"
    ),
)
SMALL = Plan(
    run_id=RUN_ID,
    processes=2,
    variants=(ONE, EXITS),
    warmup=Warmup(min=1, max=4, window=1),
    measure=Measure(min=3, max=4),
    thermal=Thermal(max_start="nominal", wait_ms=10_000),
)


def plan_json(**changes):
    """The small plan as plain values, with top-level members changed."""
    return json.loads(canonical(SMALL.to_json())) | changes


def result_json(variant, samples):
    """What a harness that does everything right says of a variant."""
    return {
        "variant": variant["id"],
        "status": "ok",
        "error": None,
        "model_sha256": variant["model_sha256"],
        "engine": {"name": variant["engine"], "version": "1.0"},
        "requested": variant["compute"],
        "actual": variant["compute"],
        "actual_basis": "runtime",
        "load_ns": {"open": 3000, "entry": 2000, "first_call": 1500},
        "cache": "unknown",
        "warmup_ns": [1400, 1100],
        "samples_ns": list(samples),
        "preprocess_ns": [] if variant["picture"] is None else [500] * len(samples),
        "exits": None if variant["exit_policy"] is None else [1 + number % 2 for number in range(len(samples))],
        "stop_reason": "count",
        "memory": {"before_bytes": 1000, "peak_bytes": 5000, "basis": "rss"},
        "operators": None,
        "summary": summary(samples),
        "output_digest": "ef" * 32,
        "output_bits": [0x3F800000, 0],
    }


def report_json(plan, process=0, *, thermal="nominal", complete=True, samples=(1000, 1001, 999, 1005)):
    """The report of a harness that does everything right."""
    reading = {"t_ns": 10, "thermal": thermal, "battery_pct": 80, "charging": False, "low_power": False}
    return {
        "schema": "latency-report/1",
        "run_id": plan["run_id"],
        "process": process,
        "complete": complete,
        "harness": {"name": "test", "version": "1"},
        "device": {"platform": "android", "model": "Pixel", "soc": "G5", "os": "17", "debuggable": True},
        "env": [reading, reading | {"t_ns": 10_000_000}],
        "results": [result_json(variant, samples) for variant in plan["variants"]],
    }


def failed(result, why="no such operator"):
    """The result of a model that did not load."""
    nothing = {"samples_ns": [], "warmup_ns": [], "preprocess_ns": [], "exits": None, "stop_reason": None, "summary": None, "output_bits": []}
    return copy.deepcopy(result) | nothing | {"status": "load_failed", "error": why, "load_ns": None, "memory": None, "output_digest": None}


def cut(result):
    """The result of a model of which one sample was taken when the run was cut short."""
    said = {"status": "invalid", "error": "the run was cut short: 1 samples of at most 4", "stop_reason": "cut", "memory": None}
    rows = {key: None if result[key] is None else result[key][:1] for key in ("samples_ns", "preprocess_ns", "exits")}
    return copy.deepcopy(result) | said | rows | {"summary": summary(rows["samples_ns"])}


@define
class FakeTime:
    """A clock that only sleeping moves."""

    now: float = 0.0
    at_unix: float = 1_800_000_000.0
    poll_s: float = 1.0

    def monotonic(self):
        return self.now

    def unix(self):
        return self.at_unix + self.now

    def sleep(self, seconds):
        self.now += seconds


@define
class FakePhone:
    """A driver with one phone. ``trouble`` names what goes wrong, ``polls`` how often it is asked before a report is there."""

    trouble: str | None = None
    platform: str = "android"
    polls: int = 2
    heat: list = field(factory=list)
    change: object = None
    files: dict = field(factory=dict)
    told: list = field(factory=list)
    process: int = -1
    asked: int = 0

    def phones(self):
        return (Phone(platform="android", serial="A1", model="Pixel"),)

    def require_app(self, phone):
        self.told.append("require_app")

    def room(self, phone):
        free = 1000 if self.trouble == "full" else 10**12
        return Room(free_bytes=free, unix_s=1_800_000_000 + (7200 if self.trouble == "clock" else 0))

    def condition(self, phone):
        return Condition(thermal=self.heat.pop(0) if self.heat else "nominal", battery_pct=80, charging=False)

    def push(self, phone, run_id, files):
        if self.trouble == "full while pushing":
            raise DeviceFullError("the phone is full")
        self.files |= {name: path.read_bytes() for name, path in files.items()}
        self.told.append("push")

    def start(self, phone, run_id, process):
        self.process, self.asked = process, 0
        self.told.append(f"start {process}")
        if process == 0 or self.trouble not in ("killed", "unplugged", "hangs"):
            return
        self.files[PARTIAL.format(process=process)] = self._report(complete=False)

    def _report(self, *, complete=True):
        report = report_json(parse(self.files[PLAN], PLAN), self.process, complete=complete)
        if not complete:
            report["results"] = [cut(report["results"][0])]
        if self.change is not None:
            self.change(report)
        return canonical(report).encode()

    def is_running(self, phone):
        self.asked += 1
        if self.process == 1 and self.trouble == "unplugged":
            raise DeviceLostError("the connection to A1 is gone")
        if self.process == 1 and self.trouble == "killed":
            return False
        if self.trouble == "slow to start" and self.asked <= 2:
            return False
        if self.asked > self.polls and not (self.process == 1 and self.trouble == "hangs"):
            self.files[REPORT.format(process=self.process)] = self._report()
        return True

    def names(self, phone, run_id):
        if self.process == 1 and self.trouble == "unplugged":
            raise DeviceLostError("the connection to A1 is gone")
        return frozenset(self.files)

    def fetch(self, phone, run_id, name):
        return self.files[name]

    def clean(self, phone, run_id):
        self.told.append("clean")
