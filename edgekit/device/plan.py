"""What a phone is to do: ``latency-plan/1``. Integers and strings only; an unknown member is an error.

A variant is one model on one compute unit: its ``stages`` run one after the other. A network without exits has one; with exits, each
takes what the one before hands on, and ``exit_policy`` says where a sample leaves. Inputs are not sent but made on the phone
(:mod:`edgekit.device.noise`), as ``fill`` says:

noise       seeded noise        handed_on   the output of that name of the stage before
zeros       zeros               never       +infinity: thresholds that nobody reaches
"""

import re
from functools import partial
from typing import Any

import attrs
from attrs import field, frozen

from edgekit.errors import PlanError, PolicyError
from edgekit.policy.integers import CONFIDENCE_KINDS, IntegerPolicy
from edgekit.policy.strict_json import Fields

SCHEMA = "latency-plan/1"
ENGINES = ("executorch", "litert", "coreml", "coreai")
UNITS = ("cpu", "gpu", "npu", "all")
DTYPES = ("float32", "float16", "uint8", "int32", "int64", "image")
FILLS = ("noise", "zeros", "handed_on", "never")
STOPS = ("fixed", "settled")
READS = ("confidence", "logits", "nothing")
THERMAL = ("nominal", "fair", "serious", "critical")
"""From cool to hot, in Apple's words; Android's seven steps are put into these four (:mod:`edgekit.device.android`)."""

MOST_SAMPLES = 10_000
_MOST_ELEMENTS = 1 << 28
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@frozen(kw_only=True)
class Tensor:
    """An input, or with ``fill`` ``None`` an output."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    fill: str | None = None


@frozen(kw_only=True)
class Stage:
    """A method of the model's file."""

    entry: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@frozen(kw_only=True)
class ExitPolicy:
    """Where a sample leaves (:mod:`edgekit.policy.integers`), and what is looked at; temperatures in micro-units, of every exit but the last."""

    kind: str
    exits: int
    thresholds_micro: tuple[int | None, ...] | None
    patience: int | None
    exit: int | None
    temperatures_micro: tuple[int, ...] | None
    reads: str


@frozen(kw_only=True)
class PicturePlan:
    """Preprocessing to be timed on a made-up picture of ``width`` x ``height``; fractions in micro-units."""

    width: int
    height: int
    resolution: int
    crop_micro: int
    interpolation: str
    mean_micro: tuple[int, ...]
    std_micro: tuple[int, ...]


@frozen(kw_only=True)
class Variant:
    """One model on one compute unit."""

    id: str
    engine: str
    model: str
    model_sha256: str
    compute: str
    threads: int
    stages: tuple[Stage, ...]
    exit_policy: ExitPolicy | None = None
    picture: PicturePlan | None = None


@frozen(kw_only=True)
class Warmup:
    """Calls before the samples: at least ``min``, until settled (:func:`edgekit.device.summary.settled`), at most ``max``."""

    min: int = 5
    max: int = 60
    window: int = 5
    rel_permille: int = 20


@frozen(kw_only=True)
class Measure:
    """Samples of a variant in a process (:func:`edgekit.device.summary.stop_reason`)."""

    min: int = 30
    max: int = 40
    min_ms: int = 0
    max_ms: int = 60_000
    stop: str = "fixed"


@frozen(kw_only=True)
class Thermal:
    """The hottest state to start in, and how long to wait for it; a run that gets hotter is marked invalid."""

    max_start: str = "nominal"
    wait_ms: int = 120_000


@frozen(kw_only=True)
class Plan:
    """The whole plan."""

    run_id: str
    seed: int = 0
    processes: int = 2
    variants: tuple[Variant, ...] = field()
    warmup: Warmup = field(factory=Warmup)
    measure: Measure = field(factory=Measure)
    order: str = "abba"
    cooldown_ms: int = 0
    thermal: Thermal = field(factory=Thermal)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"schema": SCHEMA} | attrs.asdict(self, value_serializer=lambda _, __, value: list(value) if isinstance(value, tuple) else value)


