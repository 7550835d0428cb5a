"""What is read from an artifact and its manifest."""

import json
import shutil
import zlib

import onnx
import pytest

import edgekit
from edgekit.artifact import manifest_path
from edgekit.errors import ArtifactError
from edgekit.gates.kinds import KINDS, kind_of
from edgekit.gates.measure import compressed_bytes, measure
from edgekit.gates.why import duplicates
from edgekit.runtime.loaded import facts_of_file


def values(path):
    return {name: metric.value for name, metric in measure(path).metrics.items()}


def test_sizes_add_up_and_counts_are_the_files(onnx_artifact):
    found = values(onnx_artifact)
    size = onnx_artifact.stat().st_size
    assert found["size.total"] == size == sum(found[f"size.{part}"] for part in ("weights", "graph", "metadata", "other"))
    assert found["size.overhead"] == size - 4 * 1493
    nodes = len(onnx.load(onnx_artifact).graph.node)
    assert found["operators.total"] == found["method.forward.operators"] == nodes
    assert found["macs.total"] == found["method.forward.macs"] > 0
    parity = json.loads(manifest_path(onnx_artifact).read_text())["parity"]
    assert found["parity.sqnr_db"] == parity["sqnr_db"]
    assert found["parity.top1_agreement"] == 1.0
    assert "delegation.share" not in found  # the format has none


def test_every_metric_has_a_kind(onnx_artifact):
    for name in measure(onnx_artifact).metrics:
        assert kind_of(name) in KINDS.values()


def test_compressed_is_what_a_zip_archive_holds(onnx_artifact, tmp_path):
    folder = tmp_path / "a.mlpackage"
    (folder / "inner").mkdir(parents=True)
    (folder / "zeros").write_bytes(bytes(3 << 20))  # more than is read at a time
    shutil.copy(onnx_artifact, folder / "inner" / "b")
    alone = zlib.compressobj(9, zlib.DEFLATED, -15)
    one = len(alone.compress(bytes(3 << 20)) + alone.flush())
    assert compressed_bytes(folder / "zeros") == one < 4000
    assert compressed_bytes(folder) == one + compressed_bytes(onnx_artifact)


def test_operators_that_move_and_cast_are_counted(onnx_artifact):
    before = values(onnx_artifact)
    model = onnx.load(onnx_artifact)
    first = model.graph.node[0].output[0]
    for number, kind in enumerate(("Transpose", "Transpose", "Reshape", "Cast")):
        extra = {"to": 1} if kind == "Cast" else {}
        model.graph.node.append(onnx.helper.make_node(kind, [first], [f"extra{number}"], **extra))
    changed_in_place(onnx_artifact, model)
    after = values(onnx_artifact)
    grown = {name: after[f"operators.{name}"] - before[f"operators.{name}"] for name in ("total", "transposes", "reshapes", "casts")}
    assert grown == {"total": 4, "transposes": 2, "reshapes": 1, "casts": 1}


def changed_in_place(path, model):
    """Write a model under its old name, with a manifest that says so."""
    from edgekit.artifact import digest

    onnx.save(model, path)
    document = json.loads(manifest_path(path).read_text())
    document["artifact"]["sha256"] = digest(path)
    manifest_path(path).write_text(json.dumps(document))


def test_what_is_stored_twice_is_found(onnx_artifact):
    assert duplicates(measure(onnx_artifact).contents.constants) == ()
    model = onnx.load(onnx_artifact)
    copied = onnx.TensorProto.FromString(next(t for t in model.graph.initializer if t.name == "body.weight").SerializeToString())
    copied.name = "again"
    model.graph.initializer.append(copied)
    changed_in_place(onnx_artifact, model)
    (found,) = duplicates(measure(onnx_artifact).contents.constants)
    assert (found.names, found.wasted) == (("body.weight", "again"), 16 * 8 * 9 * 4)


def test_an_artifact_that_its_manifest_does_not_describe_is_refused(onnx_artifact):
    onnx_artifact.write_bytes(onnx_artifact.read_bytes() + b"\x00\x00")
    with pytest.raises(ArtifactError):
        measure(onnx_artifact)
    manifest_path(onnx_artifact).unlink()
    with pytest.raises(ArtifactError):
        measure(onnx_artifact)


def test_without_a_manifest_nothing_tells_the_tools(onnx_artifact):
    manifest_path(onnx_artifact).unlink()
    with pytest.raises(ArtifactError, match="has no manifest"):
        measure(onnx_artifact)


@pytest.mark.parametrize("missing", ["tools", "recipe", "parity"])
def test_a_manifest_with_parts_missing_is_refused(onnx_artifact, missing):
    document = json.loads(manifest_path(onnx_artifact).read_text())
    del document[missing]
    manifest_path(onnx_artifact).write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="cannot be read"):
        measure(onnx_artifact)


