"""Sweep files, strictly; the cells that are made of them, and their keys."""

import attrs
import pytest

from edgekit.errors import RecipeError, UsageError
from edgekit.sweep.plan import make_plan
from edgekit.sweep.predict import Guesses, predict
from edgekit.sweep.request import SweepRequest

FILE = """
name = "s"
models = ["emov2-nano", "chase-tiny"]
data = "cifar10"
forms = ["methods", "exit=2"]

[weights]
emov2-nano = "weights/net.safetensors"

[precisions]
onnx = ["fp32", "w8a8"]
coreml = ["fp16"]

[accuracy]
data = "PICTURES"
shard = 3
[accuracy.limits]
coreml = 4

[bench]
targets = ["onnx"]
"""


@pytest.fixture
def write(tmp_path):
    """Write a sweep, what it names, and a labelled set of seven pictures."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "net.safetensors").write_bytes(b"weights")
    pictures = tmp_path / "pictures"
    for number in range(7):
        (pictures / f"class{number % 2}").mkdir(parents=True, exist_ok=True)
        (pictures / f"class{number % 2}" / f"{number}.png").write_bytes(b"picture %d" % number)

    def put(text=FILE):
        (tmp_path / "s.toml").write_text(text.replace("PICTURES", str(pictures)))
        return tmp_path / "s.toml"

    return put


def test_a_file_becomes_its_artifacts(write):
    request = SweepRequest.load(write())
    rows = [(one.model, one.early_exit, one.target, one.precision) for one in request.recipes]
    assert rows[:3] == [("emov2-nano", None, "onnx", "fp32"), ("emov2-nano", None, "onnx", "w8a8"), ("emov2-nano", None, "coreml", "fp16")]
    assert rows[3:] == [("chase-tiny", form, *row[2:]) for form in ("methods", "exit=2") for row in rows[:3]]
    assert [one.data for one in request.recipes[:3]] == [None, "cifar10", None]
    assert [one.weights is None for one in request.recipes] == [False] * 3 + [True] * 6


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('name = "s"', 'name = "../s"', "cannot be a file's"),
        ("[weights]", 'wieghts = ""\n[weights]', "did you mean 'weights'"),
        ("weights/net.safetensors", "../net.safetensors", "leave the sweep's folder"),
        ("weights/net.safetensors", "weights/other.safetensors", "there are no weights"),
        ("weights/net.safetensors", "n" * 5000, "cannot be the name of a file"),
        ('"emov2-nano", ', '"net.py:build", ', "cannot be known to be done"),
        ('"emov2-nano", ', '"emov2-nona", ', "did you mean 'emov2-nano'"),
        ('["fp32", "w8a8"]', '["fp32", "fp32"]', "each once"),
        ('["fp32", "w8a8"]', '["w4a32"]', "onnx cannot be written at precision w4a32"),
        ('data = "cifar10"', "", "needs pictures"),
        ('"exit=2"', '"select"', "more than a picture"),
        ("shard = 3", "shard = 0", "1 or more"),
        ("coreml = 4", "tflite = 4", "unknown key 'tflite'"),
        ('targets = ["onnx"]', 'targets = ["coreml"]', "says something"),
        ('onnx = ["fp32", "w8a8"]', 'litert = ["fp32"]', "is called tflite here"),
        ("name", "name = [", "cannot read sweep"),
    ],
)
def test_a_file_that_is_wrong_is_refused(write, before, after, told):
    assert before in FILE
    with pytest.raises(RecipeError) as refused:
        SweepRequest.load(write(FILE.replace(before, after, 1)))
    assert told in str(refused.value)


def test_a_small_file_that_asks_for_millions_is_refused_at_once(write, monkeypatch):
    monkeypatch.setattr("edgekit.sweep.request._MOST_ARTIFACTS", 50)
    counts = ", ".join(map(str, range(1, 10_000)))
    with pytest.raises(RecipeError, match="too many artifacts"):
        SweepRequest.load(write(FILE.replace("data =", f"calibration_samples = [{counts}]\ndata =", 1)))


def test_a_part_of_it(write):
    request = SweepRequest.load(write()).chosen("emov2-nano/onnx, coreml", 2)
    assert [(one.target, one.model) for one in request.recipes].count(("onnx", "chase-tiny")) == 0
    assert (len(request.recipes), request.accuracy.pictures) == (5, 2)
    with pytest.raises(UsageError, match="no artifact of s"):
        request.chosen("tflite", None)


def test_cells_come_after_what_they_need_and_cover_all_pictures(write):
    plan = make_plan(SweepRequest.load(write()), Guesses([]))
    seen = set()
    for key, cell in plan.cells.items():
        assert set(cell.needs) <= seen
        seen.add(key)
    kinds = [cell.kind for cell in plan.cells.values()]
    assert {kind: kinds.count(kind) for kind in kinds} == {"export": 9, "evaluate": 6 * 3 + 3 * 2, "eager": 2 * 3, "bench": 6}
    shards = [plan.cells[key].parameters for key in plan.rows[0]["evaluate"]]
    assert [(one["start"], one["count"]) for one in shards] == [(0, 3), (3, 3), (6, 1)]
    assert [(row["target"], row["pictures"], row["eager_pictures"]) for row in plan.rows[1:3]] == [("onnx", 7, 7), ("coreml", 4, 7)]
    assert predict(plan.cells.values(), 2).cells == len(plan.cells)


def _keys(plan, model):
    return {cell.key for cell in plan.cells.values() if cell.about["model"] == model}


def test_a_key_is_all_that_decides_a_result(write, tmp_path):
    request = SweepRequest.load(write())
    first, again = (make_plan(request, Guesses([])) for _ in range(2))
    assert list(first.cells) == list(again.cells)
    (tmp_path / "weights" / "net.safetensors").write_bytes(b"other weights")
    other = make_plan(request, Guesses([]))
    assert not _keys(first, "emov2-nano") & _keys(other, "emov2-nano")
    assert _keys(first, "chase-tiny") == _keys(other, "chase-tiny")
    (tmp_path / "pictures" / "class0" / "0.png").write_bytes(b"another picture")
    changed = make_plan(request, Guesses([]))
    kept = {cell.kind for cell in changed.cells.values() if cell.key in other.cells}
    assert kept == {"export", "bench"}


def test_another_edgekit_is_another_key(write, monkeypatch):
    request = SweepRequest.load(write())
    before = make_plan(request, Guesses([])).cells
    monkeypatch.setattr("edgekit.sweep.plan.own_digest", lambda: "0" * 64)
    assert not before.keys() & make_plan(request, Guesses([])).cells.keys()


def test_times_are_guessed_from_the_cells_that_are_most_alike(write):
    plan = make_plan(SweepRequest.load(write()), Guesses([]))
    export = next(cell for cell in plan.cells.values() if cell.kind == "export")
    shard = next(cell for cell in plan.cells.values() if cell.kind == "evaluate")
    guesses = Guesses([(export.about, 10.0), (export.about, 20.0), ({**shard.about, "pictures": 100}, 50.0)])
    assert guesses.seconds(export.about) == 15.0
    assert guesses.seconds(shard.about) == 0.5 * shard.about["pictures"]
    assert guesses.seconds({**export.about, "precision": "w8a8"}) == Guesses([]).seconds({**export.about, "precision": "w8a8"})
    alone = [attrs.evolve(export, guess_s=8.0), attrs.evolve(shard, guess_s=2.0), attrs.evolve(shard, guess_s=3.0, alone=True)]
    assert predict(alone, 4).ends_s == 8.0 + 3.0
