"""From what a user writes after ``--data`` to a set of pictures: a name of the catalogue, a folder, or a CSV file of labels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgekit.data.catalogue import DATA_SETS, DataSet, data_set
from edgekit.data.cifar10 import read_cifar10
from edgekit.data.fashion_mnist import read_fashion_mnist
from edgekit.data.folder import read_folder
from edgekit.data.groceries import read_groceries
from edgekit.data.pictures import Pictures
from edgekit.data.pull import pulled
from edgekit.errors import BadInputError, UnknownNameError, UsageError

_READERS: dict[str, Callable[[Path, Any], Pictures]] = {
    "cifar10": read_cifar10,
    "fashion-mnist": read_fashion_mnist,
    "groceries": read_groceries,
}


def open_data(where: str | Path, *, split: str | None = None, cache_dir: Path | None = None) -> Pictures:
    """Return a set of pictures; nothing is fetched, and of a folder no picture is opened yet.

    :param where: ``NAME`` or ``NAME:SPLIT`` of a pulled data set; else a folder of pictures or a CSV file of labels. A folder that is
        called like a data set is given as ``./NAME``, or as a ``Path``.
    :param split: the split to take where ``where`` names none.
    :raises UsageError: the data set has no such split, several and none was named, or no pictures.
    :raises BadInputError: the data set was not pulled, or the folder or file is not usable.
    """
    row, named = _catalogued(where)
    if row is None:
        return _own(where)
    if not row.splits:
        raise UsageError(f"{row.name} holds no pictures", what=row.holds)
    chosen = named or split
    if chosen is None:
        raise UsageError(f"{row.name} has several splits", what=", ".join(row.splits), hint=f"name one: {row.name}:{row.splits[0]}")
    if chosen not in row.splits:
        raise UnknownNameError(f"split of {row.name}", chosen, row.splits)
    return _READERS[row.name](pulled(row.name, cache_dir=cache_dir), chosen)


def open_weights(name: str, *, cache_dir: Path | None = None) -> Path:
    """Return the checkpoint of a pulled row that holds one, to be read as any user's: without running anything in it.

    :raises UnknownNameError: the catalogue has no such name.
    :raises UsageError: it holds pictures.
    :raises BadInputError: it was not pulled, or was changed since.
    """
    row = data_set(name)
    if row.splits:
        raise UsageError(f"{name} holds pictures, no weights", what=row.holds)
    (file,) = row.files
    return pulled(name, cache_dir=cache_dir) / file


def _catalogued(where: str | Path) -> tuple[DataSet | None, str | None]:
    if isinstance(where, Path):
        return None, None
    name, _, split = where.partition(":")
    return next((row for row in DATA_SETS if row.name == name), None), split or None


def _own(where: str | Path) -> Pictures:
    place = Path(where).expanduser()
    if not place.exists():
        hint = None
        if isinstance(where, str) and "/" not in where:
            hint = UnknownNameError("data set", where.partition(":")[0], (row.name for row in DATA_SETS)).hint
        raise BadInputError(
            f"there is no folder, no file and no data set {where}", what=f"data sets: {', '.join(row.name for row in DATA_SETS)}", hint=hint
        )
    return read_folder(place)
