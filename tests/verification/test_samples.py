import numpy as np
import pytest

from edgekit.interface import Preprocessing
from edgekit.preprocess import normalise
from edgekit.verification.samples import verification_samples


@pytest.mark.parametrize("resolution", [32, 224])
def test_the_inputs(resolution):
    preprocessing = Preprocessing(resolution=resolution)
    samples = verification_samples(preprocessing)
    assert len(samples) >= 8
    assert len({sample.name for sample in samples}) == len(samples)
    assert sum(sample.name.startswith("photograph") for sample in samples) >= 2
    for sample in samples:
        assert (sample.tensor.shape, sample.tensor.dtype) == ((1, 3, resolution, resolution), np.float32)
        assert np.isfinite(sample.tensor).all()
        assert (sample.pixels.shape, sample.pixels.dtype) == ((resolution, resolution, 3), np.uint8)
        assert np.array_equal(sample.tensor, normalise(sample.pixels, preprocessing))


def test_they_differ_and_are_the_same_every_time():
    first, second = (verification_samples(Preprocessing(resolution=32)) for _ in range(2))
    assert len({sample.tensor.tobytes() for sample in first}) == len(first)
    assert [sample.tensor.tobytes() for sample in first] == [sample.tensor.tobytes() for sample in second]


def test_photographs_are_real():
    china = verification_samples(Preprocessing(resolution=224))[0].pixels
    assert len(np.unique(china.reshape(-1, 3), axis=0)) > 5000  # colours
    assert 40 < china.mean() < 215


def test_more_of_them_are_parts_of_photographs():
    few, many = (verification_samples(Preprocessing(resolution=48), count) for count in (9, 64))
    assert len(many) == 64
    assert [sample.name for sample in many[:9]] == [sample.name for sample in few]
    assert all(sample.name.startswith("photograph") and "part" in sample.name for sample in many[9:])
    assert len({sample.tensor.tobytes() for sample in many}) == len({sample.name for sample in many}) == 64
    again = verification_samples(Preprocessing(resolution=48), 64)
    assert [sample.tensor.tobytes() for sample in again] == [sample.tensor.tobytes() for sample in many]
    assert sum("mirrored" in sample.name for sample in many[9:]) == 28
    assert min(sample.pixels.std() for sample in many[9:]) > 5
