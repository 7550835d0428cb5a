"""What a phone tells of one process of a run: ``latency-report/1``. Integers and strings only; an unknown member is an error.

``env`` are readings of the phone's state, the first before anything is opened and the last after the last sample, on the same monotonic clock
that everything is timed with. ``requested`` is the compute unit of the plan, ``actual`` the one that ran as far as ``actual_basis`` can
tell: ``plan`` (Core ML's compute plan), ``runtime`` (the engine says so) or ``unknown``. A report with ``complete`` false was written on the
way, in case the app would not live to write another; a variant that had samples to come is in it as ``invalid``, stopped by a ``cut``.
"""

from functools import partial
from typing import Any

import attrs
from attrs import frozen

from edgekit.device.plan import MOST_SAMPLES
from edgekit.errors import ReportError
from edgekit.policy.strict_json import Fields

SCHEMA = "latency-report/1"
STATUSES = ("ok", "load_failed", "run_failed", "invalid")
BASES = ("plan", "runtime", "unknown")
CACHES = ("cold", "warm", "unknown")
STOP_REASONS = ("count", "time", "settled", "cut")
_MOST_TEXT = 4000
_MOST_ROWS = 20_000


@frozen(kw_only=True)
class Device:
    """The phone, in its own words."""

    platform: str
    model: str
    soc: str | None
    os: str
    debuggable: bool | None


@frozen(kw_only=True)
class Reading:
    """The phone's state at ``t_ns`` of the monotonic clock; ``None``: not told."""

    t_ns: int
    thermal: str | None
    battery_pct: int | None
    charging: bool | None
    low_power: bool | None


@frozen(kw_only=True)
class Engine:
    """Which runtime ran it."""

    name: str
    version: str | None


@frozen(kw_only=True)
class LoadTimes:
    """Nanoseconds to open the file, to prepare its methods, and of the first call of all stages."""

    open: int
    entry: int
    first_call: int


@frozen(kw_only=True)
class Memory:
    """Bytes before the model was opened and at most; ``basis`` says of what (``rss``, ``footprint``)."""

    before_bytes: int
    peak_bytes: int
    basis: str


@frozen(kw_only=True)
class Result:
    """One variant. ``exits`` is where each sample left; ``output_bits`` are the first float32 of the last output, as their 32 bits.

    ``operators`` counts the operators that Core ML plans on each unit; ``None``: not told.
    """

    variant: str
    status: str
    error: str | None
    model_sha256: str
    engine: Engine
    requested: str
    actual: str | None
    actual_basis: str
    load_ns: LoadTimes | None
    cache: str
    warmup_ns: tuple[int, ...]
    samples_ns: tuple[int, ...]
    preprocess_ns: tuple[int, ...]
    exits: tuple[int, ...] | None
    stop_reason: str | None
    memory: Memory | None
    operators: dict[str, int] | None
    summary: dict[str, int | None] | None
    output_digest: str | None
    output_bits: tuple[int, ...]


@frozen(kw_only=True)
class Report:
    """The whole report of one process; ``harness`` is the app's name and version."""

    run_id: str
    process: int
    complete: bool
    harness: Engine
    device: Device
    env: tuple[Reading, ...]
    results: tuple[Result, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"schema": SCHEMA} | attrs.asdict(self, value_serializer=lambda _, __, value: list(value) if isinstance(value, tuple) else value)


def report_from_json(document: Any) -> Report:
    """Read a report; whether it belongs to a plan and adds up is for :mod:`edgekit.device.validate`.

    :raises ReportError: ``schema``, or ``shape``: a member is unknown, missing, of the wrong type, none of its words, or too long.
    """
    if isinstance(document, dict) and document.get("schema") != SCHEMA:
        raise ReportError("schema", "this is no latency report", what=f"schema {document.get('schema')!r:.40}, not {SCHEMA!r}")
    row = _fields(document, ("schema", *_names(Report)), "the report")
    device = _fields(row.raw("device"), _names(Device), "device")
    return Report(
        run_id=_text(row, "run_id"),
        process=row.integer("process"),
        complete=row.flag("complete"),
        harness=_engine(row.raw("harness")),
        device=Device(
            platform=_text(device, "platform"),
            model=_text(device, "model"),
            soc=_optional_text(device, "soc"),
            os=_text(device, "os"),
            debuggable=None if device.is_null("debuggable") else device.flag("debuggable"),
        ),
        env=tuple(map(_reading, _rows(row, "env", _MOST_ROWS))),
        results=tuple(map(_result, _rows(row, "results", 64))),
    )