def plan_from_json(document: Any) -> Plan:
    """Read a plan.

    :raises PlanError: ``schema``; ``shape``: a member is unknown, missing or of the wrong type; else the member that is out of range: ``run_id``,
        ``seed``, ``processes``, ``order``, ``cooldown``, ``warmup``, ``measure``, ``thermal``, ``variants``, ``variant_id``, ``engine``, ``model``,
        ``sha256``, ``compute``, ``threads``, ``stages``, ``tensor``, ``policy``, ``picture``; of several the first in this order, variants in turn.
    """
    if isinstance(document, dict) and document.get("schema") != SCHEMA:
        raise PlanError("schema", "this is no latency plan", what=f"schema {document.get('schema')!r:.40}, not {SCHEMA!r}")
    fields = _fields(document, ("schema", *(attribute.name for attribute in attrs.fields(Plan))), "the plan")
    warmup, measure = _fields(fields.raw("warmup"), _names(Warmup), "warmup"), _fields(fields.raw("measure"), _names(Measure), "measure")
    thermal = _fields(fields.raw("thermal"), _names(Thermal), "thermal")
    plan = Plan(
        run_id=fields.text("run_id"),
        seed=fields.integer("seed"),
        processes=fields.integer("processes"),
        variants=tuple(_variant(row) for row in fields.row("variants", None)),
        warmup=Warmup(**{name: warmup.integer(name) for name in _names(Warmup)}),
        measure=Measure(**{name: measure.integer(name) for name in _names(Measure)[:4]}, stop=measure.text("stop")),
        order=fields.text("order"),
        cooldown_ms=fields.integer("cooldown_ms"),
        thermal=Thermal(max_start=thermal.text("max_start"), wait_ms=thermal.integer("wait_ms")),
    )
    _check(plan)
    return plan


def _names(kind: Any) -> tuple[str, ...]:
    return tuple(attribute.name for attribute in attrs.fields(kind))


def _fields(value: Any, keys: tuple[str, ...], where: str) -> Fields:
    return Fields(value, keys, where, partial(PlanError, "shape"))


def _variant(value: Any) -> Variant:
    row = _fields(value, _names(Variant), "a variant")
    return Variant(
        **{name: row.text(name) for name in ("id", "engine", "model", "model_sha256", "compute")},
        threads=row.integer("threads"),
        stages=tuple(_stage(part) for part in row.row("stages", None)),
        exit_policy=None if row.is_null("exit_policy") else _policy(row.raw("exit_policy")),
        picture=None if row.is_null("picture") else _picture(row.raw("picture")),
    )


def _stage(value: Any) -> Stage:
    row = _fields(value, _names(Stage), "a stage")
    return Stage(entry=row.text("entry"), inputs=tuple(map(_tensor, row.row("inputs", None))), outputs=tuple(map(_tensor, row.row("outputs", None))))


def _tensor(value: Any) -> Tensor:
    row = _fields(value, _names(Tensor), "a tensor")
    fill = None if row.is_null("fill") else row.text("fill")
    return Tensor(name=row.text("name"), dtype=row.text("dtype"), shape=row.integers("shape", None), fill=fill)


def _policy(value: Any) -> ExitPolicy:
    row = _fields(value, _names(ExitPolicy), "an exit policy")
    thresholds: list[Any] | None = None if row.is_null("thresholds_micro") else row.row("thresholds_micro", None)
    for threshold in thresholds or ():
        if threshold is not None and (isinstance(threshold, bool) or not isinstance(threshold, int)):
            raise PlanError("shape", "thresholds_micro are integers and nulls", what=f"{threshold!r:.40}")
    return ExitPolicy(
        kind=row.text("kind"),
        exits=row.integer("exits"),
        thresholds_micro=None if thresholds is None else tuple(thresholds),
        patience=None if row.is_null("patience") else row.integer("patience"),
        exit=None if row.is_null("exit") else row.integer("exit"),
        temperatures_micro=None if row.is_null("temperatures_micro") else row.integers("temperatures_micro", None),
        reads=row.text("reads"),
    )


def _picture(value: Any) -> PicturePlan:
    row = _fields(value, _names(PicturePlan), "a picture")
    whole = {name: row.integer(name) for name in ("width", "height", "resolution", "crop_micro")}
    rows = {name: row.integers(name, None) for name in ("mean_micro", "std_micro")}
    return PicturePlan(**whole, **rows, interpolation=row.text("interpolation"))  # type: ignore[arg-type]