def test_of_a_manifest_of_before_multiply_adds_are_unknown(onnx_artifact):
    document = json.loads(manifest_path(onnx_artifact).read_text())
    del document["macs"]
    manifest_path(onnx_artifact).write_text(json.dumps(document))
    assert "macs.total" not in values(onnx_artifact)


def test_how_a_quantized_artifact_answered_is_in_its_manifest(onnx_artifact):
    assert not any(name.startswith("judged.") for name in values(onnx_artifact))
    document = json.loads(manifest_path(onnx_artifact).read_text())
    answers = [
        {"agreement": 0.99, "sqnr_db": 31.5, "accuracy": 0.84, "eager_accuracy": 0.85},
        {"agreement": 0.98, "sqnr_db": 33.0, "accuracy": None, "eager_accuracy": None},
        {"agreement": None, "sqnr_db": 40.0, "accuracy": 0.83, "eager_accuracy": 0.8325},
    ]
    document["quantization"] = {"judged": [{"answers": answers[:2]}, {"answers": answers[2:]}]}
    document["recipe"]["precision"] = "w8a8"
    manifest_path(onnx_artifact).write_text(json.dumps(document))
    found = values(onnx_artifact)
    assert (found["judged.agreement"], found["judged.sqnr_db"], found["judged.accuracy"]) == (0.98, 31.5, 0.83)
    assert found["judged.accuracy_drop"] == pytest.approx(0.01)
    assert found["size.overhead"] == onnx_artifact.stat().st_size - 1493  # a byte for each parameter


@pytest.fixture(scope="module")
def everywhere(net, tmp_path_factory):
    """``net.py:build`` for every target; not to be changed."""
    options = {"resolution": 32, "output_dir": tmp_path_factory.mktemp("everywhere"), "atol": 1.0}
    return edgekit.export(f"{net}:build", targets=["coreml", "tflite", "executorch", "coreai"], **options).artifacts


def test_every_target_can_be_measured(everywhere):
    for row in everywhere:
        measured = measure(row.path)
        found = measured.metrics
        assert measured.target == facts_of_file(row.path).name == row.target
        assert found["size.total"].value == row.size_bytes
        assert found["method.forward.operators"].value == found["operators.total"].value > 0
        assert ("delegation.share" in found) == (row.delegation.share is not None)
        assert ("memory.planned" in found) == (row.target == "executorch")
        constants = measured.contents.constants
        if row.target == "coreai":
            assert constants is None
        else:
            # The largest value is the second convolution's weight; nothing else has as many bytes.
            bits = 2 if row.target == "coreml" else 4
            assert max(constant.size for constant in constants) == 16 * 8 * 9 * bits
            total = sum(constant.size for constant in constants)
            assert found["method.forward.weights"].value == total == pytest.approx(found["size.weights"].value, rel=0.15)


def test_what_methods_share_counts_in_each_and_once_in_all(tmp_path):
    (row,) = edgekit.export("chase-tiny", targets=["tflite"], output_dir=tmp_path).artifacts
    measured = measure(row.path)
    found = {name: metric.value for name, metric in measured.metrics.items()}
    by_method = [found[f"method.{method}.weights"] for method in row.methods]
    constants = measured.contents.constants
    assert sum(constant.size for constant in constants) == found["size.weights"]
    assert sum(by_method) == sum(constant.size * len(constant.methods) for constant in constants) > found["size.weights"]
    assert all(0 < size < found["size.weights"] for size in by_method)
    for kind in ("operators", "transposes", "reshapes", "casts"):
        total = found["operators.total" if kind == "operators" else f"operators.{kind}"]
        assert sum(found[f"method.{method}.{kind}"] for method in row.methods) == total
    assert found["macs.total"] == sum(found[f"method.{method}.macs"] for method in row.methods)


def test_kernels_outside_the_delegate_have_constants_too(net, tmp_path):
    (row,) = edgekit.export(f"{net}:build", targets=["executorch"], backend="portable", resolution=32, output_dir=tmp_path).artifacts
    measured = measure(row.path)
    assert measured.metrics["delegation.share"].value == 0
    assert measured.metrics["method.forward.weights"].value == pytest.approx(measured.metrics["size.weights"].value, rel=0.05)
    assert max(constant.size for constant in measured.contents.constants) == 16 * 8 * 9 * 4


def test_constants_are_named_by_their_module(everywhere):
    named = {row.target: [c.name for c in measure(row.path).contents.constants or ()] for row in everywhere}
    for target in ("coreml", "tflite"):
        assert any(name.startswith("body.") for name in named[target]), named[target]
