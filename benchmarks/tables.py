"""README's tables, written from the stored results so that no number is copied by hand.

    python benchmarks/tables.py            writes the tables between their markers
    python benchmarks/tables.py --check    exits with 1, and names them, where they differ from the results

A table stands between ``<!-- table: NAME, by benchmarks/tables.py -->`` and ``<!-- end of table -->``; prose around it is written by people.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from edgekit.report.entry import Entry
from edgekit.report.evidence import BENCHMARK, Evidence, gather
from edgekit.report.markdown import escaped
from edgekit.report.timings import Machine, Measurement, TimingRow, measurements

ROOT = Path(__file__).parent.parent
TARGETS = {"tflite": "LiteRT", "executorch": "ExecuTorch", "onnx": "onnxruntime"}
MARKED = re.compile(r"(<!-- table: ([a-z-]+), by benchmarks/tables\.py -->\n).*?(<!-- end of table -->)", re.DOTALL)


def main() -> int:
    """Write or check README."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    before = options.readme.read_text(encoding="utf-8")
    after = with_tables(before, gather([options.results]))
    if options.check:
        stale = stale_tables(before, after)
        print(f"stale: {', '.join(stale)}; run python benchmarks/tables.py" if stale else "the tables are those of the results")
        return 1 if stale else 0
    options.readme.write_text(after, encoding="utf-8")
    return 0


def with_tables(text: str, evidence: Evidence) -> str:
    """Return a text with every marked table made anew; :raises KeyError: a marker names none of ``TABLES``."""
    return MARKED.sub(lambda found: found[1] + "".join(f"{line}\n" for line in TABLES[found[2]](evidence)) + found[3], text)


def stale_tables(before: str, after: str) -> list[str]:
    """Return the names of tables that differ."""
    return [old[2] for old, new in zip(MARKED.finditer(before), MARKED.finditer(after), strict=True) if old[0] != new[0]]


def speed(evidence: Evidence) -> Iterable[str]:
    """Yield edgekit's files against the vendors' plain exports: milliseconds, and the ratio in the same run."""
    runs = _runs(evidence, "against_naive")
    yield from _table(("", *TARGETS.values()), [(_name(run), *(_time_and_ratio(run, target) for target in TARGETS)) for run in runs])
    yield from _told(runs, "Minimum of {samples} samples, and the ratio to the vendor's plain export in the same run.")


def regions(evidence: Evidence) -> Iterable[str]:
    """Yield IMC-Net as shipped, with dense masks, and ViT-B/16 in the vendor's plain export."""
    runs = _runs(evidence, "imcnet")
    by_target = {row.target: {one.label: one for one in run.rows} for run in runs for row in run.rows}
    variants = list(dict.fromkeys(row.label for run in runs for row in run.rows))
    yield from _table(
        ("", *TARGETS.values()),
        [(variant, *(_time(by_target.get(target, {}).get(variant)) for target in TARGETS)) for variant in variants],
    )
    yield from _told(runs, "Minimum of {samples} samples, three variants in one run.")


def exits(evidence: Evidence) -> Iterable[str]:
    """Yield CHASE's exits as methods against one graph of all exits and against the vendor's plain export."""
    runs = _runs(evidence, "chase")
    header = ("", "up to exit 1", "all exits, as methods", "all exits, one graph", "vendor's plain export")
    rows = []
    for run in sorted(runs, key=lambda run: list(TARGETS).index(run.rows[0].target or "tflite")):
        methods = [row.min_ms for row in run.rows if row.label.startswith("exit_")]
        known = [value for value in methods if value is not None]
        by_name = {row.label: row for row in run.rows}
        together = f"{sum(known):.1f} ms" if known and len(known) == len(methods) else "missing"
        plain = [_time(by_name.get(name)) for name in ("exit_1", "all exits", "naive, all exits")]
        rows.append((TARGETS.get(run.rows[0].target or "", "?"), plain[0], together, plain[1], plain[2]))
    yield from _table(header, rows)
    yield from _told(runs, "Minimum of {samples} samples.")


def exports(evidence: Evidence) -> Iterable[str]:
    """Yield what exporting all methods of a network with exits costs, proof included."""
    named = {**TARGETS, "coreml": "Core ML", "coreai": "Core AI"}
    rows = []
    for source in evidence.of(BENCHMARK):
        if source.entry.text("benchmark") == "chase exports":
            rows += [
                (
                    named.get(row.text("target") or "", "?"),
                    f"{row.number('export_s') or 0:.0f} s",
                    f"{row.number('export_gb') or 0:.1f} GB",
                    (row.entry("parity") or row).text("executed_by") or "not executed",
                )
                for row in source.entry.entries("results")
            ]
    yield from _table(("all exits of chase-imagenet, as methods", "export, proof included", "peak memory", "executed by"), rows)