def _check(plan: Plan) -> None:
    warmup, measure = plan.warmup, plan.measure
    _require("run_id", _RUN_ID.fullmatch(plan.run_id), plan.run_id)
    _require("seed", 0 <= plan.seed < 2**31, plan.seed)
    _require("processes", 1 <= plan.processes <= 16, plan.processes)
    _require("order", plan.order == "abba", plan.order)
    _require("cooldown", 0 <= plan.cooldown_ms <= 600_000, plan.cooldown_ms)
    _require("warmup", 0 <= warmup.min <= warmup.max <= 1000 and 1 <= warmup.window <= 100 and 0 <= warmup.rel_permille <= 1000, warmup)
    _require("measure", 1 <= measure.min <= measure.max <= MOST_SAMPLES and measure.stop in STOPS, measure)
    _require("measure", 0 <= measure.min_ms <= measure.max_ms <= 3_600_000, measure)
    _require("thermal", plan.thermal.max_start in THERMAL and 0 <= plan.thermal.wait_ms <= 3_600_000, plan.thermal)
    _require("variants", 1 <= len(plan.variants) <= 64, len(plan.variants))
    _require("variant_id", len({variant.id for variant in plan.variants}) == len(plan.variants), "the same id twice")
    for variant in plan.variants:
        _check_variant(variant)


def _check_variant(variant: Variant) -> None:
    _require("variant_id", _NAME.fullmatch(variant.id), variant.id)
    _require("engine", variant.engine in ENGINES, variant.engine)
    _require("model", is_file_name(variant.model), variant.model)
    _require("sha256", _SHA256.fullmatch(variant.model_sha256), variant.model_sha256)
    _require("compute", variant.compute in UNITS, variant.compute)
    _require("threads", 1 <= variant.threads <= 64, variant.threads)
    _require("stages", 1 <= len(variant.stages) <= 64 and all(_NAME.fullmatch(stage.entry) for stage in variant.stages), len(variant.stages))
    before: set[str] = set()
    for stage in variant.stages:
        _require("stages", stage.inputs and stage.outputs, stage.entry)
        for tensor in (*stage.inputs, *stage.outputs):
            _require("tensor", _is_tensor(tensor), tensor)
        for tensor in stage.inputs:
            _require("tensor", tensor.fill in FILLS and (tensor.fill != "handed_on" or tensor.name in before), tensor)
        _require("tensor", all(tensor.fill is None for tensor in stage.outputs), stage.entry)
        before = {tensor.name for tensor in stage.outputs}
    _check_policy(variant)
    _check_picture(variant.picture)


def _is_tensor(tensor: Tensor) -> bool:
    elements = 1
    for size in tensor.shape:
        if not 1 <= size <= _MOST_ELEMENTS:
            return False
        elements *= size
        if elements > _MOST_ELEMENTS:
            return False
    return bool(_NAME.fullmatch(tensor.name)) and tensor.dtype in DTYPES and len(tensor.shape) <= 8


def _check_policy(variant: Variant) -> None:
    policy = variant.exit_policy
    if policy is None:
        _require("policy", len(variant.stages) == 1, "several stages without a policy")
        return
    try:
        IntegerPolicy(kind=policy.kind, exits=policy.exits, thresholds_micro=policy.thresholds_micro, patience=policy.patience, exit=policy.exit)
    except PolicyError as error:
        raise PlanError("policy", error.summary) from error
    needs = {"patience": ("logits",), "anytime": ("nothing",)}.get(policy.kind, ("confidence", "logits"))
    _require("policy", policy.exits == len(variant.stages) and policy.reads in needs, policy)
    readable = all(policy.reads in {tensor.name for tensor in stage.outputs} for stage in variant.stages[:-1])
    _require("policy", readable or policy.reads == "nothing", policy)
    if policy.temperatures_micro is not None:
        _require("policy", policy.kind in CONFIDENCE_KINDS and policy.reads == "logits", policy)
        _require("policy", len(policy.temperatures_micro) == policy.exits - 1, policy)
        _require("policy", all(1 <= value <= 10**12 for value in policy.temperatures_micro), policy)


def _check_picture(picture: PicturePlan | None) -> None:
    if picture is None:
        return
    _require("picture", all(1 <= size <= 8192 for size in (picture.width, picture.height)) and 1 <= picture.resolution <= 2048, picture)
    _require("picture", 100_000 <= picture.crop_micro <= 1_000_000 and picture.interpolation in ("bicubic", "bilinear"), picture)
    _require("picture", len(picture.mean_micro) == 3 and all(0 <= value <= 1_000_000 for value in picture.mean_micro), picture)
    _require("picture", len(picture.std_micro) == 3 and all(1 <= value <= 10_000_000 for value in picture.std_micro), picture)


def is_file_name(name: str) -> bool:
    """Whether a name is that of one file or folder right inside another: no separators, no dots at the beginning."""
    return bool(_NAME.fullmatch(name)) and ".." not in name


def _require(code: str, holds: Any, what: object) -> None:
    if not holds:
        raise PlanError(code, f"the plan's {code} cannot be", what=f"{what}"[:200])
