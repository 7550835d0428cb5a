"""Small packages as npm, PyPI and Debian make them."""

import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

FILES = {"package/a.txt": b"first", "package/sub/b.bin": bytes(range(256)) * 8, "package/other.py": b"import os"}
WANTED = ("package/a.txt", "package/sub/b.bin")
WANTED_BYTES = 5 + 2048


def tar_bytes(files: dict[str, bytes], *, prefix: str = "", extra: tuple[tarfile.TarInfo, ...] = ()) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for info in extra:
            archive.addfile(info)
        for name, content in files.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def tgz(path: Path, files: dict[str, bytes] = FILES, **options) -> Path:
    path.write_bytes(gzip.compress(tar_bytes(files, **options), mtime=0))
    return path


def whl(path: Path, files: dict[str, bytes] = FILES) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def ar(members: dict[str, bytes]) -> bytes:
    content = b"!<arch>\n"
    for name, data in members.items():
        content += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return content


def deb(path: Path, files: dict[str, bytes] = FILES) -> Path:
    data = lzma.compress(tar_bytes(files, prefix="./"))
    path.write_bytes(ar({"debian-binary": b"2.0\n", "control.tar.xz": b"odd", "data.tar.xz": data}))
    return path
