"""A user's folder of pictures, and where their labels come from: a CSV file, the names of class folders, or nowhere.

    pictures/a.jpg  pictures/b.jpg                         no labels
    pictures/cat/a.jpg  pictures/dog/b.jpg                 classes by sorted name: cat 0, dog 1; folders all called by numbers keep them
    pictures/labels.csv  pictures/a.jpg                    filename,label; or the pictures in a folder images/ beside it

Hidden files, and files that do not end as pictures do, are passed over and counted.
"""

import os
from pathlib import Path
from typing import Any

from attrs import field, frozen

from edgekit.data.labels_file import LABELS_FILE, normal_name, read_labels
from edgekit.errors import BadInputError
from edgekit.preprocess import decode_image, read_image_file

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
_IMAGES_FOLDER = "images"
_NAMED = 3


@frozen(kw_only=True)
class FolderOfImages:
    """Picture files below a folder, in the order of their names; ``names`` are relative to it, ``labels`` are theirs.

    ``left_out`` counts the files that were passed over: no pictures, or not in the file of labels.
    """

    origin: str
    files: tuple[Path, ...] = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    labels: tuple[int | None, ...] = field(repr=False)
    classes: tuple[str, ...] = ()
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        """Return its path below the folder, with ``/``."""
        return self.names[index]

    def label(self, index: int) -> int | None:
        """Return its class, None in a flat folder without a file of labels."""
        return self.labels[index]

    def content(self, index: int) -> bytes:
        """Return the bytes of the file."""
        return read_image_file(self.files[index])

    def image(self, content: bytes) -> Any:
        """Decode the bytes of a file."""
        return decode_image(content, f"in {self.origin}")


def read_folder(place: Path) -> FolderOfImages:
    """Find the pictures of a folder and their labels; ``place`` may also be the CSV file itself. No picture is opened.

    :raises BadInputError: it is not there, holds no pictures, holds pictures both beside and inside class folders, or the file of labels
        is not about these pictures.
    """
    try:
        if place.suffix.lower() == ".csv":
            return _with_file(place)
        if not place.is_dir():
            raise BadInputError(f"there is no folder {place}", hint="give a folder of pictures, or a CSV file of labels")
        return _with_file(place / LABELS_FILE) if (place / LABELS_FILE).is_file() else _with_folders(place)
    except OSError as error:
        raise BadInputError(f"cannot read the folder {place}", why=error.strerror or str(error)) from error


def _with_folders(root: Path) -> FolderOfImages:
    found, left_out = _pictures(root)
    if not found:
        raise BadInputError(f"{root} holds no pictures", what=f"{left_out} other files" if left_out else "it is empty", hint=_kinds())
    flat = [name for name in found if "/" not in name]
    folders = sorted({name.split("/", 1)[0] for name in found if "/" in name} | {normal_name(entry.name) for entry in _class_folders(root)})
    if flat and len(flat) < len(found):
        raise BadInputError(
            f"{root} holds pictures both beside its folders and inside them",
            what=f"{flat[0]}, and {next(name for name in found if '/' in name)}",
            hint="a folder is one class each, or there are none",
        )
    if flat:
        return _made(root, found, dict.fromkeys(found), (), left_out)
    numeric = all(name.isascii() and name.isdigit() for name in folders)
    index_of = {name: int(name) if numeric else position for position, name in enumerate(folders)}
    labels = {name: index_of[name.split("/", 1)[0]] for name in found}
    return _made(root, found, labels, () if numeric else tuple(folders), left_out)


def _with_file(file: Path) -> FolderOfImages:
    labels = read_labels(file)
    root = file.parent
    found, left_out = _pictures(root)
    if not any(name in found for name in labels) and (root / _IMAGES_FOLDER).is_dir():
        root = root / _IMAGES_FOLDER
        found, left_out = _pictures(root)
    missing = [name for name in labels if name not in found]
    if missing:
        raise BadInputError(
            f"{file.name} names {len(missing)} of its {len(labels)} pictures that are not there",
            what=", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else ""),
            where=str(root),
            hint="names are relative to the folder of the file, or to images/ in it",
        )
    named = {name: path for name, path in found.items() if name in labels}
    return _made(file.parent, named, labels, (), left_out + len(found) - len(named))


def _made(given: Path, found: dict[str, Path], labels: dict[str, Any], classes: tuple[str, ...], left_out: int) -> FolderOfImages:
    names = tuple(sorted(found))  # not the file system's order, nor the locale's
    return FolderOfImages(
        origin=f"the folder {given.resolve().name}",
        files=tuple(found[name] for name in names),
        names=names,
        labels=tuple(labels[name] for name in names),
        classes=classes,
        left_out=left_out,
    )


def _pictures(root: Path) -> tuple[dict[str, Path], int]:
    """Return the picture files below a folder by their name, and how many other files there are.

    A class folder may be a link to one elsewhere, as subsets are often made; deeper links to folders are not followed: they could lead in circles.
    """
    found: dict[str, Path] = {}
    left_out = 0
    for top in (root, *_class_folders(root)):
        for folder, inner, files in os.walk(top, onerror=_raise):
            inner[:] = [] if top == root else [name for name in inner if not name.startswith(".")]
            for file in files:
                path = Path(folder) / file
                if file.startswith(".") or path.suffix.lower() not in SUFFIXES or not path.is_file():
                    left_out += 1
                else:
                    found[normal_name(path.relative_to(root).as_posix())] = path
    return found, left_out


def _class_folders(root: Path) -> list[Path]:
    return sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _raise(error: OSError) -> None:
    raise error


def _kinds() -> str:
    return f"pictures end in {', '.join(SUFFIXES)}"