def quantized(evidence: Evidence) -> Iterable[str]:
    """Yield what quantizing cost on pictures that no export has seen: points of accuracy, answers that stayed, the file."""
    named = {**TARGETS, "coreml": "Core ML", "coreai": "Core AI"}
    rows = []
    for source in evidence.of(BENCHMARK):
        if source.entry.text("benchmark") == "quantized accuracy":
            rows += [
                (
                    (row.text("model") or "?").removesuffix(".py:build").replace("_", "-"),
                    f"{named.get(row.text('target') or '', '?')}, {row.text('precision')}",
                    f"{row.integer('pictures') or 0:,}",
                    f"{100 * (row.number('eager_accuracy') or 0):.1f}%",
                    f"{row.number('drop_points') or 0:+.2f}",
                    f"{100 * (row.number('agreement') or 0):.1f}%",
                    f"{(row.integer('size_bytes') or 0) / 1e6:.2f} MB",
                )
                for row in source.entry.entries("results")
            ]
    yield from _table(("", "quantized for", "pictures", "eager", "points lost", "same class", "file"), sorted(rows))


def integers(evidence: Evidence) -> Iterable[str]:
    """Yield how long a file in integers takes beside the same network in floats, edgekit's and the vendor's plain export of either kind."""
    rows = []
    for source in evidence.of(BENCHMARK):
        if source.entry.text("benchmark") == "int8":
            for one in source.entry.entries("results"):
                least, size = one.entry("min_ms"), one.entry("bytes")
                own = least and least.number("edgekit w8a8")
                beside = [least and least.number(name) for name in ("edgekit fp32", "naive fp32", "naive int8")]
                rows.append(
                    (
                        f"{source.entry.text('model')}, {TARGETS.get(one.text('target') or '', '?')}",
                        f"{own:.2f} ms" if own else "missing",
                        *(f"{own / other:.3f}" if own and other else "not made" for other in beside),
                        f"{((size and size.integer('edgekit w8a8')) or 0) / 1e6:.2f} MB",
                    )
                )
    header = ("", "w8a8", "to edgekit's float32", "to the plain float32", "to the plain full int8", "file")
    yield from _table(header, sorted(rows) or [("not measured yet", *[""] * (len(header) - 1))])


def lint(evidence: Evidence) -> Iterable[str]:
    """Yield what the accelerator's rules find in Core ML Tools' own export and in edgekit's."""
    for source in evidence.of(BENCHMARK):
        if source.entry.text("benchmark") != "lint_forms":
            continue
        rows = {row.text("variant"): row for row in source.entry.entries("rows")}
        theirs, ours = rows["Core ML Tools' own export"], rows["as shipped"]
        old, new = theirs.counts("findings"), ours.counts("findings")
        counted = [("operators", sum(theirs.counts("operators").values()), sum(ours.counts("operators").values()))]
        counted += [(f"`{name}`", old.get(name, 0), new.get(name, 0)) for name in sorted(old.keys() | new.keys())]
        about = f"{source.entry.text('model')}, {source.entry.integer('resolution')}"
        yield from _table((about, "Core ML Tools alone", "edgekit"), [(name, f"{a}", f"{b}") for name, a, b in counted])


def vendors(evidence: Evidence) -> Iterable[str]:
    """Yield how far each vendor's converter gets with networks whose forward depends on data, and edgekit's SQNR on the same."""
    named = {**TARGETS, "coreml": "Core ML", "coreai": "Core AI"}
    found = {}
    for source in evidence.of(BENCHMARK):
        if source.entry.text("benchmark") == "vendors_on_dynamic":
            found |= {(row.text("network"), row.text("target")): row for row in source.entry.entries("results")}
    rows = []
    for network in dict.fromkeys(network for network, _ in found):
        for who, told in (("vendor", "vendor's converter"), ("edgekit", "edgekit")):
            cells = [_how_far(found[network, target].text(who)) if (network, target) in found else "missing" for target in named]
            rows.append((f"{network}, {told}", *cells))
    yield from _table(("", *named.values()), rows)


