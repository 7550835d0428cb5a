"""Where time goes: operators by class, and what is left at best."""

import importlib.util
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def where(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("where_time_goes", BENCHMARKS / "where_time_goes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Fully Connected (NC, F32) GEMM", "products"),
        ("Convolution (NHWC, F32) DWConv", "products"),
        ("Batch Matrix Multiply (NC, F32) GEMM", "products"),
        ("FusedMatMul", "products"),
        ("QuickGelu", "functions"),
        ("Softmax (NC, F32)", "functions"),
        ("expand_copy.out, outside", "moves"),
        ("ReorderInput", "moves"),
        ("Multiply (ND)", "sums, norms and the rest"),
        ("native_layer_norm.out, outside", "sums, norms and the rest"),
    ],
)
def test_operators_have_one_class(where, kind, expected):
    assert where.class_of(kind) == expected


def test_the_floor_is_the_arithmetic_over_all_of_the_plain_export(where):
    ours = {"Conv": (6.0, 3), "Gelu": (2.0, 1), "Add": (1.0, 2), "Transpose": (1.0, 4)}
    found = where.compared("onnx", ours, {"Conv": (8.0, 3), "Transpose": (12.0, 9)})
    assert (found["ratio"], found["floor"]) == (0.5, 0.4)
    assert found["edgekit"]["classes"] == {"products": 6.0, "moves": 1.0, "functions": 2.0, "sums, norms and the rest": 1.0}
    assert [row["name"] for row in found["naive"]["kinds"]] == ["Transpose", "Conv"]


def test_the_least_of_several_profiles_counts(where, monkeypatch):
    from edgekit.bench import profiling

    runs = iter([(2.0, 7.0), (3.0, 5.0)])

    def profile(path, threads):
        rows = tuple(profiling.ProfileRow(name="Conv", ms=9.0, least_ms=ms) for ms in next(runs))
        return (profiling.Profile(artifact=path, target="onnx", sha256="", method="forward", runs=1, rows=rows),)

    monkeypatch.setattr(profiling, "profile", profile)
    assert where.told(Path("x.onnx"), 2) == {"Conv": (7.0, 2)}


def test_a_runtime_that_tells_nothing_is_no_result(where, monkeypatch):
    from edgekit.bench import profiling

    silent = profiling.Profile(artifact=Path("x"), target="onnx", sha256="", method="forward", runs=1, note="tells nothing")
    monkeypatch.setattr(profiling, "profile", lambda path, threads: (silent,))
    with pytest.raises(SystemExit, match="tells nothing"):
        where.told(Path("x.onnx"), 1)
