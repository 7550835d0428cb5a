"""Takes named files out of a package, and nothing else: other members, links and names that lead elsewhere are never written.

    .tgz of npm     tar, compressed with gzip
    .whl of PyPI    zip
    .deb of Debian  ar, and in it data.tar.xz

Bounded in members and in bytes, although a package is only unpacked once its sha256 is the expected one.
"""

import contextlib
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from edgekit.errors import BadInputError

_MAX_MEMBERS = 10_000
_MAX_PASSED_BYTES = 1_000_000_000
"""Of all members together, taken or not: a compressed archive has to be read through to get at one of them."""

_CHUNK_BYTES = 1 << 20
_AR_MAGIC = b"!<arch>\n"
_AR_HEADER_BYTES = 60


def unpack(package: Path, members: tuple[str, ...], folder: Path, *, max_bytes: int) -> None:
    """Write ``members`` of a package into ``folder``, each under the last part of its path.

    :param members: paths inside the package, with ``/`` and without a leading ``./``; their last parts are all different.
    :param max_bytes: of the files together.
    :raises BadInputError: a member is missing, is there twice, is no plain file, they are larger, or the package is damaged.
    :raises OSError: the folder cannot be written.
    """
    missing = set(members)
    left = max_bytes
    with _opened(package) as found:
        for name, source in found:
            if name not in members:
                continue
            if name not in missing:
                raise BadInputError(f"{package.name} holds {name} twice")
            if source is None:
                raise BadInputError(f"{name} in {package.name} is not a plain file")
            missing.discard(name)
            with (folder / PurePosixPath(name).name).open("xb") as sink:
                while chunk := _read(source, package):
                    left -= len(chunk)
                    if left < 0:
                        raise BadInputError(f"{package.name} holds more than {max_bytes} bytes")
                    sink.write(chunk)
    if missing:
        raise BadInputError(f"{package.name} does not hold {min(missing)}")


def _read(source: IO[bytes], package: Path) -> bytes:
    with _told(package):
        return source.read(_CHUNK_BYTES)


@contextlib.contextmanager
def _told(package: Path) -> Iterator[None]:
    """Turn what the archive modules raise on damaged bytes into a sentence. Only reading happens inside, so an OSError is the archive's."""
    try:
        yield
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        OSError,
        ValueError,
        RuntimeError,  # a method of packing that Python does not know is a NotImplementedError, which is one
    ) as error:
        raise BadInputError(f"{package.name} cannot be unpacked", why=str(error) or type(error).__name__) from error


Members = Iterator[tuple[str, IO[bytes] | None]]
"""Names and, for plain files, their bytes, to be read before the next is asked for."""


@contextlib.contextmanager
def _opened(package: Path) -> Iterator[Members]:
    with contextlib.ExitStack() as stack:
        with _told(package):
            if package.suffix == ".whl":
                members = _zip_members(stack.enter_context(zipfile.ZipFile(package)))
            elif package.suffix == ".deb":
                compressed = stack.enter_context(package.open("rb"))
                _go_to_data(compressed)
                members = _tar_members(stack.enter_context(tarfile.open(fileobj=compressed, mode="r|xz")))
            else:
                members = _tar_members(stack.enter_context(tarfile.open(package, mode="r|gz")))
        yield _bounded(members, package)


def _bounded(members: Iterator[tuple[str, int, IO[bytes] | None]], package: Path) -> Members:
    """Pass members on, as long as they are not too many or too large; one is judged by its header, before it is read."""
    count = passed = 0
    while True:
        with _told(package):
            following = next(members, None)
        if following is None:
            return
        name, size_bytes, source = following
        count, passed = count + 1, passed + size_bytes
        if count > _MAX_MEMBERS or passed > _MAX_PASSED_BYTES:
            raise BadInputError(f"{package.name} is too large to be unpacked", what=f"more than {_MAX_MEMBERS} files or {_MAX_PASSED_BYTES} bytes")
        yield name, source


def _zip_members(archive: zipfile.ZipFile) -> Iterator[tuple[str, int, IO[bytes] | None]]:
    for info in archive.infolist():
        linked = (info.external_attr >> 16) & 0o170000 == 0o120000
        if info.is_dir() or linked:
            yield info.filename, 0, None
        else:
            with archive.open(info) as source:
                yield info.filename, info.file_size, source


def _tar_members(archive: tarfile.TarFile) -> Iterator[tuple[str, int, IO[bytes] | None]]:
    for info in archive:
        yield info.name.removeprefix("./"), info.size, archive.extractfile(info) if info.isreg() else None


def _go_to_data(package: IO[bytes]) -> None:
    """Leave an ar archive at the beginning of its ``data.tar.xz``. A header: name (16), date, owner, group, mode (32), size (10), 2."""
    if package.read(len(_AR_MAGIC)) != _AR_MAGIC:
        raise ValueError("it is not an ar archive")
    while len(header := package.read(_AR_HEADER_BYTES)) == _AR_HEADER_BYTES:
        size_bytes = int(header[48:58])
        if header[:16].rstrip(b" /") == b"data.tar.xz":
            return
        package.seek(size_bytes + size_bytes % 2, 1)  # members begin at even places
    raise ValueError("it holds no data.tar.xz")