def zoo(evidence: Evidence) -> Iterable[str]:
    """Yield how many modules and public networks of the zoo each target took and equalled eager on."""
    named = {"coreml": "Core ML", **TARGETS, "onnx": "ONNX", "coreai": "Core AI"}
    rows = []
    for source in evidence.of(BENCHMARK):
        if source.entry.text("benchmark") == "zoo":
            outcomes = {(row.text("name"), row.text("target")): row.flag("passed") is True for row in source.entry.entries("results")}
            names = list(dict.fromkeys(name for name, _ in outcomes))
            counts = [sum(outcomes.get((name, target), False) for name in names) for target in named]
            rows.append((f"{len(names)} {source.entry.text('what')}", *map(str, counts), f"{sum(counts)} of {len(named) * len(names)}"))
    yield from _table(("equal to eager, executed", *named.values(), "all"), sorted(rows) or [("not stored yet", *[""] * (len(named) + 1))])


def growth(evidence: Evidence) -> Iterable[str]:
    """Yield the factor by which time grows from the first to the last value of each axis."""
    found = {
        (source.entry.text("axis"), source.entry.text("target")): source.entry
        for source in evidence.of(BENCHMARK)
        if source.entry.text("benchmark") == "growth"
    }
    axes = {"resolution": "224 to 512 pixels", "batch": "1 to 8 pictures", "threads": "1 to 2 threads", "depth": "1M to 20M"}
    yield from _table(
        ("time, as a factor: edgekit, plain export", *TARGETS.values()),
        [(words, *(_factors(found.get((axis, target))) for target in TARGETS)) for axis, words in axes.items()],
    )


def floors(evidence: Evidence) -> Iterable[str]:
    """Yield where the time of edgekit's files goes, and the ratio to the plain export that would be left without what is between products."""
    found = [source.entry for source in evidence.of(BENCHMARK) if source.entry.text("benchmark") == "where_time_goes"]
    rows = [
        (f"{entry.text('model')}, {entry.integer('resolution')}, {TARGETS.get(one.text('target') or '', '?')}", one)
        for entry in found
        for one in entry.entries("profiles_of")
    ]
    kinds = ("products", "functions", "sums, norms and the rest", "moves")
    header = ("", *kinds, "to the plain export", "the same without the last two")
    cells = [(name, *_shares(one, kinds), _ratio(one, "ratio"), _ratio(one, "floor")) for name, one in rows]
    yield from _table(header, cells or [("not measured yet", *[""] * (len(header) - 1))])


def bad_days(evidence: Evidence) -> Iterable[str]:
    """Yield what faults of the system did to exports and to the cache."""
    parts, absent = _reliability(evidence)
    told = ("killed", "refused", "noticed")
    rows = []
    for part in parts:
        figures = part.entry("figures") or part
        if part.text("kind") == "faults":
            ways = [f"{found:,} {way}" for way in told if (found := figures.integer(way))]
            rows.append((part.text("part") or "?", f"{figures.integer('cases') or 0:,}", ", ".join(ways), f"{figures.integer('broken')}"))
    rows += [(name, "not run", "", "") for name in absent if not name.startswith(("fuzz ", "guided "))]
    yield from _table(("", "times", "of these", "not as promised"), rows or [("not run yet", "", "", "")])
    yield from _days(part for part in parts if part.text("kind") == "faults")


def fuzzed(evidence: Evidence) -> Iterable[str]:
    """Yield how many changed files the readers were given, by kind of format, and what went wrong."""
    parts, absent = _reliability(evidence)
    rows = []
    for words, kind, is_text in (
        ("text, changed at random", "fuzz", True),
        ("binary, changed at random", "fuzz", False),
        ("found by coverage-guided search", "guided", None),
    ):
        found = [part.entry("figures") or part for part in parts if part.text("kind") == kind]
        found = [figures for figures in found if figures.flag("text") == is_text]
        if not found:
            rows.append((words, "not run", "", "", "", "", ""))
            continue
        cases = [(figures.integer("cases") or 0, figures.text("reader") or "?") for figures in found]
        slowest = [figures.number("slowest_s") for figures in found]
        peaks = [figures.integer("peak_bytes") or (figures.integer("peak_mb") or 0) << 20 for figures in found]
        rows.append(
            (
                words,
                f"{len(found)}",
                f"{sum(count for count, _ in cases):,}",
                f"{min(cases)[0]:,} ({min(cases)[1]})",
                f"{sum(figures.integer('broken') or 0 for figures in found)}",
                "" if None in slowest else f"{max(value or 0 for value in slowest):.1f} s",
                f"{max(peaks) / 1e9:.1f} GB",
            )
        )
    header = ("files", "readers", "read", "fewest a reader", "crashes, hangs, errors that are not edgekit's", "slowest", "most memory of a process")
    yield from _table(header, rows)
    left = [sum(name.startswith(kind) for name in absent) for kind in ("fuzz ", "guided ")]
    if any(left):
        yield ""
        yield f"Not run: {left[0]} readers with changed files, {left[1]} with files of a search; `reliability.json` names them."
    yield from _days(part for part in parts if part.text("kind") != "faults")


