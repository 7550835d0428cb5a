"""``edgekit bench``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import console

if TYPE_CHECKING:
    from edgekit.bench.benchmark import BenchResult, MethodTiming


def bench(
    artifacts: Annotated[list[Path], typer.Argument(metavar="ARTIFACT...", help="The first is what the others are compared with.")],
    *,
    threads: Annotated[int, typer.Option(help="Threads each runtime may use.")] = 1,
    samples: Annotated[int, typer.Option(help="Rounds; each method runs once a round.")] = 40,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Time artifacts on this host: all in one run, in turn (A B B A), so that their ratio means something.

    Load, first inference and steady state are three separate times. For figures to be quoted, give it one core:

    \b
    edgekit bench emov2-5m_224_fp32.tflite
    taskset -c 0 edgekit bench emov2-5m_224_fp32.pte emov2-5m_224_fp32.tflite emov2-5m_224_fp32.onnx
    edgekit bench old/net.tflite new/net.tflite --samples 100 --json

    Nothing is compared where the machine was too busy meanwhile. Core ML and Core AI cannot be timed here: that takes a phone.
    """
    from edgekit.bench.benchmark import benchmark
    from edgekit.quiet import stdout_to_stderr

    with stdout_to_stderr():
        result = benchmark(artifacts, threads=threads, samples=samples, listener=console.StageLines(quiet=quiet))
    console.print_json(_document(result)) if as_json else _show(result)


def _document(result: "BenchResult") -> dict[str, Any]:
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
    sys.stdout.write(f"\n{about['cpu']}, {about['threads']} thread(s), {cores} core(s) allowed, load {about['load_average'][0]}\n")
    for c in result.comparisons:
        interval = f"{c.ratio.value:.3f} ({c.ratio.low:.3f} to {c.ratio.high:.3f})"
        verdict = "" if c.ratio.differs else "  no difference that could be told"
        sys.stdout.write(f"{c.artifact.name} takes {interval} of {c.base.name}: {c.method}{verdict}\n")
    if result.refusal is not None:
        console.note(f"not compared: {result.refusal}")


def _megabytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:.0f}"
