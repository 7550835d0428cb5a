"""Each fetched data set against a small one made here in its format."""

import gzip
import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from edgekit.data import cifar10, fashion_mnist, groceries
from edgekit.data.catalogue import DATA_SETS, data_set
from edgekit.data.cifar10 import read_cifar10
from edgekit.data.fashion_mnist import read_fashion_mnist
from edgekit.data.groceries import read_groceries
from edgekit.data.open import open_data, open_weights
from edgekit.data.pictures import PixelPictures
from edgekit.data.pull import _write_inventory, place_of
from edgekit.errors import BadInputError, MissingExtraError, UnknownNameError, UsageError
from edgekit.models.checkpoints import read_state_dict

# --- CIFAR-10: five strips of 20 pictures, the last 5 held out


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "_PER_STRIP", 20)
    monkeypatch.setattr(cifar10, "HOLD_OUT", 5)
    rng = np.random.default_rng(0)
    train, test = rng.integers(0, 256, (100, 32, 32, 3), np.uint8), rng.integers(0, 256, (20, 32, 32, 3), np.uint8)
    for number in range(5):
        Image.fromarray(train[20 * number : 20 * number + 20].reshape(20, 1024, 3)).save(tmp_path / f"data_batch_{number + 1}.png")
    Image.fromarray(test.reshape(20, 1024, 3)).save(tmp_path / "test_batch.png")
    (tmp_path / "train_lables.json").write_text(json.dumps([number % 10 for number in range(100)]))
    (tmp_path / "test_lables.json").write_text(json.dumps([9 - number % 10 for number in range(20)]))
    return tmp_path, train, test


def test_cifar10_is_read_exactly(cifar):
    folder, train, test = cifar
    assert {path.name for path in folder.iterdir()} == set(data_set("cifar10").files)
    labels = np.arange(100) % 10
    for split, pixels, expected in (
        ("train", train, labels),
        ("fit", train[:95], labels[:95]),
        ("hold-out", train[95:], labels[95:]),
        ("test", test, 9 - np.arange(20) % 10),
    ):
        found = read_cifar10(folder, split)
        assert np.array_equal(found.pixels, pixels)
        assert np.array_equal(found.labels, expected)
    assert found.name(3) == "test/3"
    assert found.label(3) == 6
    assert np.array_equal(np.asarray(found.image(found.content(3))), test[3])


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("test_batch.png", None, r"cannot read test_batch\.png of CIFAR-10"),
        ("test_batch.png", b"\x89PNG\r\n\x1a\n" + bytes(20), r"cannot read test_batch\.png of CIFAR-10"),
        ("test_lables.json", b"[1, 2", r"cannot read test_lables\.json of CIFAR-10"),
        ("test_lables.json", b'["a", "b"]', r"cannot read test_lables\.json of CIFAR-10"),
        ("test_lables.json", b"[1, 2]", "does not hold 20 labels"),
        ("test_lables.json", b"[10" + b", 1" * 19 + b"]", "cifar10 test has labels outside of 0 to 9"),
        ("test_lables.json", b"[-1" + b", 1" * 19 + b"]", "cifar10 test has labels outside of 0 to 9"),
    ],
)
def test_a_broken_cifar10_is_refused(cifar, file, content, said):
    folder = cifar[0]
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(BadInputError, match=said):
        read_cifar10(folder, "test")


@pytest.mark.parametrize(("mode", "size"), [("RGB", (1024, 21)), ("L", (1024, 20)), ("RGB", (20, 1024))])
def test_a_strip_of_another_shape_is_refused_before_it_is_decoded(cifar, monkeypatch, mode, size):
    folder = cifar[0]
    Image.new(mode, size).save(folder / "test_batch.png")
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(BadInputError, match=r"test_batch\.png is not of CIFAR-10"):
        read_cifar10(folder, "test")


# --- Fashion-MNIST: 6 pictures


