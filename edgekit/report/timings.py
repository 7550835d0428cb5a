"""What measurements say, one row a method that was timed: from ``bench --json`` and from stored benchmarks."""

import datetime as dt
from collections.abc import Iterator

from attrs import evolve, frozen

from edgekit.report.entry import Entry
from edgekit.report.evidence import BENCHMARK, Evidence, Source


@frozen(kw_only=True)
class Machine:
    """What numbers were measured on. ``None``: not stored."""

    cpu: str | None
    cores: int | None
    threads: int | None
    load: float | None
    versions: tuple[tuple[str, str], ...]
    date: dt.date | None

    def sentence(self) -> str:
        """Return it in words, for the line under a table."""
        known = [
            self.cpu or "CPU not stored",
            "cores not stored" if self.cores is None else f"{self.cores} core{'s' * (self.cores != 1)}",
            "threads not stored" if self.threads is None else f"{self.threads} thread{'s' * (self.threads != 1)}",
            "load not stored" if self.load is None else f"load {self.load:g} before",
            ", ".join(f"{name} {version}" for name, version in self.versions) or "versions not stored",
            "day not stored" if self.date is None else f"measured {self.date.isoformat()}",
        ]
        return "; ".join(known)


@frozen(kw_only=True)
class TimingRow:
    """One method or variant, in milliseconds and bytes.

    :param ratio: of its time to ``base``'s in the same run; ``low`` and ``high``: the interval, where one was computed.
    :param all_of_it: whether this is the whole of a model's run, not one of its methods: only these are compared between models.
    """

    label: str
    target: str | None
    method: str | None = None
    model: str | None = None
    sha256: str | None = None
    load_ms: float | None = None
    first_ms: float | None = None
    min_ms: float | None = None
    p50_ms: float | None = None
    p90_ms: float | None = None
    samples: int | None = None
    peak_memory_bytes: int | None = None
    size_bytes: int | None = None
    max_rel_error: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    base: str | None = None
    all_of_it: bool = True


@frozen(kw_only=True)
class Measurement:
    """One run: its rows can be compared with each other. ``refusal``: why they must not be; ``failures``: what did not run, and why.

    ``note``: what else to know of its numbers.
    """

    source: Source
    title: str
    machine: Machine
    rows: tuple[TimingRow, ...]
    refusal: str | None = None
    failures: tuple[tuple[str, str], ...] = ()
    note: str = ""


def measurements(evidence: Evidence) -> tuple[Measurement, ...]:
    """Return all runs that hold times, in the order of their files' names.

    :raises EvidenceError: a member is of the wrong type.
    """
    found = [_bench(source) for source in evidence.of("bench")]
    for source in evidence.of(BENCHMARK):
        rows = tuple(_benchmark_rows(source.entry))
        if rows:
            found.append(_stored(source, rows))
    return tuple(sorted(found, key=lambda run: run.source.name))


def machine_of(source: Source) -> Machine:
    """Read what a run was measured on."""
    context = source.entry.entry("context") or Entry({}, f"{source.name}: context")
    load = context.numbers("load_average")
    versions = (context.entry("versions") or Entry({}, source.name)).values
    day = context.text("date")
    cores = context.integer("cores_allowed")
    return Machine(
        cpu=context.text("cpu"),
        cores=context.integer("cores_used") if cores is None else cores,
        threads=context.integer("threads"),
        load=load[0] if load else None,
        versions=tuple((name, str(version)) for name, version in versions.items() if version is not None),
        date=_day(day),
    )


def _day(text: str | None) -> dt.date | None:
    try:
        return None if text is None else dt.date.fromisoformat(text[:10])
    except ValueError:
        return None


