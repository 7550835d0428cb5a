"""Which artifacts of a model no other beats, and what a change does to that."""

import edgekit
from edgekit.gates.pareto import _changes
from edgekit.gates.table import pareto_line


def row(size, macs=10.0, sqnr=100.0, **more):
    return {"size.total": size, "macs.total": macs, "parity.sqnr_db": sqnr, **{key.replace("__", "."): value for key, value in more.items()}}


def test_what_another_beats_in_everything_is_not_on_the_front():
    now = {"net_32_fp32.onnx": row(100), "net_32_fp16.mlpackage": row(50, sqnr=60), "net_32_fp32.pte": row(110), "other_32_fp32.onnx": row(1)}
    (change,) = _changes(now, None)  # of the other model there is one
    assert (change.model, change.front) == ("net_32", ("net_32_fp32.onnx", "net_32_fp16.mlpackage"))
    assert change.measures == ("size.total", "macs.total", "parity.sqnr_db")
    assert (change.joined, change.left) == (None, None)


def test_equal_ones_are_both_worth_having():
    (change,) = _changes({"net_32_a.onnx": row(100), "net_32_b.pte": row(100)}, None)
    assert len(change.front) == 2


def test_against_a_base():
    before = {"net_32_a.onnx": row(100), "net_32_b.pte": row(90, sqnr=50)}
    (change,) = _changes({"net_32_a.onnx": row(100), "net_32_b.pte": row(110, sqnr=50)}, before)
    assert (change.front, change.joined, change.left) == (("net_32_a.onnx",), (), ("net_32_b.pte",))
    assert pareto_line(change) == "net_32: net_32_a.onnx (by size.total, macs.total, parity.sqnr_db); no longer: net_32_b.pte"
    (change,) = _changes(before, {"net_32_a.onnx": row(100)})
    assert (change.joined, change.left) == (("net_32_b.pte",), ())
    assert pareto_line(next(_changes(before, before))).endswith("; as before")


def test_measured_comes_before_counted_where_all_have_it():
    timed = {"latency__exit_1__p50": 1.0, "latency__exit_2__p50": 2.0, "accuracy__top1": 0.5}
    (change,) = _changes({"net_32_a.onnx": row(100, **timed), "net_32_b.pte": row(90, **timed | {"latency__exit_2__p50": 9.0})}, None)
    assert change.measures == ("size.total", "latency", "accuracy.top1")
    assert change.front == ("net_32_a.onnx", "net_32_b.pte")
    (change,) = _changes({"net_32_a.onnx": row(100, **timed), "net_32_b.pte": row(90)}, None)
    assert change.measures == ("size.total", "macs.total", "parity.sqnr_db")
    del timed["accuracy__top1"]
    (change,) = _changes({"net_32_a.onnx": row(100, **timed), "net_32_b.pte": row(90, **timed)}, None)
    assert change.front == ("net_32_b.pte",)


def test_it_is_in_the_report(write_budgets, onnx_artifact):
    report = edgekit.check_budget(write_budgets('metric = "memory.moved", max = 1e9'), artifacts=[onnx_artifact])
    assert report.failures == ()
    assert report.artifacts[0].checks[0].reached.value > 4 * 3 * 32 * 32  # the picture at least
    assert list(_changes({onnx_artifact.name: row(1)}, None)) == []