@pytest.fixture
def fashion(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "_COUNTS", {"train": 8, "test": 6})
    rng = np.random.default_rng(0)
    made = {}
    for split, prefix, count in (("train", "train", 8), ("test", "t10k", 6)):
        grey, labels = rng.integers(0, 256, (count, 28, 28), np.uint8), rng.integers(0, 10, count, np.uint8)
        sizes = [count, 28, 28]
        images = bytes([0, 0, 8, 3]) + np.array(sizes, ">u4").tobytes() + grey.tobytes()
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, count]) + labels.tobytes()))
        made[split] = (grey, labels)
    return tmp_path, made


def test_fashion_mnist_is_read_exactly_grey_in_every_channel(fashion):
    folder, made = fashion
    assert {path.name for path in folder.iterdir()} == set(data_set("fashion-mnist").files)
    for split, (grey, labels) in made.items():
        found = read_fashion_mnist(folder, split)
        assert all(np.array_equal(found.pixels[..., channel], grey) for channel in range(3))
        assert np.array_equal(found.labels, labels)


@pytest.mark.parametrize("change", ["truncated", "longer", "count", "kind", "no gzip"])
def test_a_broken_fashion_mnist_is_refused(fashion, change):
    file = fashion[0] / "t10k-images-idx3-ubyte.gz"
    content = gzip.decompress(file.read_bytes())
    file.write_bytes(
        {
            "truncated": file.read_bytes()[:-300],
            "longer": gzip.compress(content + b"x"),
            "count": gzip.compress(content[:7] + b"\x07" + content[8:]),
            "kind": gzip.compress(b"\0\0\x0d\x03" + content[4:]),
            "no gzip": content,
        }[change]
    )
    with pytest.raises(BadInputError, match=r"t10k-images-idx3-ubyte\.gz"):
        read_fashion_mnist(fashion[0], "test")


# --- the groceries: photographs as files, in Parquet


def table(rows: list[tuple[str, str, bytes]], **changed):
    import pyarrow as pa

    columns = {"dataset": [row[0] for row in rows], "finegrained_cat": [row[1] for row in rows], "image_data": [row[2] for row in rows]}
    return pa.table(columns | changed)


def jpeg(shade: int) -> bytes:
    import io

    stream = io.BytesIO()
    Image.new("RGB", (9, 7), (shade, 0, 0)).save(stream, "jpeg")
    return stream.getvalue()


def test_the_groceries_keep_each_photograph_once(tmp_path):
    from pyarrow import parquet

    a, b, c, d = (jpeg(shade) for shade in (10, 60, 120, 250))
    rows = [("train", "Pear", a), ("test", "Melon", b), ("test", "Apple", c), ("test", "Melon", b), ("test", "Apple", c), ("val", "Pear", d)]
    parquet.write_table(table(rows), tmp_path / "images2.parquet")
    test = read_groceries(tmp_path, "test")
    assert test.contents == (b, c)
    assert test.labels == (1, 0)
    assert test.classes == ("Apple", "Melon", "Pear")
    assert [test.name(index) for index in range(len(test))] == ["test/0", "test/1"]
    image = test.image(test.content(0))
    assert (image.size, image.mode) == ((9, 7), "RGB")
    assert abs(image.getpixel((3, 3))[0] - 60) <= 2  # JPEG
    assert read_groceries(tmp_path, "train").labels == (2,)


@pytest.mark.parametrize("change", ["column", "null", "text", "damaged", "missing", "large"])
def test_broken_groceries_are_refused(tmp_path, monkeypatch, change):
    from pyarrow import parquet

    file = tmp_path / "images2.parquet"
    rows = [("train", "Pear", b"a"), ("test", "Melon", b"b")]
    changed = {"null": {"image_data": [b"a", None]}, "text": {"image_data": ["a", "b"]}}.get(change, {})
    made = table(rows, **changed)
    parquet.write_table(made.drop_columns(["dataset"]) if change == "column" else made, file)
    if change == "damaged":
        file.write_bytes(file.read_bytes()[:-9])
    if change == "missing":
        file.unlink()
    if change == "large":
        monkeypatch.setattr(groceries, "_MAX_ROWS", 1)
    with pytest.raises(BadInputError, match=r"images2\.parquet"):
        read_groceries(tmp_path, "train")


