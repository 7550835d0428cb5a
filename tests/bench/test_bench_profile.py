"""Where time goes, what share of the peak that is, and the vendor's plain export beside an artifact."""

import numpy as np
import pytest

import edgekit
from edgekit.bench import against, litert_c, profile_executorch, profile_litert, roofline
from edgekit.bench.machine import FixedWork
from edgekit.bench.profiling import ProfileRow, Sum, placed, profile
from edgekit.bench.timing_row import MethodTiming
from edgekit.errors import ArtifactError, UsageError
from edgekit.origins import Origin, Origins


@pytest.fixture
def steady(monkeypatch):
    monkeypatch.setattr(FixedWork, "run_ms", lambda _: 1.0)


def timing(path, ms):
    rest = {"target": "onnx", "sha256": "a" * 64, "threads": 1, "load_ms": 1.0, "first_ms": 1.0, "peak_memory_bytes": None}
    return MethodTiming(artifact=path, method="forward", samples_ms=(ms, ms + 1), **rest)


def test_onnxruntime_tells_every_kernel_and_the_module_it_came_from(onnx_artifact):
    (found,) = profile(onnx_artifact, threads=1)
    assert (found.method, found.target) == ("forward", "onnx")
    kinds = {row.name for row in found.rows}
    assert {"Conv", "Gemm"} <= kinds or {"Conv", "MatMul"} <= kinds
    assert all(row.ms >= 0 and row.calls >= 1 for row in found.rows)
    convolutions = [row.module for row in found.rows if row.name == "Conv"]
    assert convolutions
    assert sorted(convolutions) == ["body", "norm"]  # the norm's, which the stem was folded into
    assert sum(row.ms for row in found.rows) <= found.whole_ms


def test_executorch_tells_what_is_inside_its_delegates(net, tmp_path):
    made = edgekit.export(f"{net}:build", targets=["executorch"], resolution=32, output_dir=tmp_path).artifacts[0]
    (found,) = profile(made.path, threads=1)
    assert any("Convolution" in row.name for row in found.rows)
    assert not any(row.name in ("DELEGATE_CALL", "Method::execute") for row in found.rows)
    assert 0 < sum(row.ms for row in found.rows) <= found.whole_ms
    assert "1 delegate call " in found.note


def test_litert_tells_what_is_inside_its_delegate(net, tmp_path, monkeypatch):
    made = edgekit.export(f"{net}:build", targets=["tflite"], resolution=32, output_dir=tmp_path).artifacts[0]
    (found,) = profile(made.path, threads=1)
    assert any("Convolution" in row.name for row in found.rows)
    assert 0 < sum(row.ms for row in found.rows) <= found.whole_ms
    assert "XNNPACK keeps no names" in found.note

    content, image = made.path.read_bytes(), np.zeros((1, 32, 32, 3), np.float32)
    with litert_c.profiled(content, "forward", {"image": image}, 1) as run:
        run()  # allocates
        assert [event.tag for event in run()] == [event.tag for event in run()]
    with pytest.raises(ArtifactError, match="no signature absent"), litert_c.profiled(content, "absent", {"image": image}, 1):
        pass
    with pytest.raises(ArtifactError, match="12288 bytes there, 48 here"), litert_c.profiled(content, "forward", {"image": image[:, :2, :2]}, 1):
        pass

    monkeypatch.setattr(litert_c, "VERIFIED", "2.2.9")
    (found,) = profile(made.path, threads=1)
    assert (found.rows, found.whole_ms) == ((), None)
    assert "of ai-edge-litert 2.2.9, and" in found.note


def test_litert_events_are_summed_without_calls_of_what_tells_its_own():
    def event(tag, kind, us):
        return litert_c.Event(tag=tag, kind=kind, us=us, index=0)

    run = [
        event("Invoke", litert_c.INVOKE, 90),
        event("GELU", 8, 20),
        event("GELU", 8, 10),
        event("TfLiteXNNPackDelegate", 2, 30),
        event("GATHER", 2, 5),
    ]
    told = profile_litert._told([run, run])
    assert [(row.name, row.ms) for row in told.rows] == [("GELU", 0.02), ("GELU", 0.01), ("GATHER, outside", 0.005)]
    assert told.whole_ms == 0.09
    silent = profile_litert._told([[event("VendorDelegate", 2, 30)]])
    assert [row.name for row in silent.rows] == ["VendorDelegate, outside"]


def test_executorch_events_are_summed_without_those_that_warmed_up():
    class Event:
        def __init__(self, name, raw, delegated):
            self.name, self.is_delegated_op = name, delegated
            self.perf_data = type("PerfData", (), {"raw": raw})

    events = [
        Event("GELU (NC) #3", [9.0, 1.0, 2.0], True),
        Event("native_call_amax.out", [9.0, 3.0, 3.0], False),
        Event("DELEGATE_CALL", [9.0, 1.0, 1.0], False),
        Event("Method::execute", [9.0, 5.0, 6.0], False),
    ]
    told = profile_executorch._summed(events, 2)
    assert [(row.name, row.ms) for row in told.rows] == [("GELU (NC)", 1.5), ("amax.out, outside", 3.0)]
    assert told.whole_ms == 5.5


