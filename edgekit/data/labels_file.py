"""Labels of pictures in a CSV file: a name and a class index a row, under a header that says which column is which.

    filename,label               image,label,author
    cat/0012.jpg,3               0012.jpg,388,somebody

Other columns are passed over. The encoding is UTF-8; the class is the index of the model's output, from 0.
"""

import csv
import io
import unicodedata
from pathlib import Path, PurePosixPath

from edgekit.errors import BadInputError

LABELS_FILE = "labels.csv"
"""What such a file in a folder of pictures is called."""

_NAME_COLUMNS = ("filename", "file_name", "file", "image", "path", "name")
_LABEL_COLUMNS = ("label", "class", "class_index")
_MAX_BYTES = 256_000_000
_MAX_LABEL = 1_000_000


def read_labels(path: Path) -> dict[str, int]:
    """Return the class of each picture by its name, with ``/`` between folders.

    :raises BadInputError: the file cannot be read, has no such columns, or a row has no name, no class index, or a name that came before.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise BadInputError(f"cannot read the labels in {path.name}", why=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise BadInputError(f"{path.name} is not UTF-8", what=f"byte {error.start}", hint="save it as CSV in UTF-8") from error
    if len(content) > _MAX_BYTES:
        raise BadInputError(f"{path.name} is too large to be a file of labels", what=f"more than {_MAX_BYTES // 1_000_000} MB")
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    labels: dict[str, int] = {}
    try:
        name_column, label_column = _columns(next(rows, []), path.name)
        for row in rows:
            if row:  # not a blank line
                name, label = _row(row, name_column, label_column, f"{path.name}, line {rows.line_num}")
                if name in labels:
                    raise BadInputError(f"{name} has two rows in {path.name}", where=f"line {rows.line_num}")
                labels[name] = label
    except csv.Error as error:
        raise BadInputError(f"{path.name} is not a CSV file", where=f"line {rows.line_num}", why=str(error)) from error
    if not labels:
        raise BadInputError(f"{path.name} holds no labels")
    return labels


def _columns(header: list[str], file: str) -> tuple[int, int]:
    words = [word.strip().lower() for word in header]
    found = [next((words.index(word) for word in known if word in words), None) for known in (_NAME_COLUMNS, _LABEL_COLUMNS)]
    if found[0] is None or found[1] is None:
        raise BadInputError(
            f"{file} does not begin with a header that names the columns",
            what=f"first line: {', '.join(header)[:80] or 'empty'}",
            hint=f"write filename,label as its first line (also known: {', '.join((*_NAME_COLUMNS[1:], *_LABEL_COLUMNS[1:]))})",
        )
    return found[0], found[1]


def _row(row: list[str], name_column: int, label_column: int, where: str) -> tuple[str, int]:
    if len(row) <= max(name_column, label_column):
        raise BadInputError("a row of labels is too short", what=", ".join(row)[:80], where=where)
    name, label = row[name_column].strip(), row[label_column].strip()
    if not name:
        raise BadInputError("a row of labels names no file", where=where)
    if not (label.isascii() and label.isdigit() and len(label) <= 7 and int(label) <= _MAX_LABEL):
        raise BadInputError(f"the label {label[:40]!r} is not a class index", where=where, hint="labels are whole numbers from 0")
    return normal_name(name), int(label)


def normal_name(name: str) -> str:
    """Return a relative path as every machine writes it: ``/`` between folders, no ``./``, accents composed (macOS may take them apart)."""
    return unicodedata.normalize("NFC", str(PurePosixPath(name.replace("\\", "/"))))
