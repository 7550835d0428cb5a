"""How much of the machine's arithmetic peak a run reaches: multiply-adds from the manifest, the peak from a matrix product measured here."""

import time
from pathlib import Path

import torch
from attrs import frozen

from edgekit.artifact import read_manifest
from edgekit.bench.timing_row import MethodTiming

_SIDE = 1024
_REPEATS = 12


@frozen(kw_only=True)
class RooflineRow:
    """One method.

    :param bytes_moved: what its operators read and write, each by itself, see :mod:`edgekit.traffic`. :param gmacs: 1e9 multiply-adds a second
        at the minimum time. ``None``: the manifest does not tell.
    """

    artifact: Path
    method: str
    macs: int | None
    bytes_moved: int | None
    min_ms: float
    gmacs: float | None
    share: float | None


@frozen(kw_only=True)
class Roofline:
    """The peak in 1e9 float32 multiply-adds a second on ``threads`` threads, and what each method reaches of it."""

    peak_gmacs: float
    threads: int
    rows: tuple[RooflineRow, ...]


def roofline(results: tuple[MethodTiming, ...], threads: int) -> Roofline:
    """Measure the peak and hold each method's minimum against it.

    An artifact without a manifest, or whose multiply-adds depend on data, has no share. A share of integers may exceed 1: the peak is float32's.
    """
    peak = gemm_peak_gmacs(threads)
    return Roofline(peak_gmacs=peak, threads=threads, rows=tuple(_row(timing, peak) for timing in results))


def gemm_peak_gmacs(threads: int) -> float:
    """Return 1e9 multiply-adds a second of a float32 product of two 1024 x 1024 matrices: the fastest of twelve, on ``threads`` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        a, b = (torch.rand(_SIDE, _SIDE, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
        out = torch.empty(_SIDE, _SIDE)
        fastest = float("inf")
        for _ in range(_REPEATS):
            start = time.perf_counter()
            torch.mm(a, b, out=out)
            fastest = min(fastest, time.perf_counter() - start)
    finally:
        torch.set_num_threads(before)
    return _SIDE**3 / fastest / 1e9


def _row(timing: MethodTiming, peak: float) -> RooflineRow:
    manifest = read_manifest(timing.artifact) if timing.artifact.exists() else None
    document = {} if manifest is None else manifest.document
    macs, moved = ((document.get(key) or {}).get(timing.method) for key in ("macs", "bytes_moved"))
    macs = macs if isinstance(macs, int) else None
    gmacs = None if macs is None else macs / timing.min_ms / 1e6
    return RooflineRow(
        artifact=timing.artifact,
        method=timing.method,
        macs=macs,
        bytes_moved=moved if isinstance(moved, int) else None,
        min_ms=timing.min_ms,
        gmacs=gmacs,
        share=None if gmacs is None else gmacs / peak,
    )
