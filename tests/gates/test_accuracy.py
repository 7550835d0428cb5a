"""Labelled pictures as a gate sees them."""

import numpy as np
import pytest
from PIL import Image

import edgekit
from edgekit.errors import BadInputError, BudgetError
from edgekit.gates.accuracy import Accuracy, measure_accuracy
from edgekit.gates.report import require_budgets

CLASSES = 5


@pytest.fixture
def labelled(onnx_artifact, tmp_path):
    """Twenty pictures, and a CSV file of what the artifact itself says of them; ``wrong``: of so many it says something else."""

    def write(wrong=0, labels=None):
        artifact = edgekit.load_artifact(onnx_artifact)
        rng = np.random.default_rng(0)
        rows = []
        for number in range(20):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{number}.png")
            mean, std = (np.array(values, np.float32) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
            image = ((pixels / np.float32(255) - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)
            said = int(artifact.run("forward", {"image": image})["logits"].argmax())
            label = (said + 1) % CLASSES if number < wrong else said
            rows.append(f"{number}.png,{label if labels is None else labels}")
        (tmp_path / "labels.csv").write_text("filename,label\n" + "\n".join(rows) + "\n")
        return Accuracy(data=str(tmp_path / "labels.csv"), samples=20)

    return write


@pytest.mark.parametrize(("wrong", "share"), [(0, 1.0), (5, 0.75)])
def test_the_share_of_right_answers(labelled, onnx_artifact, wrong, share):
    found = measure_accuracy(onnx_artifact, labelled(wrong))
    assert found["accuracy.top1"].value == pytest.approx(share, abs=0.11)  # crops are resampled: a close call may turn
    assert found["accuracy.top5"].value == 1.0  # of five classes


def test_a_budget_for_it(labelled, write_budgets, onnx_artifact):
    path = write_budgets('metric = "accuracy.top1", min = 0.6')
    assert edgekit.check_budget(path, artifacts=[onnx_artifact]).counts()["not_measured"] == 1
    assert edgekit.check_budget(path, artifacts=[onnx_artifact], accuracy=labelled(0)).failures == ()
    report = edgekit.check_budget(path, artifacts=[onnx_artifact], accuracy=labelled(20))
    with pytest.raises(BudgetError, match=r"accuracy\.top1 is .*, at least 0\.6 allowed"):
        require_budgets(report)


def test_pictures_that_tell_nothing(labelled, onnx_artifact, tmp_path):
    with pytest.raises(BadInputError, match="has label 7"):
        measure_accuracy(onnx_artifact, labelled(labels=7))
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(BadInputError, match="has no labels"):
        measure_accuracy(onnx_artifact, Accuracy(data=str(tmp_path), samples=5))
    with pytest.raises(BadInputError):
        measure_accuracy(onnx_artifact, Accuracy(data=str(tmp_path / "nowhere"), samples=5))


def test_networks_with_exits_answer_by_their_policy_or_at_the_end(labelled, onnx_artifact, tmp_path):
    """Of a file without a policy the last exit counts."""
    labelled()
    (row,) = edgekit.export("chase-tiny", targets=["onnx"], output_dir=tmp_path).artifacts
    assert 0 <= measure_accuracy(row.path, Accuracy(data=str(tmp_path / "labels.csv"), samples=20))["accuracy.top1"].value <= 1
    artifact = edgekit.load_artifact(row.path)
    image = np.zeros((1, 3, 32, 32), np.float32)
    from edgekit.gates.accuracy import _logits

    last = artifact.run("forward", {"image": image, "thresholds": np.full(3, np.inf, np.float32)})["logits"]
    assert np.allclose(_logits(artifact, image), last, rtol=0, atol=1e-4)  # the exits are cut out of the file: other fusions
