"""Logits of every exit on labelled or unlabelled samples, and the ``.npz`` they come in.

| key | shape, type | |
| --- | --- | --- |
| ``logits`` | ``(K, N, C)`` float16, float32 or float64 | of K exits, first exit first, N samples, C classes; C-contiguous |
| ``labels`` | ``(N,)`` integers, 0 to C-1 | needed for a target accuracy and for calibration; without them accuracies are unknown |
| ``costs_macs`` | ``(K,)`` numbers | optional: multiply-adds to reach each exit, everything before it included |

Other keys are ignored. The file is read without pickle, and one exit at a time, so that memory holds the logits of one exit
whatever the file's size: 50,000 samples of 1000 classes are 200 MB in float32, the file 1.4 GB.
"""

import hashlib
import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from edgekit.errors import BadInputError
from edgekit.policy.confidences import Floats

MAX_EXITS = 64
MAX_SAMPLES = 10_000_000
MAX_CLASSES = 1_000_000
MAX_EXIT_BYTES = 4 * 1024**3
_FLOATS = tuple(np.dtype(name) for name in ("<f2", "<f4", "<f8"))
_PIECE = 4 * 1024**2
_UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)


class Hasher(Protocol):
    """What of :mod:`hashlib` is needed."""

    def update(self, data: Any, /) -> None:
        """Take more bytes."""
        ...


class ExitLogits(Protocol):
    """Logits of K exits, to be walked through once."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Exits, samples, classes."""
        ...

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The right classes ``(N,)``, if known."""
        ...

    def each_exit(self, hasher: Hasher) -> Iterator[Floats]:
        """Yield the logits ``(N, C)`` of each exit, first exit first, and give ``hasher`` their bytes."""
        ...


@frozen(kw_only=True)
class LogitsArray:
    """Logits in memory: ``values`` ``(K, N, C)``, ``labels`` ``(N,)`` or ``None``.

    :raises BadInputError: shapes or types that are not those above, or too large.
    """

    values: Floats
    labels: NDArray[np.int64] | None = field(default=None)

    def __attrs_post_init__(self) -> None:
        check_shape(self.values.shape, self.values.dtype, "logits")
        if self.labels is not None:
            object.__setattr__(self, "labels", check_labels(np.asarray(self.labels), self.shape, "labels"))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Exits, samples, classes."""
        exits, samples, classes = self.values.shape
        return exits, samples, classes

    def each_exit(self, hasher: Hasher) -> Iterator[Floats]:
        """Yield the logits of each exit, first exit first."""
        for logits in self.values:
            contiguous = np.ascontiguousarray(logits)
            hasher.update(contiguous.data.cast("B"))
            yield contiguous


@frozen(kw_only=True)
class LogitsFile:
    """An ``.npz`` whose labels and costs are read and whose logits are not yet; made by :func:`read_logits`."""

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    labels: NDArray[np.int64] | None
    costs_macs: tuple[int, ...] | None

    def each_exit(self, hasher: Hasher) -> Iterator[Floats]:
        """Yield the logits of each exit, first exit first.

        :raises BadInputError: the file is damaged.
        """
        exits, samples, classes = self.shape
        with _reading(self.path), zipfile.ZipFile(self.path) as archive, archive.open("logits.npy") as stream:
            _read_header(stream, "logits", self.path)
            for _ in range(exits):
                logits = np.empty((samples, classes), dtype=self.dtype)
                _fill(logits.data.cast("B"), stream, hasher)
                yield logits


def read_logits(path: Path) -> LogitsFile:
    """Open an ``.npz`` of logits and check all of it but the logits' values.

    :raises BadInputError: missing, no ``.npz``, damaged, pickled, too large, or not of the shapes and types above.
    """
    with _reading(path), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if "logits.npy" not in names:
            held = ", ".join(sorted(name.removesuffix(".npy") for name in names[:8])) or "nothing"
            raise BadInputError(f"{path.name} holds no logits", what=f"it holds {held}", hint="np.savez(path, logits=..., labels=...)")
        shape, dtype = _open_array(archive, "logits", path)
        check_shape(shape, dtype, path.name)
        exits, samples, classes = shape
        labels = costs = None
        if "labels.npy" in names:
            labels = check_labels(_small_array(archive, "labels", path, (samples,)), (exits, samples, classes), path.name)
        if "costs_macs.npy" in names:
            values = _small_array(archive, "costs_macs", path, (exits,))
            if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
                raise BadInputError(f"costs_macs in {path.name} are not finite numbers", what=f"type {values.dtype}")
            costs = tuple(round(float(value)) for value in values)
    return LogitsFile(path=path, shape=(exits, samples, classes), dtype=dtype, labels=labels, costs_macs=costs)


