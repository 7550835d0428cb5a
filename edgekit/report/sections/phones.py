"""What was timed on phones: one table a run, because only its variants took turns on the same warm phone."""

from edgekit.report.entry import Entry
from edgekit.report.evidence import Source
from edgekit.report.page import Block, Cell, Section, Table, Text, missing, number, table
from edgekit.report.results import Results

COMMAND = "device run"
_INTRO = (
    "Milliseconds on the phone named under each table, one row a process. Every report was checked against the plan that was sent, and its "
    "summaries computed again from the samples. The unit is the one that ran as far as the engine tells, else the one asked for, with a "
    "question mark. Preparing a picture (resize, crop, normalise) is timed apart and is in no other column."
)
_HEADER = ("variant", "engine", "unit", "process", "status", "load ms", "first ms", "min ms", "p50 ms", "p90 ms", "picture p50 ms", "samples")


def section(results: Results) -> Section | None:
    """Return the tables of all runs on phones."""
    runs = results.evidence.of(COMMAND)
    if not runs:
        return None
    return Section(key="phones", title="Latency on phones", blocks=(Text(_INTRO), *(block for run in runs for block in _blocks(run, results))))


def _blocks(run: Source, results: Results) -> list[Block]:
    rows = run.entry.entries("results")
    shown = [_row(row, results) for row in rows]
    blocks: list[Block] = [table(f"run {(run.entry.text('run_id') or 'not stored')[:8]} ({run.name})", _HEADER, shown, note=_phone(run.entry))]
    wrong = [(row, why) for row in rows if (why := row.text("error")) is not None]
    blocks += [Text(f"{_name(row)}, process {row.integer('process')}: {why}", "bad") for row, why in wrong]
    exits = [(row, exits) for row in rows if (exits := row.entry("exits")) is not None]
    return [*blocks, _exits(exits)] if exits else blocks


def _row(row: Entry, results: Results) -> tuple[Cell | str, ...]:
    known = results.artifact(row.text("sha256"))
    name = _name(row)
    label = name if known is None or known.trained else f"{name} ({'untrained' if known.trained is False else 'training not stored'})"
    status = row.text("status") or "not stored"
    whole = row.flag("complete") is not False
    process, count = row.integer("process"), len(row.numbers("samples_ms"))
    return (
        label,
        _named(row.entry("engine")),
        _unit(row),
        missing() if process is None else str(process),
        Cell(status if whole else f"{status}, cut short", "plain" if status == "ok" and whole else "bad"),
        *(number(row.number(key)) for key in ("load_ms", "first_ms", "min_ms", "p50_ms", "p90_ms")),
        # Not asked for is not missing.
        Cell("") if row.number("preprocess_p50_ms") is None else number(row.number("preprocess_p50_ms")),
        missing() if count == 0 else str(count),
    )


def _name(row: Entry) -> str:
    return row.text("variant") or "variant not stored"


def _named(entry: Entry | None) -> str | Cell:
    name = None if entry is None else entry.text("name")
    if entry is None or name is None:
        return missing()
    return f"{name} {entry.text('version') or ''}".strip()


def _unit(row: Entry) -> str | Cell:
    compute = row.entry("compute")
    if compute is None:
        return missing()
    actual, basis = compute.text("actual"), compute.text("basis")
    if actual is None:
        return f"{compute.text('requested') or 'not stored'}?"
    return f"{actual} (planned)" if basis == "plan" else actual


def _phone(entry: Entry) -> str:
    context = entry.entry("context") or Entry({}, "context")
    device, thermal, battery = (context.entry(key) or Entry({}, key) for key in ("device", "thermal", "battery_pct"))
    states = [thermal.text(key) for key in ("start", "worst", "end")]
    charge = [battery.integer(key) for key in ("start", "end")]
    charging = {True: ", charging", False: ", not charging", None: ""}[context.flag("charging")]
    build = {True: "debuggable build", False: "release build", None: "build not stored"}[device.flag("debuggable")]
    known = [
        " ".join(filter(None, (device.text("platform"), device.text("model"), device.text("soc")))) or "phone not stored",
        f"system {device.text('os') or 'not stored'}",
        build,
        "thermal state not told" if None in states else f"thermal state {states[0]} at the start, {states[1]} at worst, {states[2]} at the end",
        "battery not told" if None in charge else f"battery {charge[0]}% to {charge[1]}%{charging}",
        f"harness {_harness(context)}",
    ]
    return "; ".join(known) + "."


def _harness(context: Entry) -> str:
    named = _named(context.entry("harness"))
    return named if isinstance(named, str) else "not stored"


def _exits(rows: list[tuple[Entry, Entry]]) -> Table:
    """Return where samples left and what that took; the mean over all is the latency in expectation on these inputs."""
    shown: list[tuple[Cell | str, ...]] = []
    for row, exits in rows:
        for left in exits.entries("by_exit"):
            share = left.number("share")
            shown.append(
                (
                    _name(row),
                    str(row.integer("process")),
                    str(left.integer("exit")),
                    missing() if share is None else f"{share:.0%}",
                    number(left.number("p50_ms")) if left.integer("count") else Cell("nobody left"),
                )
            )
        shown.append((_name(row), str(row.integer("process")), "all", "100%", number(exits.number("expected_ms"))))
    note = "Of an exit the p50, of all the mean. Inputs were seeded noise: shares on pictures are the policy's own."
    return table("where samples left", ("variant", "process", "exit", "share", "ms"), shown, note=note)
