"""How cost grows: exponents, what is asked of which process, and the picture."""

import importlib.util
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def script(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def growth(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield script("growth")
    sys.modules.pop("timing", None)


def timed(ours, theirs, error=1e-6):
    return [{"variant": name, "min_ms": ms, "max_rel_error": error} for name, ms in (("edgekit", ours), ("naive", theirs))]


def test_only_the_axis_moves(growth):
    assert growth.point_on("onnx", "depth", "emov2-1m") == growth.Point(target="onnx", model="emov2-1m", resolution=224, batch=1, threads=1)
    assert growth.point_on("onnx", "batch", 8) == growth.Point(target="onnx", model="emov2-5m", resolution=224, batch=8, threads=1)


@pytest.mark.parametrize(
    ("axis", "values", "macs"), [("resolution", (2, 4, 8), (1, 1, 1)), ("batch", (4, 16, 64), (1, 1, 1)), ("depth", "abc", (4, 16, 64))]
)
def test_the_exponent_is_of_pixels_pictures_or_multiply_adds(growth, axis, values, macs):
    measured = dict(zip(values, macs, strict=True))
    times = dict(zip(values, (3.0, 12.0, 48.0), strict=True))

    def measure(point):
        value = {"depth": point.model}.get(axis, getattr(point, axis, None))
        return {"macs": measured[value], "timed": timed(times[value], times[value] ** 2)}

    document = growth.grown("onnx", axis, list(values), measure)
    assert document["growth"] == {"edgekit": 1.0, "naive": 2.0}
    assert document["wrong"] == []
    assert [point["value"] for point in document["points"]] == list(values)


def test_a_wrong_answer_is_named_and_one_point_has_no_exponent(growth):
    document = growth.grown("onnx", "batch", [8], lambda point: {"macs": 1, "timed": timed(1.0, 1.0, error=2e-4)})
    assert document["wrong"] == [8]
    assert document["growth"] == {"edgekit": None, "naive": None}


def test_the_picture_has_a_line_a_variant_and_says_what_is_missing():
    points = [{"value": value, "macs": 1, "timed": timed(ms, 2 * ms)} for value, ms in ((1, 10.0), (2, 20.0), (4, 40.0))]
    drawn = script("growth_plot").drawn([{"benchmark": "growth", "target": "onnx", "axis": "batch", "points": points}])
    root = ET.fromstring(drawn)
    lines = [node for node in root.iter() if node.tag.endswith("polyline")]
    assert [line.get("class") for line in lines] == ["edgekit", "naive"]
    corners = [tuple(map(float, pair.split(","))) for pair in lines[0].get("points").split()]
    assert corners[1][0] - corners[0][0] == pytest.approx(corners[2][0] - corners[1][0], abs=0.2)  # factors of two are equally far apart
    assert [top for _, top in corners] == sorted((top for _, top in corners), reverse=True)
    assert drawn.count("not measured yet") == 11
