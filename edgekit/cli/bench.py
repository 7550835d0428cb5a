"""``edgekit bench``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import console

if TYPE_CHECKING:
    from edgekit.bench.profiling import Profile
    from edgekit.bench.result import BenchResult
    from edgekit.bench.roofline import Roofline
    from edgekit.bench.timing_row import MethodTiming

_MOST_ROWS = 12


def bench(
    artifacts: Annotated[list[Path] | None, typer.Argument(metavar="ARTIFACT...", help="The first is what the others are compared with.")] = None,
    *,
    threads: Annotated[int, typer.Option(help="Threads each runtime may use.")] = 1,
    samples: Annotated[int, typer.Option(help="Rounds; each method runs once a round.")] = 40,
    against: Annotated[
        str | None, typer.Option(metavar="naive", help="Compare each with the vendor's plain export of its eager model, made here.")
    ] = None,
    profile: Annotated[bool, typer.Option("--profile", help="Also tell where the time goes, by operator and module.")] = False,
    model: Annotated[str | None, typer.Option(help="With --against: where the model's own file lies now, path/to/file.py:factory.")] = None,
    weights: Annotated[Path | None, typer.Option(help="With --against: the checkpoint it was exported with.")] = None,
    costs: Annotated[
        str | None, typer.Option(metavar="TARGET", help="Instead of artifacts, time operators: what the planner of w8a8 decides by.")
    ] = None,
    kind: Annotated[list[str] | None, typer.Option(help="With --costs: only this kind of operator; may be given again.")] = None,
    note: Annotated[str | None, typer.Option(help="With --costs: what is to be known about the machine.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="With --costs: the file for the table.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Time artifacts on this host: all in one run, in turn (A B B A), so that their ratio means something.

    Load, first inference and steady state are three separate times. For figures to be quoted, give it one core:

    \b
    edgekit bench emov2-5m_224_fp32.tflite
    taskset -c 0 edgekit bench emov2-5m_224_fp32.pte emov2-5m_224_fp32.tflite emov2-5m_224_fp32.onnx
    edgekit bench old/net.tflite new/net.tflite --samples 100 --json
    edgekit bench emov2-5m_224_fp32.onnx --against naive --profile
    taskset -c 0 edgekit bench --costs tflite -o costs.json
    edgekit export emov2-5m -t tflite --precision w8a8 --costs costs.json

    --profile asks each runtime: onnxruntime tells the operators of its optimised graph, ExecuTorch and LiteRT those inside
    their delegates. A profiled run is slower, so it is one of its own. The last lines say what share of the machine's float32 peak
    each method reaches.

    Nothing is compared where the machine was too busy meanwhile. Core ML and Core AI cannot be timed here: that takes a phone.
    """
    from edgekit.bench.benchmark import benchmark
    from edgekit.errors import UsageError
    from edgekit.quiet import stdout_to_stderr

    if costs is not None:
        _time_operators(costs, artifacts, kinds=kind or [], samples=samples, note=note, output=output, as_json=as_json, quiet=quiet)
        return
    if kind or note is not None or output is not None:
        raise UsageError("--kind, --note and --output are for --costs TARGET", what="times of artifacts: --json prints them")
    if against is None and (model is not None or weights is not None):
        raise UsageError("--model and --weights are for --against naive", what="artifacts alone are timed without their model")
    with stdout_to_stderr():
        listener = console.StageLines(quiet=quiet)
        result = benchmark(
            artifacts or (), threads=threads, samples=samples, against=against, profile=profile, model=model, weights=weights, listener=listener
        )
    console.print_json(_document(result)) if as_json else _show(result)


def _time_operators(
    target: str, artifacts: list[Path] | None, *, kinds: list[str], samples: int, note: str | None, output: Path | None, as_json: bool, quiet: bool
) -> None:
    from edgekit.bench.operator_costs import measure_costs, write_costs
    from edgekit.errors import UsageError
    from edgekit.quiet import stdout_to_stderr

    if artifacts:
        raise UsageError("--costs times operators, not artifacts", what=f"given: {', '.join(str(path) for path in artifacts)}")
    with stdout_to_stderr():
        found = measure_costs(target, kinds=kinds, samples=samples, note=note, listener=console.StageLines(quiet=quiet))
        if output is not None:
            write_costs(found, output)
    for cell, why in found.refused.items():
        console.note(f"not measured: {cell}: {why}")
    if as_json:
        console.print_json({"schema_version": 1, "command": "bench", "target": target, "costs": found.document})
        return
    rows = [
        (kind, *("" if row.get(name) is None else f"{row[name]:.4f}" for name in ("fp32", "w8a8", "ns")), str(row["per"]))
        for kind, row in found.document["ns"].items()
        if kind in found.document["measured"]["kinds"]
    ]
    console.print_table(("operator", "fp32 ns", "w8a8 ns", "to or from integers ns", "per"), rows)
    if output is not None:
        console.line(f"\nwrote {output}; export with --costs {output}")


