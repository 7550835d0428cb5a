import importlib.metadata
import json
import re
import socket
from pathlib import Path

import pytest

import edgekit
from edgekit.artifact import digest
from edgekit.capabilities import TARGETS, target_facts
from edgekit.errors import ArtifactError
from edgekit.installed import tool_versions
from edgekit.interface import MethodSpec, Preprocessing, TensorSpec
from edgekit.manifest import methods_from_json, native_method, preprocessing_from_json
from edgekit.recipe import Recipe


@pytest.fixture
def document(exported_once):
    return json.loads(exported_once.artifacts[0].manifest.read_text())


def test_it_holds_the_recipe_and_its_hash(document):
    recipe = Recipe(model="net.py:build", target="onnx", resolution=32)
    assert document["recipe"] == recipe.to_json()
    assert document["recipe_sha256"] == recipe.digest()


def test_it_holds_what_the_artifact_is(document, exported_once, net):
    written = exported_once.artifacts[0]
    row = document["artifact"]
    assert (row["name"], row["sha256"], row["size_bytes"]) == (written.path.name, digest(written.path), written.path.stat().st_size)
    assert sum(row["sections"].values()) == row["size_bytes"]
    assert all(size >= 0 for size in row["sections"].values())
    assert document["model"] == {
        "name": "net.py:build",
        "parameters": 1493,
        "trained": None,
        "weights_sha256": None,
        "code_sha256": digest(net),
    }


def test_it_holds_the_versions_of_the_tools(document):
    names = {"edgekit": "edgekit", "torch": "torch", "onnx": "onnx", "onnxscript": "onnxscript", "onnxruntime": "onnxruntime"}
    assert document["tools"] == {name: importlib.metadata.version(name) for name in names}


def test_it_counts_the_multiply_adds_of_the_lowered_program(document):
    stem, body, head = 16 * 16 * 8 * 27, 8 * 8 * 16 * 72, 16 * 5
    assert document["macs"] == {"forward": stem + body + head}


def test_every_targets_tools_have_versions():
    for facts in TARGETS:
        assert all(tool_versions(facts).values())


def test_it_holds_the_interface_and_the_preprocessing(document):
    image = {"name": "image", "dtype": "float32", "shape": [1, 3, 32, 32], "layout": "NCHW"}
    logits = {"name": "logits", "dtype": "float32", "shape": [1, 5], "layout": "NC"}
    assert document["methods"] == [{"name": "forward", "inputs": [image], "outputs": [logits]}]
    assert preprocessing_from_json(document["preprocessing"]) == Preprocessing(resolution=32)
    (method,) = methods_from_json(document["methods"])
    assert method.inputs[0] == TensorSpec(name="image", dtype="float32", shape=(1, 3, 32, 32), layout="NCHW")


def test_it_holds_rewrites_delegation_and_parity(document):
    wanted = {form.rewrite for form in target_facts("onnx").forms}
    rewrites = {row["name"]: row for row in document["rewrites"]}
    assert rewrites.keys() == wanted
    assert rewrites["fold_batch_norm"]["sites"] == ["norm"]
    assert 0 <= rewrites["fold_batch_norm"]["max_error"] < 1e-4
    assert all(type(row["skips"]) is list for row in document["rewrites"])
    assert document["delegation"] == {"share": None, "not_delegated": {}, "subgraphs": None}
    assert document["operators"]["Conv"] == 2
    parity = document["parity"]
    assert (parity["verdict"], parity["samples"]) == ("pass", 9)
    assert parity["tolerance"]["evidence"]


def test_it_holds_no_path_of_this_machine_and_no_time(exported_once, net):
    text = exported_once.artifacts[0].manifest.read_text()
    for secret in (str(net.parent), str(Path.home()) + "/", str(Path(edgekit.__file__).parent), "/tmp/", socket.gethostname()):
        assert secret not in text
    assert not re.search(r"20\d\d-\d\d-\d\d|\d\d:\d\d:\d\d|\b1[78]\d{8}\b", re.sub(r"[0-9a-f]{64}", "", text))


@pytest.mark.parametrize("rows", [None, 3, [3], [{}], [{"name": "f", "inputs": 3, "outputs": []}], [{"name": "f", "inputs": [{}], "outputs": []}]])
def test_methods_that_cannot_be_read(rows):
    with pytest.raises(ArtifactError, match="methods cannot be read"):
        methods_from_json(rows)


@pytest.mark.parametrize("row", [None, 3, {}, {"resolution": 3}, {"mean": [0] * 3, "std": [1] * 3, "resolution": 3, "zoom": 1}])
def test_preprocessing_that_cannot_be_read(row):
    with pytest.raises(ArtifactError, match="preprocessing cannot be read"):
        preprocessing_from_json(row)


def test_a_method_is_found_by_name_and_arity():
    x = TensorSpec(name="x", dtype="float32", shape=(1,))
    own = MethodSpec(name="forward", inputs=(x,), outputs=(x,))
    assert native_method((own,), MethodSpec(name="forward", inputs=(x,), outputs=(x,))) is own
    for wanted in (MethodSpec(name="other", inputs=(x,), outputs=(x,)), MethodSpec(name="forward", inputs=(x, x), outputs=(x,))):
        with pytest.raises(ArtifactError, match="the file has no method") as caught:
            native_method((own,), wanted)
        assert caught.value.what == "it has forward (1 to 1)"
