"""Budgets for time: an interval decides, and nothing is decided on a busy machine."""

import itertools
import shutil

import pytest

import edgekit
from edgekit.bench.once import Once
from edgekit.bench.result import BenchResult, Comparison
from edgekit.bench.statistics import Ratio
from edgekit.bench.timing_row import MethodTiming
from edgekit.gates import latency as timing
from edgekit.gates.check import Latency
from edgekit.gates.latency import median_of, time_artifact

P50 = 'metric = "latency.forward.p50", max = {}'
RATIO = 'metric = "latency.forward.ratio", max = {}'
LOAD = 'metric = "latency.load", max = {}'


@pytest.fixture
def timed(monkeypatch):
    """Say what is measured: runs from 9 to 11 ms, loads of 5, 6 and 9 ms, 1.0 to 1.2 of the base."""

    def say(refusal=None):
        loads = itertools.cycle((6.0, 9.0))

        def apart(path, threads):
            return Once(load_ms=next(loads), first_ms={"forward": 20.0}, peak_memory_bytes=None)

        monkeypatch.setattr(
            timing, "measured_apart", lambda path, threads: Once(load_ms=next(loads), first_ms={"forward": 20.0}, peak_memory_bytes=None)
        )

        def benchmark(paths, *, threads, samples):
            runs = tuple(9.0 + 2 * number / (samples - 1) for number in range(samples))
            rows = {"target": "onnx", "sha256": "0", "method": "forward", "threads": threads, "load_ms": 5.0, "first_ms": 30.0}
            results = tuple(MethodTiming(artifact=path, samples_ms=runs, peak_memory_bytes=None, **rows) for path in paths)
            ratio = Comparison(artifact=paths[-1], base=paths[0], method="forward", ratio=Ratio(value=1.1, low=1.0, high=1.2))
            comparisons = (ratio,) if len(paths) == 2 and refusal is None else ()
            return BenchResult(context={}, results=results, noise=1.0, comparisons=comparisons, refusal=refusal)

        monkeypatch.setattr(timing, "benchmark", benchmark)

    return say


@pytest.fixture
def statuses(write_budgets, onnx_artifact):
    def of(*lines, latency):
        report = edgekit.check_budget(write_budgets(*lines), artifacts=[onnx_artifact], latency=latency)
        return [check.status for check in report.artifacts[0].checks], report

    return of


def test_time_is_left_out_unless_asked_for(statuses):
    found, report = statuses(P50.format(0.001), latency=None)
    assert (found, report.failures) == (["not_measured"], ())
    assert report.artifacts[0].checks[0].note == "--latency measures it"


@pytest.mark.parametrize(("limit", "status"), [(12, "kept"), (10, "undecided"), (9, "exceeded")])
def test_all_of_the_interval_has_to_be_over(timed, statuses, limit, status):
    timed()
    found, report = statuses(P50.format(limit), latency=Latency())
    assert found == [status]
    assert bool(report.failures) == (status == "exceeded")


@pytest.mark.parametrize(("limit", "status"), [(9, "kept"), (6, "undecided"), (4.9, "exceeded")])
def test_the_fastest_load_has_to_be_over(timed, statuses, limit, status):
    timed()
    found, report = statuses(LOAD.format(limit), latency=Latency())
    assert found == [status]
    assert report.artifacts[0].checks[0].reached.value == 6.0


@pytest.mark.parametrize(("limit", "status"), [(1.2, "kept"), (1.05, "undecided"), (0.99, "exceeded")])
def test_a_ratio_is_to_the_base(timed, statuses, onnx_artifact, tmp_path, limit, status):
    timed()
    (tmp_path / "base").mkdir()
    shutil.copy(onnx_artifact, tmp_path / "base")
    assert statuses(RATIO.format(limit), latency=Latency(base=tmp_path / "base"))[0] == [status]


def test_without_a_base_there_is_no_ratio(timed, statuses, tmp_path):
    timed()
    for base in (None, tmp_path / "nowhere"):
        found, report = statuses(RATIO.format(0.5), latency=Latency(base=base))
        assert (found, report.failures) == (["not_measured"], ())


def test_a_busy_machine_decides_nothing(timed, statuses):
    timed(refusal="the machine was too noisy to compare")
    found, report = statuses(P50.format(1), 'metric = "size.total", max = 1', latency=Latency())
    assert found == ["undecided", "exceeded"]  # what is counted is decided anywhere
    assert report.artifacts[0].checks[0].note == "the machine was too noisy to compare"


def test_a_method_that_is_not_there_is_a_failure(timed, statuses):
    timed()
    found, report = statuses('metric = "latency.exit_1.p50", max = 1', latency=Latency())
    assert found == ["absent"]
    assert "latency.exit_1.p50 is not there" in report.failures[0]


def test_a_package_for_a_phone_is_not_timed_here(tmp_path):
    (tmp_path / "a.mlpackage").mkdir()
    found = time_artifact(tmp_path / "a.mlpackage", base=None, threads=1, samples=10)
    assert (found.tried, dict(found.metrics)) == (False, {})
    assert "measure it on a phone" in found.refusal


def test_the_interval_of_a_median():
    steady = median_of([5.0] * 40)
    assert (steady.value, steady.low, steady.high) == (5.0, 5.0, 5.0)
    spread = median_of([float(number) for number in range(101)])
    assert spread.value == 50.0
    assert 30 < spread.low < 50 < spread.high < 70
    assert spread == median_of([float(number) for number in range(101)])


@pytest.mark.alone
def test_an_artifact_is_really_timed(onnx_artifact, tmp_path):
    (tmp_path / "base").mkdir()
    shutil.copy(onnx_artifact, tmp_path / "base")
    found = time_artifact(onnx_artifact, base=tmp_path / "base", threads=1, samples=10)
    if found.refusal is None:
        assert found.metrics.keys() == {"latency.load", "latency.forward.first", "latency.forward.p50", "latency.forward.ratio"}
        assert all(0 < metric.low <= metric.value <= metric.high for metric in found.metrics.values())
    else:
        assert "too noisy" in found.refusal
        assert not found.metrics