def new_hasher(shape: tuple[int, int, int], labels: NDArray[np.int64] | None) -> "hashlib._Hash":
    """Return a sha256 that has taken everything of a set but the logits: equal data in another ``.npz`` has an equal digest."""
    hasher = hashlib.sha256(f"edgekit-logits/1 {shape}\n".encode())
    hasher.update(b"no labels\n" if labels is None else b"labels\n" + labels.astype("<i8").tobytes())
    return hasher


def check_shape(shape: tuple[int, ...], dtype: np.dtype[Any], where: str) -> None:
    """Refuse what are no logits.

    :raises BadInputError: not three axes of allowed sizes, or no float type.
    """
    if len(shape) != 3:
        raise BadInputError(f"logits of shape {shape}", where=where, why="they have to be (exits, samples, classes)")
    if dtype not in _FLOATS:
        raise BadInputError(f"logits of type {dtype}", where=where, why="they have to be little-endian float16, float32 or float64")
    exits, samples, classes = shape
    for name, size, least, most in (("exits", exits, 2, MAX_EXITS), ("samples", samples, 1, MAX_SAMPLES), ("classes", classes, 2, MAX_CLASSES)):
        if not least <= size <= most:
            raise BadInputError(f"logits of {size} {name}", where=where, what=f"shape {shape}: (exits, samples, classes)", why=f"{least} to {most}")
    if samples * classes * dtype.itemsize > MAX_EXIT_BYTES:
        raise BadInputError(f"logits of shape {shape} are too large", where=where, why=f"one exit may have {MAX_EXIT_BYTES} bytes")


def check_labels(labels: NDArray[Any], shape: tuple[int, int, int], where: str) -> NDArray[np.int64]:
    """Return labels as int64.

    :raises BadInputError: not one class of the logits a sample.
    """
    _, samples, classes = shape
    if labels.shape != (samples,) or labels.dtype.kind not in "iu":
        raise BadInputError(f"labels of shape {labels.shape} and type {labels.dtype}", where=where, why=f"they have to be {samples} integers")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise BadInputError(f"labels from {low} to {high}", where=where, why=f"the logits have classes 0 to {classes - 1}")
    return labels.astype(np.int64)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
        raise BadInputError(f"cannot read {path.name}", where=str(path), why=what, hint="an .npz that numpy.savez wrote, without objects") from error


def _open_array(archive: zipfile.ZipFile, name: str, path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of an array in the archive, checked against the number of bytes it really has there."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as stream:
        shape, dtype, offset = _read_header(stream, name, path)
    size = math.prod(shape) * dtype.itemsize
    if info.file_size - offset != size:
        raise BadInputError(
            f"{name} in {path.name} has {info.file_size - offset} bytes", why=f"shape {shape} of {dtype} needs {size}", hint="write the file again"
        )
    return shape, dtype


def _read_header(stream: IO[bytes], name: str, path: Path) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise BadInputError(f"{name} in {path.name} is of .npy version {version}", why="plain arrays are of version 1.0 or 2.0")
    if dtype.hasobject:
        raise BadInputError(f"{name} in {path.name} holds Python objects", why="they would be unpickled, which runs code", hint="save plain numbers")
    if fortran and len(shape) > 1:
        raise BadInputError(f"{name} in {path.name} is in column order", hint="np.ascontiguousarray(...) before it is saved")
    return shape, dtype, stream.tell()


def _small_array(archive: zipfile.ZipFile, name: str, path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    found, dtype = _open_array(archive, name, path)
    if found != shape or dtype.kind not in "iuf":
        raise BadInputError(f"{name} in {path.name} has shape {found} and type {dtype}", why=f"the logits call for numbers of shape {shape}")
    values = np.empty(shape, dtype=dtype)
    with archive.open(f"{name}.npy") as stream:
        _read_header(stream, name, path)
        _fill(values.data.cast("B"), stream, hashlib.sha256())
    return values


def _fill(view: memoryview, stream: IO[bytes], hasher: Hasher) -> None:
    done = 0
    while done < len(view):
        piece = stream.read(min(_PIECE, len(view) - done))
        if not piece:
            raise EOFError("it ends too early")
        view[done : done + len(piece)] = piece
        hasher.update(piece)
        done += len(piece)
