"""A user's folder in its three forms, and everything that can be wrong with it."""

import os
import unicodedata

import pytest
from PIL import Image

from edgekit.data.folder import FolderOfImages, read_folder
from edgekit.data.open import open_data
from edgekit.data.pictures import check_labels
from edgekit.errors import BadInputError


@pytest.fixture
def make(tmp_path):
    """Make small pictures at these places below a folder and return it."""
    root = tmp_path / "mine"
    root.mkdir()

    def made(*places: str, csv: str | None = None):
        for number, place in enumerate(places):
            file = root / place
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 6), (number, 0, 0)).save(file, "png")
        if csv is not None:
            (root / "labels.csv").write_text(csv, encoding="utf-8")
        return root

    return made


def labelled(pictures: FolderOfImages) -> dict[str, int | None]:
    return {pictures.name(index): pictures.label(index) for index in range(len(pictures))}


def test_a_flat_folder_has_no_labels(make):
    pictures = read_folder(make("b.png", "a.JPG", "c.jpeg"))
    assert labelled(pictures) == {"a.JPG": None, "b.png": None, "c.jpeg": None}
    assert pictures.origin == "the folder mine"
    assert pictures.image(pictures.content(1)).getpixel((0, 0)) == (0, 0, 0)  # b.png was made first


def test_class_folders_are_classes_by_name(make):
    root = make("dog/1.png", "cat/1.png", "Zebra/1.png", "cat/deep/er/2.png")
    pictures = read_folder(root)
    assert labelled(pictures) == {"Zebra/1.png": 0, "cat/1.png": 1, "cat/deep/er/2.png": 1, "dog/1.png": 2}
    assert pictures.classes == ("Zebra", "cat", "dog")
    (root / "bird").mkdir()  # a class without pictures keeps its place
    assert labelled(read_folder(root))["cat/1.png"] == 2


def test_folders_called_by_numbers_keep_them(make):
    pictures = read_folder(make("7/a.png", "10/a.png", "388/a.png"))
    assert labelled(pictures) == {"10/a.png": 10, "388/a.png": 388, "7/a.png": 7}
    assert pictures.classes == ()


def test_a_class_folder_may_be_a_link_and_circles_are_not_followed(make, tmp_path):
    root = make("cat/a.png")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Image.new("RGB", (4, 4)).save(elsewhere / "b.png")
    (root / "dog").symlink_to(elsewhere)
    (root / "cat" / "again").symlink_to(root)
    assert labelled(read_folder(root)) == {"cat/a.png": 0, "dog/b.png": 1}


def test_a_labels_file_decides_and_the_others_are_left_out(make):
    root = make("a.png", "cat/b.png", "c.png", csv="filename,label\na.png,3\ncat/b.png,0\n")
    pictures = read_folder(root)
    assert labelled(pictures) == {"a.png": 3, "cat/b.png": 0}
    assert pictures.left_out == 2  # c.png and the file itself
    assert labelled(open_data(root / "labels.csv")) == labelled(open_data(str(root))) == labelled(pictures)


def test_a_labels_file_beside_a_folder_of_images(make):
    pictures = read_folder(make("images/a.png", "images/b.png", csv='\ufeffauthor,Image,LABEL\n"x, y",b.png,388\n,./a.png,1\n\n'))
    assert labelled(pictures) == {"a.png": 1, "b.png": 388}
    assert pictures.origin == "the folder mine"


def test_accents_may_be_written_apart(make):
    name = "caf\u00e9.png"
    pictures = read_folder(make(unicodedata.normalize("NFD", name), csv=f"filename,label\n{name},1\n"))
    assert labelled(pictures) == {name: 1}


def test_hidden_files_and_others_are_passed_over(make):
    root = make("a.png", ".hidden.png", ".git/b.png")
    (root / "notes.txt").write_text("")
    os.mkfifo(root / "pipe.png")
    (root / "gone.png").symlink_to(root / "nowhere")
    pictures = read_folder(root)
    assert labelled(pictures) == {"a.png": None}
    assert pictures.left_out == 4


