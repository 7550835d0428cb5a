r"""Fetches the published EMOv2 checkpoints, and accepts exactly those bytes.

    row of OFFICIAL_FILES -> in the cache with the right id? -> else: download beside it, check the id, move into place

A file is identified by its Git blob id, the SHA-1 of ``blob <size>\0`` and the content, as the repository that
publishes it lists it. So it does not matter which server or mirror the bytes come from. This is the only module
that opens a connection to the outside; exporting never does.
"""

import contextlib
import hashlib
import http.client
import ipaddress
import os
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from attrs import frozen

from edgekit.cache import CACHE_VARIABLE, cache_folder
from edgekit.errors import CheckpointError, EdgekitError, OutputError, UnknownNameError, UsageError
from edgekit.progress import Progress

URL_VARIABLE = "EDGEKIT_WEIGHTS_URL"

# Tried in order; a later one only where the earlier answers 404. github.com/.../raw/... redirects to the host of raw files.
# The repository's README sends readers to the second for the same file names.
DEFAULT_BASE_URLS = (
    "https://github.com/zhangzjn/EMOv2/raw/582a96fe63f169c99fab9cef627374f0a2d1ebb6/resources/Cls",
    "https://github.com/zhangzjn/data/raw/main/emov2_pretrained_weights",
)

MAX_BYTES = 400_000_000
_CHUNK_BYTES = 1 << 16
_NOT_FOUND = 404
_OK = 200


@frozen(kw_only=True)
class OfficialFile:
    """One published checkpoint: ``resolution`` in pixels it was trained at, ``kd`` if by distillation."""

    model: str
    resolution: int
    kd: bool
    file_name: str
    blob_id: str


def _row(size: str, resolution: int, blob_id: str, *, kd: bool) -> OfficialFile:
    name = f"EMOv2_{size}_{resolution}{'_KD' if kd else ''}.pth"
    return OfficialFile(model=f"emov2-{size.lower()}", resolution=resolution, kd=kd, file_name=name, blob_id=blob_id)


OFFICIAL_FILES = (
    _row("1M", 224, "4cbb1c0541597da1442bb5bd7f155fa9d00cd486", kd=False),
    _row("1M", 224, "d3d292c37d874de97ed8828c61114b5365325d25", kd=True),
    _row("2M", 224, "009fd7338ac833177c5ae2014061d56203c423ea", kd=False),
    _row("2M", 224, "bcc37347a7082df62a5c5f025a3f322fc273b46d", kd=True),
    _row("5M", 224, "174a94f26e6bd2456f396cca427702c3a70b412b", kd=False),
    _row("5M", 224, "9332927c3751291dc574a151a10074bce706bb1f", kd=True),
    _row("5M", 512, "e1235b440edd1517bacd30fc6ff0c476098b2847", kd=True),
)


def official_file(name: str, *, resolution: int = 224, kd: bool = False) -> OfficialFile:
    """Return the published file of a model.

    Raises:
        UnknownNameError: nothing is published for a model of this name.
        UsageError: it is, but not at this resolution, or not with or without distillation.

    """
    rows = [row for row in OFFICIAL_FILES if row.model == name]
    if not rows:
        raise UnknownNameError("model with published weights", name, {row.model for row in OFFICIAL_FILES})
    for row in rows:
        if (row.resolution, row.kd) == (resolution, kd):
            return row
    offered = ", ".join(f"{row.resolution}{' with --kd' if row.kd else ''}" for row in rows)
    raise UsageError(
        f"no weights of {name} are published at {resolution} pixels {'with' if kd else 'without'} distillation", what=f"published: {offered}"
    )


def git_blob_id(path: Path) -> str:
    """Return the id Git gives a file's content: 40 hexadecimal digits.

    Raises:
        OSError: the file cannot be read.

    """
    with path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        # Git's identity, not a signature; a second file of the same id would have to be found for these very contents.
        digest = hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def pull_weights(
    name: str,
    *,
    resolution: int = 224,
    kd: bool = False,
    cache_dir: Path | None = None,
    base_url: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Return the path of a model's published checkpoint, downloading it unless the cache has it.

    ``cache_dir`` defaults to :func:`cache_folder`, ``base_url`` (the folder that holds the files) to
    ``$EDGEKIT_WEIGHTS_URL``, else to the official places.

    Raises:
        UnknownNameError, UsageError: as :func:`official_file`; or the address is not https (http: this machine only).
        CheckpointError: it cannot be downloaded, or what arrived is not the published file. Nothing is left behind.
        OutputError: the cache cannot be written.

    """
    return pull_file(official_file(name, resolution=resolution, kd=kd), cache_dir=cache_dir, base_url=base_url, progress=progress)


def pull_file(
    row: OfficialFile,
    *,
    cache_dir: Path | None = None,
    base_url: str | None = None,
    progress: Progress | None = None,
    max_bytes: int = MAX_BYTES,
    timeout_s: float = 30.0,
    deadline_s: float = 3600.0,
) -> Path:
    """Do the work of :func:`pull_weights` for one row; ``timeout_s`` is the longest silence, ``deadline_s`` the longest download."""
    folder = (cache_dir or cache_folder()) / "weights"
    target = folder / row.file_name
    with _disk_errors(target):
        if target.is_file() and git_blob_id(target) == row.blob_id:
            return target
        folder.mkdir(parents=True, exist_ok=True)
    base_url = base_url or os.environ.get(URL_VARIABLE)
    urls = [f"{base.rstrip('/')}/{row.file_name}" for base in ((base_url,) if base_url else DEFAULT_BASE_URLS)]
    for url in urls:
        if not _allowed(url):
            raise UsageError(f"{url} is not an https address", why="plain http is accepted for this machine only", hint=f"check {URL_VARIABLE}")
    with _disk_errors(target), _temporary(target) as (part, sink):
        with _first_found(urls, timeout_s) as response:
            _receive(response, sink, row, progress=progress, max_bytes=max_bytes, deadline_s=deadline_s)
        sink.flush()
        os.fsync(sink.fileno())
        sink.close()
        found = git_blob_id(part)
        if found != row.blob_id:
            raise CheckpointError(
                f"what arrived is not the published {row.file_name}",
                what=f"blob id {found}, expected {row.blob_id}",
                where=response.url,
                why="the file was changed there, or on its way",
                hint="it was not kept; try again, or from another network",
            )
        part.replace(target)
    return target


# --- disk


@contextlib.contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    """Turn a full disk or a missing permission into a sentence; the network's errors are told before they get here."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{target.name} cannot be kept in the cache",
            where=str(target.parent),
            why=error.strerror or str(error),
            hint=f"free some space, or set {CACHE_VARIABLE} to a folder that can be written",
        ) from error