def _document(result: "BenchResult") -> dict[str, Any]:
    import attrs

    return {
        "schema_version": 1,
        "command": "bench",
        "context": result.context,
        "noise": result.noise,
        "results": [_row(timing) for timing in result.results],
        "comparisons": [
            {"artifact": str(c.artifact), "base": str(c.base), "method": c.method, "ratio": c.ratio.value, "low": c.ratio.low, "high": c.ratio.high}
            for c in result.comparisons
        ],
        "refusal": result.refusal,
        "against": [attrs.asdict(row) for row in result.beside],
        "graphs": [attrs.asdict(graph) for graph in result.graphs],
        "profiles": [attrs.asdict(profile) for profile in result.profiles],
        "roofline": None if result.roofline is None else attrs.asdict(result.roofline),
    }


def _row(timing: "MethodTiming") -> dict[str, Any]:
    return {
        "artifact": str(timing.artifact),
        "target": timing.target,
        "sha256": timing.sha256,
        "method": timing.method,
        "threads": timing.threads,
        "load_ms": timing.load_ms,
        "first_ms": timing.first_ms,
        "samples_ms": list(timing.samples_ms),
        "p50_ms": timing.p50_ms,
        "p90_ms": timing.p90_ms,
        "min_ms": timing.min_ms,
        "peak_memory_bytes": timing.peak_memory_bytes,
    }


def _show(result: "BenchResult") -> None:
    header = ("artifact", "method", "load ms", "first ms", "min ms", "p50 ms", "p90 ms", "memory MB")
    rows = [
        (t.artifact.name, t.method, *(f"{ms:.2f}" for ms in (t.load_ms, t.first_ms, t.min_ms, t.p50_ms, t.p90_ms)), _megabytes(t.peak_memory_bytes))
        for t in result.results
    ]
    console.print_table(header, rows)
    about = result.context
    cores = about["cores_allowed"]
    console.line(f"\n{about['cpu']}, {about['threads']} thread(s), {cores} core(s) allowed, load {about['load_average'][0]}")
    for c in result.comparisons:
        interval = f"{c.ratio.value:.3f} ({c.ratio.low:.3f} to {c.ratio.high:.3f})"
        verdict = "" if c.ratio.differs else "  no difference that could be told"
        console.line(f"{c.artifact.name} takes {interval} of {c.base.name}: {c.method}{verdict}")
    if result.refusal is not None:
        console.note(f"not compared: {result.refusal}")
    for row in result.beside:
        if row.failure is not None:
            console.line(f"{row.artifact.name}: the vendor's plain export of {row.model} {row.failure}")
    for profile in result.profiles:
        _show_profile(profile)
    if result.roofline is not None:
        _show_roofline(result.roofline)


def _show_profile(profile: "Profile") -> None:
    console.line(f"\n{profile.artifact.name}, {profile.method}: {profile.note or 'no note'}")
    total = sum(row.ms for row in profile.rows)
    slowest = sorted(profile.rows, key=lambda row: -row.ms)[:_MOST_ROWS]
    rows = [(row.name, f"{row.ms:.3f}", f"{row.ms / total:.1%}", row.module or "-", row.line or "-") for row in slowest if total]
    console.print_table(("operator", "ms", "share", "module", "line"), rows, indent="  ")
    if len(profile.rows) > len(rows):
        console.line(f"  and {len(profile.rows) - len(rows)} more; all {len(profile.rows)} take {total:.2f} ms")


def _show_roofline(roofline: "Roofline") -> None:
    console.line(f"\npeak of this machine: {roofline.peak_gmacs:.1f} GMACs/s, float32, {roofline.threads} thread(s)")
    for row in roofline.rows:
        if row.macs is None or row.share is None:
            console.line(f"{row.artifact.name}, {row.method}: multiply-adds are not known")
        else:
            moved = "" if row.bytes_moved is None else f", {row.bytes_moved / 1e6:,.1f} MB moved"
            reached = f"{row.macs / 1e6:,.1f} MMACs{moved}; {row.gmacs:.1f} GMACs/s, {row.share:.1%} of it"
            console.line(f"{row.artifact.name}, {row.method}: {reached}")


def _megabytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:.0f}"