def _bench(source: Source) -> Measurement:
    entry = source.entry
    ratios = {(row.text("artifact"), row.text("method")): row for row in entry.entries("comparisons")}
    rows = []
    methods = [row.text("artifact") for row in entry.entries("results")]
    for row in entry.entries("results"):
        artifact, method = row.text("artifact"), row.text("method")
        timing = TimingRow(
            label=_file_name(artifact),
            target=row.text("target"),
            method=method,
            sha256=row.text("sha256"),
            load_ms=row.number("load_ms"),
            first_ms=row.number("first_ms"),
            min_ms=row.number("min_ms"),
            p50_ms=row.number("p50_ms"),
            p90_ms=row.number("p90_ms"),
            samples=len(row.numbers("samples_ms")) or None,
            peak_memory_bytes=row.integer("peak_memory_bytes"),
            size_bytes=row.integer("size_bytes"),
            all_of_it=methods.count(artifact) == 1,
        )
        if (compared := ratios.get((artifact, method))) is not None:
            timing = evolve(
                timing,
                ratio=compared.number("ratio"),
                low=compared.number("low"),
                high=compared.number("high"),
                base=_file_name(compared.text("base")),
            )
        rows.append(timing)
    return Measurement(source=source, title="bench", machine=machine_of(source), rows=tuple(rows), refusal=entry.text("refusal"))


def _file_name(path: str | None) -> str:
    """Keep the name: where a file lay on somebody's machine is nobody's business."""
    return "artifact not stored" if path is None else path.replace("\\", "/").rstrip("/").rpartition("/")[2]


_UNKNOWN = "Whether weights are trained is not stored; times do not depend on it. "


def _stored(source: Source, rows: tuple[TimingRow, ...]) -> Measurement:
    entry = source.entry
    parts = [entry.text("model"), None if entry.integer("resolution") is None else str(entry.integer("resolution")), entry.text("target")]
    title = f"{entry.text('benchmark')}: " + ", ".join(part for part in parts if part)
    failures = [
        (f"{row.text('target') or 'target not stored'}: {what}", text)
        for row in entry.entries("results")
        for key, what in (("naive_error", "the vendor's plain export"), ("vendor_on_eager", "the vendor's converter on the eager model"))
        if (text := row.text(key))
    ]
    return Measurement(source=source, title=title, machine=machine_of(source), rows=rows, failures=tuple(failures), note=_UNKNOWN)


def _benchmark_rows(entry: Entry) -> Iterator[TimingRow]:
    """Read ``results[].rows[]`` or ``rows[]``: variants with a minimum and a median, compared with the plain export or with what is shipped."""
    model, resolution = entry.text("model"), entry.integer("resolution")
    name = None if model is None else model if resolution is None else f"{model}, {resolution}"
    groups = [(group, group.entries("rows")) for group in entry.entries("results")]
    for group, rows in groups or [(entry, entry.entries("rows"))]:
        target, size = group.text("target"), group.integer("size_bytes")
        timed = [row for row in rows if "min_ms" in row]
        if "naive_all_ms" in group:  # of all exits in the vendor's plain export, whose samples are not stored
            timed.append(Entry({"variant": "naive, all exits", "min_ms": group.number("naive_all_ms")}, group.where))
        base = _base(timed)
        least = None if base is None else base.number("min_ms")
        for row in timed:
            variant, own = row.text("variant") or "variant not stored", row.number("min_ms")
            ours = variant == "edgekit"
            comparable = least and own is not None and row is not base and not variant.startswith("exit_")
            yield TimingRow(
                label=variant,
                target=target,
                model=name,
                min_ms=own,
                p50_ms=row.number("median_ms"),
                samples=len(row.numbers("samples_ms")) or None,
                size_bytes=size if ours else None,
                max_rel_error=row.number("max_rel_error"),
                ratio=own / least if comparable and own is not None and least else None,
                base=None if base is None or not comparable else base.text("variant"),
                all_of_it=not variant.startswith("exit_"),
            )


_BASES = ("naive", "naive, all exits", "ViT-B/16, naive", "as shipped", "all exits")


def _base(rows: list[Entry]) -> Entry | None:
    by_name = {row.text("variant"): row for row in rows}
    return next((by_name[name] for name in _BASES if name in by_name), None)
