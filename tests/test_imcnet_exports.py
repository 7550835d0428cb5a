"""Networks that select by percentiles, exported to every target: their regions are outputs there, so the sets are compared, too."""

import json
from pathlib import Path

import pytest

import edgekit

FILE = Path(__file__).parent / "data" / "selecting.py"
EACH_TARGET = pytest.mark.parametrize("target", ["coreml", "tflite", "executorch", "onnx", "coreai"])


def exported(factory, target, folder):
    result = edgekit.export(f"{FILE}:{factory}", targets=[target], precision="fp32", resolution=32, output_dir=folder)
    (artifact,) = result.artifacts
    return artifact, json.loads(artifact.manifest.read_text())


@EACH_TARGET
def test_the_artifact_selects_the_same_regions(target, tmp_path):
    """A mask is zeros and ones, so within 1e-4 of eager's it is the same mask."""
    artifact, document = exported("hierarchical", target, tmp_path)
    assert (artifact.parity.verdict, artifact.parity.samples) == ("pass", 64)
    assert artifact.parity.max_rel_error <= 1e-4
    assert [output["name"] for output in document["methods"][0]["outputs"]] == ["logits", "pass_1", "pass_2", "pass_3", "pass_4"]
    found = document["parity"]["selections"]
    assert (found["sites"], found["passes"], found["samples"], found["differing"]) == (["net.middle"], 4, 64, [])
    assert found["regions"] == {"net.middle": [[64, 64], [48, 48], [32, 32], [16, 16]]}


@EACH_TARGET
def test_a_budget(target, tmp_path):
    artifact, document = exported("budgeted", target, tmp_path)
    assert (artifact.parity.verdict, artifact.parity.samples) == ("pass", 64)
    assert document["parity"]["selections"]["differing"] == []


@EACH_TARGET
def test_a_network_that_is_written_differently(target, tmp_path):
    artifact, document = exported("soft", target, tmp_path)
    assert artifact.parity.verdict == "pass"
    rewrites = {row["name"]: row["sites"] for row in document["rewrites"] if row["sites"]}
    assert any(name.startswith("quantile_by_counting") for name in rewrites)
    assert document["parity"]["selections"] is None