def test_rows_get_the_module_of_their_node_else_their_own():
    origins = Origins({"forward": {"conv2d": Origin(module="stem", line="net.py:3, in forward")}})
    rows = [ProfileRow(name="Conv", ms=1, node="conv2d"), ProfileRow(name="Conv", ms=1, node="x", module="body"), ProfileRow(name="Add", ms=1)]
    found = list(placed(rows, "forward", origins))
    assert [(row.module, row.line) for row in found] == [("stem", "net.py:3, in forward"), ("body", None), (None, None)]


def test_events_of_one_operator_are_one_row():
    total = Sum()
    for key, ms in ((1, 2.0), (2, 5.0), (1, 4.0)):
        total.add("Conv", ms, key=key)
    assert [(row.ms, row.least_ms, row.calls) for row in total.told(2)] == [(3.0, 2.0, 1), (2.5, 5.0, 1)]


def test_the_least_time_is_of_a_whole_run():
    total = Sum()
    for ms in (1.0, 5.0, 2.0, 3.0):  # two calls a run
        total.add("Conv", ms, key=1)
    (row,) = total.told(2)
    assert (row.ms, row.least_ms, row.calls) == (5.5, 5.0, 2)


def test_the_share_is_of_the_peak_and_missing_without_a_manifest(onnx_artifact, tmp_path, monkeypatch):
    monkeypatch.setattr(roofline, "gemm_peak_gmacs", lambda threads: 50.0)
    (row,) = roofline.roofline((timing(onnx_artifact, 2.0),), 1).rows
    assert row.gmacs == row.macs / 2.0 / 1e6
    assert row.share == row.gmacs / 50.0
    assert row.bytes_moved > row.macs / 100
    bare = tmp_path / "bare.onnx"
    bare.write_bytes(onnx_artifact.read_bytes())
    (row,) = roofline.roofline((timing(bare, 2.0),), 1).rows
    assert (row.macs, row.share) == (None, None)


def test_the_peak_leaves_the_threads_as_they_were():
    import torch

    before = torch.get_num_threads()
    assert roofline.gemm_peak_gmacs(1) > 0.1
    assert torch.get_num_threads() == before


def test_the_vendors_plain_export_is_timed_beside(onnx_artifact, net, steady):
    result = edgekit.benchmark([onnx_artifact], samples=10, against="naive", model=f"{net}:build")
    (beside,) = result.beside
    assert beside.failure is None
    assert beside.max_rel_error < 1e-5
    assert [row.artifact.name for row in result.results] == [onnx_artifact.name, f"{onnx_artifact.stem}.naive.onnx"]
    (comparison,) = result.comparisons
    assert (comparison.artifact, comparison.base) == (onnx_artifact, beside.path)
    assert [(graph.form, graph.target) for graph in result.graphs] == [("edgekit", "onnx"), ("naive", "onnx")]
    assert all(graph.operators["Conv"] == 2 for graph in result.graphs)
    assert not beside.path.exists()


def test_a_vendors_failure_is_a_result_with_its_stage(onnx_artifact, net, steady, monkeypatch):
    def fail(model, image, path):
        raise ValueError("no kernel\nfor quantile")

    monkeypatch.setitem(against.EXPORTERS, "onnx", fail)
    result = edgekit.benchmark([onnx_artifact], samples=10, against="naive", model=f"{net}:build")
    assert result.beside[0].failure == "fails when converting: ValueError: no kernel for quantile"
    assert result.comparisons == ()
    assert len(result.results) == 1


def test_what_cannot_be_compared_with_is_refused(onnx_artifact, refused, net):
    with pytest.raises(UsageError, match="cannot compare against 'others'"):
        edgekit.benchmark([onnx_artifact], against="others")
    assert "are for --against naive" in refused(2, "bench", onnx_artifact, "--weights", "x.safetensors")
    (onnx_artifact.parent / f"{onnx_artifact.name}.manifest.json").unlink()
    assert "has no manifest" in refused(3, "bench", onnx_artifact, "--against", "naive")


def test_the_document_holds_everything_and_the_report_reads_it(onnx_artifact, net, steady, cli, tmp_path):
    ran = cli("bench", onnx_artifact, "--samples", 10, "--profile", "--against", "naive", "--model", f"{net}:build", "--json", "--quiet")
    document = ran.document()
    assert {"against", "graphs", "profiles", "roofline", "comparisons"} <= document.keys()
    (profile_row,) = document["profiles"]
    assert {"name", "ms", "module", "line", "calls"} <= profile_row["rows"][0].keys()
    (tmp_path / "bench.json").write_text(ran.out)
    assert cli("report", tmp_path / "bench.json", "-o", tmp_path / "out").code == 0
    text = (tmp_path / "out" / "edgekit-report.md").read_text()
    assert "## Where time goes" in text
    assert "Share of the machine's peak" in text
    assert "Operators before and after" in text
