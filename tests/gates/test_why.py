"""Why an artifact is as large as it is: what grew, as a tree, and what is stored twice."""

import json

import onnx
import pytest

import edgekit
from edgekit.artifact import digest, manifest_path
from edgekit.gates.base import read_base
from edgekit.gates.constants import Constant
from edgekit.gates.document import to_json
from edgekit.gates.measure import measure
from edgekit.gates.table import why_lines
from edgekit.gates.why import Duplicate, Row, duplicates, explain, tree


def test_the_tree_shows_what_changed_the_largest_change_first():
    before = {"a.x.weight": 10, "a.y.weight": 10, "a.y.bias": 1, "b.weight": 5, "same": 7}
    now = {"a.x.weight": 12, "a.y.weight": 30, "a.y.bias": 2, "c.d.weight": 4, "same": 7}
    assert tree(before, now) == (
        Row(depth=0, part="a", before=21, now=44),
        Row(depth=1, part="y", before=11, now=32),
        Row(depth=2, part="weight", before=10, now=30),
        Row(depth=2, part="bias", before=1, now=2),
        Row(depth=1, part="x.weight", before=10, now=12),
        Row(depth=0, part="b.weight", before=5, now=0),
        Row(depth=0, part="c.d.weight", before=0, now=4),
    )
    assert tree(now, now) == ()


def test_a_name_may_be_the_beginning_of_another():
    assert tree({"a": 1}, {"a": 2, "a.b": 5}) == (Row(depth=0, part="a", before=1, now=7), Row(depth=1, part="b", before=0, now=5))


def test_duplicates_are_by_value_and_the_dearest_come_first():
    def constant(name, size, sha256):
        return Constant(name, size, sha256)

    rows = [constant("a", 64, "1"), constant("b", 64, "1"), constant("c", 4, "2"), constant("d", 4, "2")]
    rows += [constant("e", 1000, "3"), constant("f", 1000, "3"), constant("g", 1000, "3"), constant("h", 64, "4")]
    assert duplicates(rows) == (Duplicate(names=("e", "f", "g"), wasted=2000), Duplicate(names=("a", "b"), wasted=64))


@pytest.fixture
def grown(write_budgets, onnx_artifact, tmp_path):
    """A report of the artifact, and the artifact with the head's weight twice and one operator more."""
    report = edgekit.check_budget(write_budgets('metric = "size.total", max = 1'), artifacts=[onnx_artifact])
    (tmp_path / "base.json").write_text(json.dumps(to_json(report)))
    model = onnx.load(onnx_artifact)
    weight = onnx.TensorProto.FromString(next(t for t in model.graph.initializer if t.name == "head.weight").SerializeToString())
    weight.name = "head.again"
    model.graph.initializer.append(weight)
    model.graph.node.append(onnx.helper.make_node("Transpose", ["head.again"], ["turned"]))
    onnx.save(model, onnx_artifact)
    document = json.loads(manifest_path(onnx_artifact).read_text())
    document["artifact"]["sha256"] = digest(onnx_artifact)
    manifest_path(onnx_artifact).write_text(json.dumps(document))
    return read_base(tmp_path / "base.json"), onnx_artifact


def test_what_grew_is_named_by_module_and_operator(grown):
    base, path = grown
    found = explain(measure(path), base)
    assert found.grown["constants"] == (Row(depth=0, part="head.again", before=0, now=16 * 5 * 4),)
    assert found.grown["operators"] == (Row(depth=0, part="Transpose", before=0, now=1),)
    assert found.grown["nodes"] == ()
    assert (found.note, found.floor_bytes, found.total_bytes) == (None, 4 * 1493, path.stat().st_size)
    (twice,) = found.duplicates
    assert (twice.names, twice.wasted) == (("head.weight", "head.again"), 320)
    lines = list(why_lines(found))
    assert "stored twice: 320 bytes" in lines
    assert any(line.split()[:2] == ["+320", "head.again"] for line in lines)
    assert "nodes of the program that was lowered: nothing changed" in lines


def test_other_tools_than_the_bases_are_said(grown, tmp_path):
    _, path = grown
    document = json.loads((tmp_path / "base.json").read_text())
    document["artifacts"][0]["tools"]["onnx"] = "1.0"
    (tmp_path / "base.json").write_text(json.dumps(document))
    found = explain(measure(path), read_base(tmp_path / "base.json"))
    assert found.note.startswith("made with other tools than the base: onnx 1.0 to ")


def test_without_a_base_nothing_is_compared(grown, tmp_path):
    _, path = grown
    assert (explain(measure(path), None).grown, explain(measure(path), None).note) == (None, "--compare BASE.json tells what grew")
    document = json.loads((tmp_path / "base.json").read_text())
    document["artifacts"][0]["name"] = "other.onnx"
    (tmp_path / "base.json").write_text(json.dumps(document))
    found = explain(measure(path), read_base(tmp_path / "base.json"))
    assert (found.grown, found.note) == (None, "base.json does not know it")