def _reliability(evidence: Evidence) -> tuple[list[Entry], list[str]]:
    """Return the parts of the stored run of faults and changed files, and the names of those that were not run."""
    found = [source.entry for source in evidence.of(BENCHMARK) if source.entry.text("benchmark") == "reliability"]
    return [part for entry in found for part in entry.entries("parts")], [name for entry in found for name in entry.texts("not_run")]


def _days(parts: Iterable[Entry]) -> Iterable[str]:
    """Yield on what machine and when, once for each."""
    contexts = [part.entry("context") or part for part in parts]
    told = [f"{context.text('cpu') or 'CPU missing'}, {context.integer('cores_used')} core, {context.text('date')}." for context in contexts]
    if told:
        yield ""
        yield from dict.fromkeys(told)


def _ratio(one: Entry, key: str) -> str:
    value = one.number(key)
    return "missing" if value is None else f"{value:.2f}"


def _shares(one: Entry, kinds: tuple[str, ...]) -> Iterable[str]:
    classes = (one.entry("edgekit") or one).entry("classes") or one
    times = [classes.number(kind) or 0.0 for kind in kinds]
    return [f"{ms / (sum(times) or 1):.0%}" for ms in times]


def _factors(entry: Entry | None) -> str:
    points = [] if entry is None else entry.entries("points")
    if len(points) < 2:
        return "not measured yet"
    ends = [{row.text("variant"): row.number("min_ms") for row in point.entries("timed")} for point in (points[0], points[-1])]
    pairs = [(ends[0].get(name), ends[1].get(name)) for name in ("edgekit", "naive")]
    return ", ".join("missing" if not first or last is None else f"{last / first:.2f}" for first, last in pairs)


def _how_far(said: str | None) -> str:
    """Shorten what a trial said: up to its first colon or comma where it failed, its SQNR or "runs" where it did not."""
    said = said or "missing"
    if not said.startswith("runs"):
        return said.split(":")[0]
    return next((part.strip().split(" over")[0] for part in said.split(",") if "SQNR" in part), "runs").removeprefix("SQNR ")


TABLES: dict[str, Callable[[Evidence], Iterable[str]]] = {
    "speed": speed,
    "growth": growth,
    "floors": floors,
    "regions": regions,
    "exits": exits,
    "exports": exports,
    "lint": lint,
    "quantized": quantized,
    "integers": integers,
    "vendors": vendors,
    "zoo": zoo,
    "bad-days": bad_days,
    "fuzzed": fuzzed,
}


def _runs(evidence: Evidence, benchmark: str) -> list[Measurement]:
    return [run for run in measurements(evidence) if run.source.entry.text("benchmark") == benchmark]


def _name(run: Measurement) -> str:
    return f"{run.source.entry.text('model')}, {run.source.entry.integer('resolution')}"


def _row(run: Measurement, target: str, label: str) -> TimingRow | None:
    return next((row for row in run.rows if (row.target, row.label) == (target, label)), None)


def _time(row: TimingRow | None) -> str:
    return "missing" if row is None or row.min_ms is None else f"{row.min_ms:.1f} ms"


def _time_and_ratio(run: Measurement, target: str) -> str:
    row = _row(run, target, "edgekit")
    if row is None or row.ratio is None:
        return f"{_time(row)}, the plain export {'failed' if row else 'is missing'}"
    return f"{_time(row)}, {row.ratio:.2f}"


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterable[str]:
    yield "| " + " | ".join(header) + " |"
    yield "| --- |" + " ---: |" * (len(header) - 1)
    for name, *cells in rows:
        yield "| " + " | ".join([name if name.startswith("`") else escaped(name), *map(escaped, cells)]) + " |"


def _told(runs: list[Measurement], sentence: str) -> Iterable[str]:
    """Yield what was measured on what, once for each machine."""
    samples = sorted({row.samples for run in runs for row in run.rows if row.samples is not None})
    yield ""
    yield sentence.format(samples=" to ".join(dict.fromkeys(map(str, (samples[0], samples[-1])))) if samples else "missing")
    yield from dict.fromkeys(_machine(run.machine) for run in runs)


def _machine(machine: Machine) -> str:
    """Say what stays the same between runs: the load does not."""
    kept = ("torch", "executorch", "ai-edge-litert", "onnxruntime")
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions if name in kept)
    day = "" if machine.date is None else f", {machine.date.isoformat()}"
    return f"{machine.cpu or 'CPU missing'}, {machine.cores} core, {machine.threads} thread, fp32{day}: {versions}."


if __name__ == "__main__":
    sys.exit(main())