@pytest.mark.parametrize(("files", "what"), [((), "it is empty"), (("notes.txt", "b.csv"), "2 other files")])
def test_a_folder_without_pictures(make, files, what):
    root = make()
    for name in files:
        (root / name).write_text("")
    with pytest.raises(BadInputError, match=r"mine holds no pictures") as caught:
        read_folder(root)
    assert caught.value.what == what
    assert caught.value.exit_code == 3


def test_pictures_beside_class_folders(make):
    with pytest.raises(BadInputError, match="both beside its folders and inside them") as caught:
        read_folder(make("a.png", "cat/b.png"))
    assert caught.value.what == "a.png, and cat/b.png"


def test_nothing_there(tmp_path):
    with pytest.raises(BadInputError, match="there is no folder, no file and no data set") as caught:
        open_data("cifar01")
    assert caught.value.hint == "did you mean 'cifar10'?"
    with pytest.raises(BadInputError, match=r"no such|there is no"):
        open_data(tmp_path / "no")
    file = tmp_path / "a.txt"
    file.write_text("")
    with pytest.raises(BadInputError, match="there is no folder"):
        open_data(file)
    with pytest.raises(BadInputError, match=r"cannot read the labels in no\.csv"):
        read_folder(tmp_path / "no.csv")


@pytest.mark.parametrize(
    ("csv", "said", "what"),
    [
        ("filename,label\na.png,1\nx.png,1\ny.png,1\n", r"labels\.csv names 2 of its 3 pictures that are not there", "x.png, y.png"),
        ("filename,label\nw,1\nx,1\ny,1\nz,1\n", r"labels\.csv names 4 of its 4 pictures that are not there", "w, x, y, ..."),
        ("filename,label\n../mine/a.png,1\n", "names 1 of its 1 pictures that are not there", "../mine/a.png"),
        ("a.png,1\n", r"labels\.csv does not begin with a header", "first line: a.png, 1"),
        ("", r"labels\.csv does not begin with a header", "first line: empty"),
        ("filename,score\na.png,1\n", r"labels\.csv does not begin with a header", "first line: filename, score"),
        ("filename,label\n", r"labels\.csv holds no labels", None),
        ("filename,label\na.png,cat\n", "the label 'cat' is not a class index", None),
        ("filename,label\na.png,-1\n", "the label '-1' is not a class index", None),
        ("filename,label\na.png,1.5\n", "the label '1.5' is not a class index", None),
        ("filename,label\na.png,\n", "the label '' is not a class index", None),
        ("filename,label\na.png,99999999999\n", "the label '99999999999' is not a class index", None),
        ("filename,label\na.png\n", "a row of labels is too short", "a.png"),
        ("filename,label\n,1\n", "a row of labels names no file", None),
        ("filename,label\na.png,1\n./a.png,2\n", r"a\.png has two rows in labels\.csv", None),
        ('filename,label\n"a.png,1\n', r"labels\.csv is not a CSV file", None),
    ],
)
def test_a_labels_file_that_does_not_match(make, csv, said, what):
    with pytest.raises(BadInputError, match=said) as caught:
        read_folder(make("a.png", "b.png", csv=csv))
    assert caught.value.what == what
    assert caught.value.exit_code == 3


def test_a_line_is_named(make):
    with pytest.raises(BadInputError) as caught:
        read_folder(make("a.png", "b.png", csv="filename,label\na.png,1\nb.png,dog\n"))
    assert caught.value.where == "labels.csv, line 3"


def test_a_labels_file_in_another_encoding(make):
    root = make("a.png")
    (root / "labels.csv").write_bytes("filename,label\ncaf\u00e9.png,1\n".encode("latin-1"))
    with pytest.raises(BadInputError, match=r"labels\.csv is not UTF-8") as caught:
        read_folder(root)
    assert caught.value.what == "byte 18"


def test_labels_that_the_model_cannot_give(make):
    pictures = read_folder(make("a.png", "b.png", csv="filename,label\na.png,9\nb.png,10\n"))
    check_labels(pictures, 11)
    with pytest.raises(BadInputError, match=r"b\.png in the folder mine has the label 10") as caught:
        check_labels(pictures, 10)
    assert caught.value.what == "the model has 10 classes, from 0"


def test_pictures_without_labels_where_they_are_needed(make):
    with pytest.raises(BadInputError, match=r"a\.png in the folder mine has no label"):
        check_labels(read_folder(make("a.png")), 10)
