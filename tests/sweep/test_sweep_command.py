"""``edgekit sweep``, from a file to a table."""

import numpy as np
import pytest
from PIL import Image

from edgekit.data.open import open_data
from edgekit.models.source import load_source
from edgekit.sweep.answers import of_network, predict_pictures
from edgekit.sweep_store.predictions import merged

FILE = """
name = "tiny"
models = ["chase-tiny"]
[precisions]
onnx = ["fp32"]
[accuracy]
data = "PICTURES"
shard = 5
"""


@pytest.fixture
def file(tmp_path):
    """A sweep of one untrained network on eight pictures of ten classes; every picture is of class 0, 3 or 9."""
    rng = np.random.default_rng(0)
    for number in range(10):
        (tmp_path / "pictures" / f"{number}").mkdir(parents=True)
    for number in range(8):
        pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{(0, 3, 9)[number % 3]}" / f"{number}.png")
    (tmp_path / "tiny.toml").write_text(FILE.replace("PICTURES", str(tmp_path / "pictures")))
    return tmp_path / "tiny.toml"


def test_a_dry_run_says_what_is_left_and_runs_nothing(cli, file, tmp_path):
    ran = cli("sweep", file, "--dry-run", "--json", "--workers", "2", "--store", tmp_path / "t.sweep")
    told = ran.document()
    assert (told["cells"], told["slots"], told["left"]["cells"]) == (5, 2, 5)
    assert told["left"]["seconds"] >= told["left"]["ends_s"] > 0
    assert not (tmp_path / "t.sweep").exists()


def test_a_sweep_of_a_network_with_exits_and_the_same_again(cli, file, tmp_path):
    store = tmp_path / "t.sweep"
    first = cli("sweep", file, "--json", "--workers", "1", "--store", store)
    assert first.code == 0, first.err
    (row,) = first.document()["results"]
    assert (row["status"], row["verdict"], row["trained"], row["pictures"], row["agreement"]) == ("done", "pass", False, 8, 1.0)
    assert list(row["exits"]) == ["exit_1", "exit_2", "exit_3", "exit_4"]
    assert row["accuracy"] == row["eager_accuracy"] == row["exits"]["exit_4"]
    again = cli("sweep", file, "--json", "--workers", "1", "--store", store)
    assert again.document()["results"] == [row]
    assert (again.document()["run"]["before"], again.document()["run"]["done"]) == (5, 0)
    shown = cli("sweep", file, "--store", store, "--quiet")
    assert "chase-tiny  onnx    fp32" in shown.out


def test_eager_answers_the_same_however_its_pictures_are_cut(file, tmp_path):
    source, answers = of_network(load_source("chase-tiny"))
    pictures = open_data(str(tmp_path / "pictures"))
    whole = predict_pictures(answers, pictures, source.preprocessing, 0, 8)
    parts = [predict_pictures(answers, pictures, source.preprocessing, start, count) for start, count in ((6, 2), (0, 1), (1, 5))]
    assert np.array_equal(merged(parts, 8).rows, whole.rows)
    assert set(whole.rows[:, 1]) == {0, 3, 9}


def test_what_cannot_be_swept_is_refused(refused, file, tmp_path):
    assert "no artifact of tiny" in refused(2, "sweep", file, "--only", "tflite", "--dry-run")
    assert "no --cluster" in refused(2, "sweep", file, "--workers", "2", "--cluster", "127.0.0.1:1")
    file.write_text(file.read_text().replace("onnx", "onxn"))
    assert "did you mean 'onnx'" in refused(3, "sweep", file)
    assert "cannot read sweep" in refused(3, "sweep", tmp_path / "none.toml")
