import numpy as np
import pytest
from PIL import Image

from edgekit.calibration import DRAWS, FEWEST_JUDGED, as_samples, check_data, draw
from edgekit.errors import BadInputError, UsageError
from edgekit.interface import Preprocessing
from edgekit.quantization.scheme import SCHEMES

EIGHT = Preprocessing(resolution=8, crop_ratio=1.0)
STATIC, STORED = SCHEMES["w8a8"], SCHEMES["w8a32"]


@pytest.fixture
def folder(tmp_path):
    def make(count, *, classes=0, labels=None):
        generator = np.random.default_rng(0)
        for number in range(count):
            place = tmp_path / (f"class{number % classes}" if classes else "") / f"{number:04}.png"
            place.parent.mkdir(exist_ok=True)
            Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(place)
        if labels is not None:
            (tmp_path / "labels.csv").write_text("filename,label\n" + "".join(f"{n:04}.png,{labels(n)}\n" for n in range(count)))
        return tmp_path

    return make


def _draw(folder, scheme=STATIC, *, count=10, classes=5):
    return draw(str(folder), scheme, EIGHT, count=count, classes=classes)


def _names(taken):
    return {sample.name for sample in taken.samples}


def test_no_judged_picture_is_in_a_calibration(folder):
    draws = _draw(folder(60))
    assert len(draws.drawn) == DRAWS
    assert all(len(taken.samples) == 10 and not _names(taken) & _names(draws.judged) for taken in draws.drawn)
    assert len(draws.judged.samples) == 25
    assert len({frozenset(_names(taken)) for taken in draws.drawn}) == DRAWS


def test_the_same_pictures_every_time(folder):
    place = folder(60)
    assert _draw(place).record() == _draw(place).record()
    assert len({taken["sha256"] for taken in _draw(place).record()["calibrated"]}) == DRAWS


def test_weights_alone_need_no_calibration(folder):
    draws = draw(str(folder(30)), STORED, EIGHT, count=None, classes=5)
    assert draws.drawn == ()
    assert len(draws.judged.samples) == FEWEST_JUDGED


def test_fewer_pictures_than_asked_for(folder):
    with pytest.raises(BadInputError, match="fewer pictures in the folder") as caught:
        _draw(folder(30), count=20)
    assert "30, for 20 to calibrate on and 16 others to judge with" in caught.value.what
    assert "--num-calibration-samples 14" in caught.value.hint


def test_an_empty_folder(tmp_path):
    with pytest.raises(BadInputError, match="holds no pictures"):
        _draw(tmp_path)


def test_one_corrupt_picture_is_named_and_passed_over(folder):
    place = folder(120)
    (place / "0000.png").write_bytes(b"\x89PNG nothing of the kind")
    draws = draw(str(place), STATIC, EIGHT, count=100, classes=5)
    assert draws.skipped in ((), ("0000.png",))  # it may be among the few that nothing drew
    everything = draw(str(place), STORED, EIGHT, count=None, classes=5)
    assert len(everything.judged.samples) == 60


def test_a_corrupt_picture_that_is_drawn(folder):
    place = folder(120)
    first = min(_names(_draw(place).judged))
    (place / first).write_bytes(b"\x89PNG nothing of the kind")
    draws = _draw(place)
    assert draws.skipped == (first,)
    assert draws.judged.record()["skipped"] == [first]


def test_more_than_one_in_a_hundred_corrupt(folder):
    place = folder(60)
    for number in range(60):
        (place / f"{number:04}.png").write_bytes(b"no picture")
    with pytest.raises(BadInputError, match="cannot be read"):
        _draw(place)


def test_labels_of_classes_that_the_model_does_not_have(folder):
    with pytest.raises(BadInputError, match="has the label 7"):
        _draw(folder(60, labels=lambda n: 7 if n == 59 else n % 5))


def test_a_file_of_labels_about_other_pictures(folder):
    place = folder(30)
    (place / "labels.csv").write_text("filename,label\nelsewhere.jpg,1\n")
    with pytest.raises(BadInputError, match="not there"):
        _draw(place)


def test_labels_of_the_models_classes(folder):
    draws = _draw(folder(60, classes=5))
    assert draws.labels is not None
    assert set(draws.labels) <= set(range(5))
    assert draws.note is None


def test_folders_of_other_classes_are_no_labels_of_the_model(folder):
    draws = _draw(folder(60, classes=3))
    assert draws.labels is None
    assert "3 classes and the model 5" in draws.note


def test_integers_need_pictures():
    with pytest.raises(UsageError) as caught:
        check_data(STATIC, None)
    assert "edgekit data pull cifar10" in caught.value.hint
    check_data(STORED, None)
    check_data(STATIC, "cifar10")


def test_samples_are_the_models_inputs(folder):
    draws = _draw(folder(60))
    sample = as_samples(draws.judged)[0]
    assert sample.tensor.shape == (1, 3, 8, 8)
    assert sample.pixels.dtype == np.uint8