@contextlib.contextmanager
def _temporary(target: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Open a new file beside ``target``, so that moving it into place is atomic; gone afterwards if it was not moved."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as sink:
            yield part, sink
    finally:  # also for KeyboardInterrupt
        part.unlink(missing_ok=True)


# --- network


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _allowed(url: str, *, coming_from: str | None = None) -> bool:
    """Say whether a request may go to ``url``: https, or http to this machine unless it was sent there from outside."""
    try:
        parts = urllib.parse.urlsplit(url)
        origin = urllib.parse.urlsplit(coming_from or url)
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(parts.hostname)
    return parts.scheme == "http" and _is_loopback(parts.hostname) and _is_loopback(origin.hostname)


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects to allowed addresses only; the library bounds their number."""

    def redirect_request(  # the library's signature
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        """Return the request to follow with, or refuse."""
        if not _allowed(newurl, coming_from=req.full_url):
            raise CheckpointError(
                "the download was redirected to an address that is not https",
                what=newurl,
                where=req.full_url,
                hint="try again from another network, or download it yourself and give it with --weights FILE",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _first_found(urls: list[str], timeout_s: float) -> Any:
    """Open the first address that does not answer 404."""
    for url in urls:
        with _network_errors(url):
            try:
                return _open(url, timeout_s)
            except urllib.error.HTTPError as error:
                with error:
                    if error.code != _NOT_FOUND:
                        raise _unavailable(url, f"the server answered {error.code} {error.reason}") from error
    raise _unavailable(", ".join(urls), "the server answered 404: there is no such file")


def _open(url: str, timeout_s: float) -> Any:
    handlers: list[urllib.request.BaseHandler] = [_SafeRedirects()]
    if _is_loopback(urllib.parse.urlsplit(url).hostname):
        handlers.append(urllib.request.ProxyHandler({}))  # a proxy's "this machine" is another one
    request = urllib.request.Request(url, headers={"User-Agent": "edgekit", "Accept-Encoding": "identity"})  # noqa: S310  # checked by _allowed
    return urllib.request.build_opener(*handlers).open(request, timeout=timeout_s)


def _receive(response: Any, sink: IO[bytes], row: OfficialFile, *, progress: Progress | None, max_bytes: int, deadline_s: float) -> None:
    """Write the body to ``sink``: all that was announced, and never more than ``max_bytes``."""
    url = response.url
    if response.status != _OK:
        raise _unavailable(url, f"the server answered {response.status}")
    announced = response.headers.get("Content-Length")
    total = int(announced) if announced and announced.isascii() and announced.isdigit() else None
    too_large = f"{row.file_name} would have more than {max_bytes // 1_000_000} MB"
    if total is not None and total > max_bytes:
        raise _unavailable(url, too_large)
    done, end = 0, time.monotonic() + deadline_s
    while True:
        with _network_errors(url):
            chunk = response.read1(_CHUNK_BYTES)
        if not chunk:
            break
        done += len(chunk)
        if done > max_bytes:
            raise _unavailable(url, too_large)
        if time.monotonic() > end:
            raise _unavailable(url, f"it took longer than {deadline_s:g} s")
        sink.write(chunk)
        if progress is not None:
            progress(done, total)
    if total is not None and done != total:
        raise _unavailable(url, f"the connection ended after {done} of {total} bytes")


@contextlib.contextmanager
def _network_errors(url: str) -> Iterator[None]:
    """Tell the network's errors here, before :func:`_disk_errors` takes them (both are OSError) for the disk's."""
    try:
        yield
    except urllib.error.HTTPError:
        raise
    except urllib.error.URLError as error:
        raise _unavailable(url, str(error.reason)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _unavailable(url, str(error) or type(error).__name__) from error


def _unavailable(url: str, why: str) -> EdgekitError:
    return CheckpointError(
        "the weights cannot be downloaded",
        where=url,
        why=why,
        hint="try again later, or download the file yourself and give it with --weights FILE",
    )
