"""Exports that take several pictures at once: what they compute at each batch, and who refuses them and why."""

import textwrap

import numpy as np
import pytest

import edgekit
from edgekit.batches import largest_batch, tried
from edgekit.capabilities import TARGETS
from edgekit.errors import BadInputError, CaptureError, ParityError, UsageError
from edgekit.recipe import Recipe

NETS = """
    import torch
    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.stem, self.head = nn.Conv2d(3, 8, 3, 2, 1), nn.Linear(8, 5)

        def forward(self, image):
            return self.head(torch.relu(self.stem(image)).mean((2, 3)))


    class OneRow(Net):
        def forward(self, image):
            return super().forward(image) + torch.relu(self.stem(image)).reshape(1, 8, 64)[..., :5].mean(1)


    class Mixed(Net):
        def forward(self, image):
            return super().forward(image - image.mean(0, keepdim=True) / 2)
"""


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    file = tmp_path_factory.mktemp("nets") / "nets.py"
    file.write_text(textwrap.dedent(NETS))
    return file


@pytest.fixture(scope="module")
def exported(nets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dynamic")
    (made,) = edgekit.export(f"{nets}:Net", targets=["onnx"], resolution=16, dynamic="batch=1..6", output_dir=folder).artifacts
    return made


def test_the_file_takes_every_batch_of_the_range_and_answers_as_for_each_alone(exported):
    artifact = edgekit.load_artifact(exported.path)
    pictures = np.random.default_rng(0).standard_normal((6, 3, 16, 16)).astype(np.float32)
    alone = np.concatenate([artifact.run("forward", {"image": picture[None]})["logits"] for picture in pictures])
    assert not np.allclose(alone[0], alone[1])
    for size in (1, 2, 3, 6):
        np.testing.assert_allclose(artifact.run("forward", {"image": pictures[:size]})["logits"], alone[:size], rtol=1e-4, atol=1e-5)
    for other in (np.concatenate([pictures, pictures[:1]]), pictures[:0], pictures[:, :, :8]):
        with pytest.raises((UsageError, BadInputError), match="image"):
            artifact.run("forward", {"image": other})


def test_it_was_compared_at_several_batches_and_says_so(exported):
    assert tried(6) == (2, 3, 6)
    assert exported.parity.verdict == "pass"
    assert exported.parity.samples == 9 + 5 + 3 + 2
    assert exported.notes == ("up to 6 at once, compared at 1, 2, 3, 6; captured as it is written: rewrites are made for one at a time",)


def test_it_is_verified_again_at_the_same_batches(exported, nets):
    assert edgekit.verify(exported.path, model=f"{nets}:Net").samples == exported.parity.samples


def test_a_model_that_mixes_the_pictures_of_a_batch_is_not_published(nets, tmp_path):
    with pytest.raises(ParityError, match="2 at once"):
        edgekit.export(f"{nets}:Mixed", targets=["onnx"], resolution=16, dynamic="batch=1..2", output_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_written_for_one_picture_is_refused_with_what_to_write(nets, tmp_path):
    with pytest.raises(CaptureError) as refused:
        edgekit.export(f"{nets}:OneRow", targets=["onnx"], resolution=16, dynamic="batch=1..4", output_dir=tmp_path)
    assert "one picture at a time" in refused.value.why
    assert "x.shape[0]" in refused.value.hint


@pytest.mark.parametrize("target", [facts.name for facts in TARGETS if facts.name != "onnx"])
def test_other_targets_refuse_with_their_own_reason(target):
    with pytest.raises(UsageError, match="is not written for batches that change") as refused:
        Recipe(model="emov2-1m", target=target, dynamic="batch=1..4")
    facts = next(facts for facts in TARGETS if facts.name == target)
    assert refused.value.why == next(limit.breaks for limit in facts.limits if limit.rule == "dynamic_batch")
    assert "--input image=4x3x224x224" in refused.value.hint


@pytest.mark.parametrize(
    ("asked", "said"),
    [("resolution=128..256", "only the batch"), ("batch=2..8", "is no range"), ("batch=1..1", "is no range"), ("8", "is no range")],
)
def test_what_is_no_range_of_batches_is_refused(asked, said):
    with pytest.raises(UsageError, match=said):
        largest_batch(asked)


def test_networks_with_exits_and_integers_are_refused(tmp_path):
    with pytest.raises(UsageError, match="takes one at a time"):
        edgekit.export("chase-tiny", targets=["onnx"], dynamic="batch=1..4", output_dir=tmp_path)
    with pytest.raises(UsageError, match="floats and one method"):
        Recipe(model="emov2-1m", target="onnx", precision="w8a32", dynamic="batch=1..4")