def test_groceries_without_pyarrow_name_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(groceries.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as caught:
        read_groceries(tmp_path, "train")
    assert caught.value.hint == "pip install 'edgekit[data]'"


# --- by name


@pytest.fixture
def placed(cifar, tmp_path_factory):
    """The small CIFAR-10 in a cache, as if it had been pulled."""
    cache = tmp_path_factory.mktemp("cache")
    place = place_of(data_set("cifar10"), cache)
    place.parent.mkdir()
    cifar[0].rename(place)
    _write_inventory(place)
    return cache


def test_a_data_set_is_opened_by_name_and_split(placed):
    assert len(open_data("cifar10:hold-out", cache_dir=placed)) == 5
    assert len(open_data("cifar10", split="test", cache_dir=placed)) == 20
    assert len(open_data("cifar10:fit", split="test", cache_dir=placed)) == 95  # the name's own comes first


def test_a_split_has_to_be_named_and_known(placed):
    with pytest.raises(UsageError, match="cifar10 has several splits") as caught:
        open_data("cifar10", cache_dir=placed)
    assert caught.value.hint == "name one: cifar10:train"
    with pytest.raises(UnknownNameError, match="unknown split of cifar10 'tset'") as caught:
        open_data("cifar10:tset", cache_dir=placed)
    assert caught.value.hint == "did you mean 'test'?"


def test_a_data_set_that_was_not_pulled_is_not_fetched(tmp_path):
    with pytest.raises(BadInputError, match="groceries is not here yet"):
        open_data("groceries:test", cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_split_of_the_catalogue_has_a_reader_that_asks_for_its_files(tmp_path):
    for row in DATA_SETS:
        place = place_of(row, tmp_path)
        place.mkdir(parents=True)
        for name in row.files:
            (place / name).write_bytes(b"")
        _write_inventory(place)
        for split in row.splits:
            with pytest.raises(BadInputError, match="|".join(row.files)):
                open_data(f"{row.name}:{split}", cache_dir=tmp_path)


def test_a_folder_called_like_a_data_set_is_given_with_a_dot(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cifar10").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "cifar10" / "a.png")
    assert open_data("./cifar10").name(0) == "a.png"


def test_weights_are_opened_by_name_and_read_as_any_users(tmp_path):
    row = data_set("lite0")
    place = place_of(row, tmp_path)
    place.mkdir(parents=True)
    torch.save({"stem.weight": torch.arange(4.0)}, place / row.files[0], _use_new_zipfile_serialization=False)
    _write_inventory(place)
    assert torch.equal(read_state_dict(open_weights("lite0", cache_dir=tmp_path))["stem.weight"], torch.arange(4.0))
    with pytest.raises(UsageError, match="lite0 holds no pictures"):
        open_data("lite0", cache_dir=tmp_path)
    with pytest.raises(UsageError, match="cifar10 holds pictures, no weights"):
        open_weights("cifar10", cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("pixels", "labels", "said"),
    [
        (np.zeros((2, 4, 4), np.uint8), [0, 0], "uint8 \\(2, 4, 4\\)"),
        (np.zeros((2, 4, 4, 3), np.float32), [0, 0], "float32"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0], "2 pictures and 1 labels"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0, 2], "outside of 0 to 1"),
    ],
)
def test_pixels_that_do_not_fit_their_labels_are_refused(pixels, labels, said):
    with pytest.raises(BadInputError, match=said):
        PixelPictures(origin="these", prefix="x", pixels=pixels, labels=np.array(labels), classes=("a", "b"))


def test_importing_the_package_is_light():
    import subprocess

    program = "import sys, edgekit.data; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60).stdout.strip() == "False"
