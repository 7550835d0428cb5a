"""The same samples in the same order on every machine, and a hash that tells."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from edgekit.data.folder import read_folder
from edgekit.data.pictures import PixelPictures
from edgekit.data.stream import SampleStream
from edgekit.errors import BadInputError, UsageError
from edgekit.interface import Preprocessing
from edgekit.preprocess import load_image, normalise, to_pixels

SMALL = Preprocessing(resolution=8, crop_ratio=1.0)


def pixel_pictures(count: int) -> PixelPictures:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return PixelPictures(origin="these", prefix="x", pixels=pixels, labels=np.arange(count) % 3, classes=("a", "b", "c"))


def stream(pictures, seed: int = 0) -> SampleStream:
    return SampleStream(pictures=pictures, preprocessing=SMALL, seed=seed)


@pytest.fixture
def folder(tmp_path):
    """120 pictures in three classes."""
    root = tmp_path / "mine"
    for number in range(120):
        file = root / "abc"[number % 3] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 10), (number, 255 - number, 7)).save(file)
    return root


def test_the_order_is_the_documented_one():
    pictures = pixel_pictures(20)
    expected = sorted(range(20), key=lambda index: hashlib.sha256(f"5\0x/{index}".encode()).hexdigest())
    assert stream(pictures, 5).order() == expected
    assert [sample.name for sample in stream(pictures, 5).take(4).samples] == [f"x/{index}" for index in expected[:4]]


def test_the_hash_is_the_documented_one_and_stays():
    pictures = pixel_pictures(20)
    taken = stream(pictures).take(6)
    total = hashlib.sha256(b"edgekit samples 1\n")
    for index in stream(pictures).order()[:6]:
        total.update(hashlib.sha256(pictures.pixels[index].tobytes()).digest() + int(pictures.labels[index]).to_bytes(8, "little"))
    assert taken.sha256 == total.hexdigest()


def test_seeds_differ_and_a_smaller_take_begins_a_larger_one():
    pictures = pixel_pictures(40)
    names = [sample.name for sample in stream(pictures).take(20).samples]
    assert [sample.name for sample in stream(pictures).take(7).samples] == names[:7]
    assert [sample.name for sample in stream(pictures, 1).take(20).samples] != names
    assert len(set(names)) == 20


def test_neither_the_file_systems_order_nor_the_place_matters(folder, tmp_path):
    other = tmp_path / "copied" / "mine"
    for file in sorted(folder.rglob("*.png"), reverse=True):
        (other / file.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, other / file.parent.name / file.name)
    first, second = (stream(read_folder(root)).take(50) for root in (folder, other))
    assert first.record() == second.record()
    assert [sample.name for sample in first.samples] == [sample.name for sample in second.samples]


@pytest.mark.parametrize("change", ["pixel", "label"])
def test_the_hash_tells_a_changed_picture_from_a_changed_label(folder, change):
    before = stream(read_folder(folder)).take(120).sha256
    if change == "pixel":
        Image.new("RGB", (12, 10), (1, 1, 1)).save(folder / "a" / "0.png")
    else:
        (folder / "Aa").mkdir()  # every class moves by one
    assert stream(read_folder(folder)).take(120).sha256 != before


def test_samples_are_preprocessed_as_any_photograph(folder):
    taken = stream(read_folder(folder)).take(3)
    for index, sample in enumerate(taken.samples):
        pixels = to_pixels(load_image(folder / sample.name), SMALL)
        assert np.array_equal(sample.pixels, pixels)
        assert np.array_equal(taken.tensor(index), normalise(pixels, SMALL))
        assert sample.label == "abc".index(sample.name[0])
    assert taken.labels.tolist() == [sample.label for sample in taken.samples]


def test_the_record_is_plain_and_names_no_place(folder):
    record = stream(read_folder(folder), 3).take(30).record()
    assert json.loads(json.dumps(record)) == record
    assert str(folder.parent) not in json.dumps(record)
    assert (record["origin"], record["seed"], record["samples"], record["available"], record["labelled"]) == ("the folder mine", 3, 30, 120, True)


def corrupt(folder, taken, count: int) -> list[str]:
    names = [sample.name for sample in taken.samples[:count]]
    for name in names:
        (folder / name).write_bytes((folder / name).read_bytes()[:40])
    return names


def test_one_corrupt_picture_is_skipped_and_named(folder):
    pictures = read_folder(folder)
    whole = stream(pictures).take(11)
    (name,) = corrupt(folder, whole, 1)
    taken = stream(pictures).take(10)
    assert [skipped.name for skipped in taken.skipped] == taken.record()["skipped"] == [name]
    assert taken.skipped[0].why
    assert [sample.name for sample in taken.samples] == [sample.name for sample in whole.samples[1:]]
    assert taken.sha256 != whole.sha256


def test_more_than_one_in_a_hundred_are_refused_with_their_names(folder):
    pictures = read_folder(folder)
    names = corrupt(folder, stream(pictures).take(10), 2)  # of 120: 1.7%
    with pytest.raises(BadInputError, match="2 of the 120 pictures in the folder mine cannot be read, if not more") as caught:
        stream(pictures).take(10)
    assert all(name in caught.value.what for name in names)
    assert caught.value.exit_code == 3


def test_a_file_that_disappears_counts_as_unreadable(folder):
    pictures = read_folder(folder)
    name = stream(pictures).take(1).samples[0].name
    (folder / name).unlink()
    assert stream(pictures).take(5).record()["skipped"] == [name]


def test_fewer_than_asked_for(folder):
    pictures = read_folder(folder)
    with pytest.raises(BadInputError, match="there are fewer than the 121 pictures asked for") as caught:
        stream(pictures).take(121)
    assert caught.value.what == "the folder mine holds 120"
    (name,) = corrupt(folder, stream(pictures).take(1), 1)
    with pytest.raises(BadInputError, match="there are fewer than the 120 pictures asked for") as caught:
        stream(pictures).take(120)
    assert f"of which 1 cannot be read: {name}" in caught.value.what


@pytest.mark.parametrize("count", [0, -1])
def test_a_count_that_is_none(count):
    with pytest.raises(UsageError, match=f"{count} samples cannot be taken"):
        stream(pixel_pictures(3)).take(count)


def test_unlabelled_pictures_say_so(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    taken = stream(read_folder(tmp_path)).take(1)
    assert taken.labels is None
    assert taken.record()["labelled"] is False