def _reading(value: Any) -> Reading:
    row = _fields(value, _names(Reading), "a reading")
    return Reading(
        t_ns=row.integer("t_ns"),
        thermal=_optional_text(row, "thermal"),
        battery_pct=None if row.is_null("battery_pct") else row.integer("battery_pct"),
        charging=None if row.is_null("charging") else row.flag("charging"),
        low_power=None if row.is_null("low_power") else row.flag("low_power"),
    )


def _result(value: Any) -> Result:
    row = _fields(value, _names(Result), "a result")
    return Result(
        variant=_text(row, "variant"),
        status=_word(row, "status", STATUSES),
        error=_optional_text(row, "error"),
        model_sha256=_text(row, "model_sha256"),
        engine=_engine(row.raw("engine")),
        requested=_text(row, "requested"),
        actual=_optional_text(row, "actual"),
        actual_basis=_word(row, "actual_basis", BASES),
        load_ns=None if row.is_null("load_ns") else _whole(LoadTimes, row.raw("load_ns"), "load_ns"),
        cache=_word(row, "cache", CACHES),
        warmup_ns=_integers(row, "warmup_ns"),
        samples_ns=_integers(row, "samples_ns"),
        preprocess_ns=_integers(row, "preprocess_ns"),
        exits=None if row.is_null("exits") else _integers(row, "exits"),
        stop_reason=None if row.is_null("stop_reason") else _word(row, "stop_reason", STOP_REASONS),
        memory=None if row.is_null("memory") else _memory(row.raw("memory")),
        operators=None if row.is_null("operators") else _operators(row.raw("operators")),
        summary=None if row.is_null("summary") else _summary(row.raw("summary")),
        output_digest=_optional_text(row, "output_digest"),
        output_bits=_integers(row, "output_bits"),
    )


def _engine(value: Any) -> Engine:
    row = _fields(value, _names(Engine), "a name and version")
    return Engine(name=_text(row, "name"), version=_optional_text(row, "version"))


def _memory(value: Any) -> Memory:
    row = _fields(value, _names(Memory), "memory")
    return Memory(before_bytes=row.integer("before_bytes"), peak_bytes=row.integer("peak_bytes"), basis=_text(row, "basis"))


def _operators(value: Any) -> dict[str, int]:
    row = _fields(value, ("cpu", "gpu", "npu", "unknown"), "operators")
    return {name: row.integer(name) for name in ("cpu", "gpu", "npu", "unknown")}


def _summary(value: Any) -> dict[str, int | None]:
    names = ("n", "min", "p50", "p90", "p99", "max", "mean", "trimmed_mean")
    row = _fields(value, names, "summary")
    return {name: None if name == "p99" and row.is_null(name) else row.integer(name) for name in names}


def _whole(kind: Any, value: Any, where: str) -> Any:
    row = _fields(value, _names(kind), where)
    return kind(**{name: row.integer(name) for name in _names(kind)})


def _names(kind: Any) -> tuple[str, ...]:
    return tuple(attribute.name for attribute in attrs.fields(kind))


def _fields(value: Any, keys: tuple[str, ...], where: str) -> Fields:
    return Fields(value, keys, where, partial(ReportError, "shape"))


def _integers(row: Fields, name: str) -> tuple[int, ...]:
    _rows(row, name, MOST_SAMPLES)
    return row.integers(name, None)


def _rows(row: Fields, name: str, most: int) -> list[Any]:
    values = row.row(name, None)
    if len(values) > most:
        raise ReportError("shape", f"{name} has {len(values)} values", what=f"at most {most}")
    return values


def _text(row: Fields, name: str) -> str:
    value = row.text(name)
    if len(value) > _MOST_TEXT:
        raise ReportError("shape", f"{name} is too long", what=f"{len(value)} characters, at most {_MOST_TEXT}")
    return value


def _optional_text(row: Fields, name: str) -> str | None:
    return None if row.is_null(name) else _text(row, name)


def _word(row: Fields, name: str, words: tuple[str, ...]) -> str:
    value = row.text(name)
    if value not in words:
        raise ReportError("shape", f"{name} is {value!r:.40}", what=f"one of {', '.join(words)}")
    return value
