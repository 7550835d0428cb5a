"""``edgekit bench`` and ``edgekit.benchmark`` on artifacts."""

import shutil

import numpy as np
import pytest

import edgekit
from edgekit.bench import benchmark as module
from edgekit.bench.inputs import inputs_of
from edgekit.bench.machine import FixedWork
from edgekit.errors import ArtifactError, UsageError


@pytest.fixture(scope="module")
def exits(tmp_path_factory):
    """A network with exits, as methods and as one graph that selects."""
    folder = tmp_path_factory.mktemp("exits")
    made = [edgekit.export("chase-tiny", targets=["tflite"], early_exit=form, output_dir=folder) for form in ("methods", "select")]
    return [result.artifacts[0].path for result in made]


@pytest.fixture
def steady(monkeypatch):
    """A machine that is as quiet as can be: tests run beside others."""
    monkeypatch.setattr(FixedWork, "run_ms", lambda _: 1.0)


def test_every_method_is_timed_and_what_is_shared_is_compared(exits, steady):
    result = edgekit.benchmark(exits, samples=10)
    assert [(t.artifact, t.method) for t in result.results] == [
        *((exits[0], f"exit_{k}") for k in (1, 2, 3, 4)),
        (exits[1], "forward"),
    ]
    for timing in result.results:
        assert len(timing.samples_ms) == 10
        assert 0 < timing.min_ms <= timing.p50_ms <= timing.p90_ms
        assert min(timing.load_ms, timing.first_ms) > 0
        assert timing.peak_memory_bytes is None or timing.peak_memory_bytes > 0
    (comparison,) = result.comparisons
    assert (comparison.artifact, comparison.base, comparison.method) == (exits[1], exits[0], "total")
    assert result.refusal is None


def test_methods_are_timed_on_what_the_one_before_hands_on(exits):
    given = inputs_of(edgekit.load_artifact(exits[0]))
    assert list(given["exit_1"]) == ["image"]
    for k in (2, 3, 4):
        assert all(name.startswith(f"features_{k - 1}_") for name in given[f"exit_{k}"])


def test_a_graph_that_selects_is_timed_whole(exits):
    given = inputs_of(edgekit.load_artifact(exits[1]))
    assert np.isposinf(given["forward"]["thresholds"]).all()


def test_a_graph_that_joins_the_exits_of_its_file_is_not_counted_beside_them():
    assert module._summed({"exit_1": (1.0, 2.0), "exit_2": (3.0, 4.0), "forward": (9.0, 9.0)}) == [4.0, 6.0]
    assert module._summed({"forward": (9.0, 8.0)}) == [9.0, 8.0]


def test_nothing_is_compared_on_a_noisy_machine(exits, monkeypatch):
    ticks = iter([1.0, 3.0] * 1000)
    monkeypatch.setattr(FixedWork, "run_ms", lambda _: next(ticks))
    result = edgekit.benchmark(exits, samples=10)
    assert result.comparisons == ()
    assert "too noisy to compare" in result.refusal


def test_the_document_has_the_published_members(cli, onnx_artifact):
    ran = cli("bench", onnx_artifact, "--samples", 10, "--json")
    document = ran.document()
    assert (ran.code, document["schema_version"], document["command"]) == (0, 1, "bench")
    (row,) = document["results"]
    published = {"artifact", "method", "threads", "load_ms", "first_ms", "samples_ms", "p50_ms", "p90_ms", "min_ms", "peak_memory_bytes"}
    assert published <= row.keys()
    assert (row["method"], row["threads"], len(row["samples_ms"])) == ("forward", 1, 10)
    assert document["context"]["threads"] == 1


def test_the_table_names_what_was_measured(cli, onnx_artifact, tmp_path, steady):
    other = shutil.copy(onnx_artifact, tmp_path / "other.onnx")
    ran = cli("bench", onnx_artifact, other, "--samples", 10)
    assert ran.code == 0
    assert ran.out.splitlines()[0].split()[:3] == ["artifact", "method", "load"]
    assert "other.onnx takes " in ran.out
    assert "1 thread(s)" in ran.out


def test_what_only_a_phone_can_time_is_refused(tmp_path):
    package = tmp_path / "net.mlpackage"
    package.mkdir()
    with pytest.raises(UsageError, match=r"time of net.mlpackage on this host says nothing") as caught:
        edgekit.benchmark([package])
    assert "interpreted" in caught.value.why


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"samples": 9}, "9 samples say too little"), ({"threads": 0}, "0 threads")],
)
def test_requests_that_say_nothing_are_refused(onnx_artifact, asked, said):
    with pytest.raises(UsageError, match=said):
        edgekit.benchmark([onnx_artifact], **asked)


def test_no_artifact_and_the_same_twice_are_refused(onnx_artifact):
    with pytest.raises(UsageError, match="no artifact to time"):
        edgekit.benchmark([])
    with pytest.raises(UsageError, match="named twice"):
        edgekit.benchmark([onnx_artifact, onnx_artifact])


def test_a_damaged_artifact_is_named(onnx_artifact):
    onnx_artifact.write_bytes(onnx_artifact.read_bytes()[:1000])
    with pytest.raises(ArtifactError, match=onnx_artifact.name):
        edgekit.benchmark([onnx_artifact], samples=10)


def test_memory_that_could_not_be_told_is_none_and_not_zero(onnx_artifact, monkeypatch):
    monkeypatch.setattr(module, "measured_apart", lambda path, threads: module.Once(load_ms=1.0, first_ms={"forward": 1.0}, peak_memory_bytes=None))
    (timing,) = edgekit.benchmark([onnx_artifact], samples=10).results
    assert timing.peak_memory_bytes is None
