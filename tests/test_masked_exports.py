"""Networks that index by boolean masks, exported to every target; the rows that are kept are outputs, so their order is compared, too."""

import json
from pathlib import Path

import pytest

import edgekit
from edgekit.errors import DataDependentError, ParityError

FILE = Path(__file__).parent / "data" / "masking.py"
TARGETS = ["coreml", "tflite", "executorch", "onnx", "coreai"]
EACH_TARGET = pytest.mark.parametrize("target", TARGETS)
MASKS = {"pruned": 2, "narrowed": 2, "filled": 1}
"""How many different masks each network takes or puts rows by."""


@EACH_TARGET
@pytest.mark.parametrize("factory", MASKS)
def test_the_artifact_keeps_the_same_rows(factory, target, tmp_path):
    result = edgekit.export(f"{FILE}:{factory}", targets=[target], precision="fp32", resolution=32, output_dir=tmp_path)
    (artifact,) = result.artifacts
    assert (artifact.parity.verdict, artifact.parity.samples) == ("pass", 9)
    assert artifact.parity.max_rel_error <= 1e-4
    rewrites = {row["name"]: row for row in json.loads(artifact.manifest.read_text())["rewrites"]}
    form = rewrites["kept_places_by_top_k" if target == "onnx" else "kept_rows_by_products"]
    assert len(form["sites"]) == MASKS[factory]
    assert form["max_error"] <= 1e-6


@EACH_TARGET
def test_a_mask_of_no_percentile_is_refused_before_the_converter(target, tmp_path):
    with pytest.raises(DataDependentError) as caught:
        edgekit.export(f"{FILE}:free", targets=[target], resolution=32, output_dir=tmp_path)
    assert caught.value.where.endswith("in chosen    return h[s > 0.5]")
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_tells_what_where_why_and_what_to_try(refused, tmp_path):
    arguments = [word for target in TARGETS for word in ("-t", target)]
    said = refused(4, "export", f"{FILE}:distinct", *arguments, "--resolution", 32, "-o", tmp_path)
    assert "a size is decided by what a tensor holds" in said
    assert "aten._unique2" in said
    assert "torch.unique(self.score(h).round())" in said
    assert "static" in said
    assert "torch.topk" in said


def test_equal_scores_on_a_sample_stop_the_export(tmp_path):
    """Of a black picture all regions are alike, and none of them is above their median."""
    with pytest.raises(ParityError) as caught:
        edgekit.export(f"{FILE}:tied", targets=["onnx"], resolution=32, output_dir=tmp_path)
    assert caught.value.what == "a mask of 16 places keeps 0 on sample 6 of 9; of distinct scores it keeps 8"
    assert "h[s > s.quantile(0.5)]" in caught.value.where
