"""Weights from a file into a model: read without running anything, checked whole, then copied.

    file -> format by its first bytes -> one dict of tensors -> names, shapes, values checked -> model

Accepted: what ``torch.save`` writes (zip archive, or the older plain pickle), through PyTorch's restricted
unpickler only, and safetensors. The tensors may lie bare or under one of ``_CONTAINERS``.
"""

import argparse
import hashlib
import re
import stat
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from attrs import frozen
from safetensors import safe_open
from torch import Tensor, nn

from edgekit.errors import CheckpointError

# Where trainers keep the weights, in order of preference: EMOv2's own (plain, then the moving average), then the common two.
_CONTAINERS = ("net", "net_E", "state_dict", "model")

# Put before every name by DataParallel / DistributedDataParallel, and by torch.compile.
_WRAPPER_PREFIXES = ("module.", "_orig_mod.")

# Allowed beside what PyTorch allows: a bag of attributes without code, in which trainers keep their options.
_INERT_TYPES: tuple[type, ...] = (argparse.Namespace,)

_COUNTER = "num_batches_tracked"
_ZIP_MAGIC = b"PK\x03\x04"
_PICKLE_MAGIC = b"\x80"
_SAFETENSORS_PREFIX_BYTES = 8  # little-endian length of the JSON header that follows
_SAFETENSORS_HEADER_LIMIT_BYTES = 100_000_000  # the format's own limit
_NAMES_SHOWN = 3
_TEXT_SHOWN = 160


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the named tensors in a ``.pth``, ``.pt`` or ``.safetensors`` file, on the CPU, in the file's dtypes.

    The names lose the prefixes that wrappers add (``module.``); what a trainer stored beside the weights is left
    out. The tensors may be views of the memory-mapped file, so the file must stay as it is while they are in use.

    Raises:
        CheckpointError: the file is missing, damaged, foreign, asks to run code, or holds no tensors.

    """
    try:
        head, size_bytes = _head(path)
        read = _reader(path, head, size_bytes)
        # torch.save's views stay views: nothing is copied here, so a small file cannot claim a large memory.
        tensors = _select(read(path), path)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read", where=str(path), why=error.strerror or _line(error)) from error
    except Exception as error:  # bytes that somebody else wrote fail in any way there is
        raise _damaged(path, _line(error)) from error
    prefix = _wrapper_prefix(tensors)
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def load_checkpoint(model: nn.Module, path: Path) -> None:
    """Copy the weights in ``path`` into ``model``, all of them or, on an error, none.

    The file must hold exactly the model's names and shapes; only BatchNorm's ``num_batches_tracked`` may be
    absent. Values are converted to the model's dtypes.

    Raises:
        CheckpointError: as :func:`read_state_dict`; or names or shapes differ (the first of each kind are named);
            or a tensor holds a value that is NaN, infinite, or not representable in the model's dtype.

    """
    state = model.state_dict()
    own = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    prefix = _wrapper_prefix(own)  # a model that is wrapped itself
    found = {prefix + name: tensor for name, tensor in read_state_dict(path).items()}
    difference = _compare(found, own)
    if difference:
        raise CheckpointError(f"{path.name} does not fit this {type(model).__name__}", what=difference.text, where=str(path), hint=difference.hint)
    converted = {name: _convert(name, tensor, own[name], path) for name, tensor in found.items()}
    try:
        model.load_state_dict({**state, **converted})
    except RuntimeError as error:
        raise CheckpointError(f"{path.name} does not fit this {type(model).__name__}", where=str(path), why=_line(error)) from error


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits.

    Raises:
        CheckpointError: the file cannot be read.

    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read", where=str(path), why=error.strerror or _line(error)) from error


# --- which file it is


def _head(path: Path) -> tuple[bytes, int]:
    """Return the file's first bytes and its size; refuse what is no regular file, or empty."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise CheckpointError(f"there is no file {path.name}", where=str(path), hint="give the path of a .pth, .pt or .safetensors file") from None
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise CheckpointError(f"{path.name} is {kind}, not a weights file", where=str(path))
    if status.st_size == 0:
        raise CheckpointError(f"{path.name} is empty", where=str(path), hint="download or copy it again")
    with path.open("rb") as file:
        return file.read(64), status.st_size


def _reader(path: Path, head: bytes, size_bytes: int) -> Callable[[Path], object]:
    """Choose how to read the file by its first bytes; a name's ending is only a claim."""
    header_bytes = int.from_bytes(head[:_SAFETENSORS_PREFIX_BYTES], "little")
    opens_json = head[_SAFETENSORS_PREFIX_BYTES : _SAFETENSORS_PREFIX_BYTES + 1] == b"{"
    if head.startswith(_ZIP_MAGIC):
        return _read_zip
    if opens_json or (path.suffix == ".safetensors" and not head.startswith(_PICKLE_MAGIC)):
        if not opens_json or header_bytes > min(size_bytes - _SAFETENSORS_PREFIX_BYTES, _SAFETENSORS_HEADER_LIMIT_BYTES):
            raise _damaged(path, f"it announces a header of {header_bytes} bytes; the file has {size_bytes} and the format allows 100 MB")
        return _read_safetensors
    if head.startswith(_PICKLE_MAGIC):
        return _read_pickle
    raise _foreign(path, head)


def _foreign(path: Path, head: bytes) -> CheckpointError:
    """Tell what usually arrives in place of weights from what is merely something else."""
    if head.startswith(b"version https://git-lfs"):
        return CheckpointError(
            f"{path.name} is a Git LFS pointer, not the weights", where=str(path), hint="git lfs pull, or download the file itself"
        )
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return CheckpointError(f"{path.name} is a web page, not the weights", where=str(path), hint="download the raw file, not the page about it")
    return CheckpointError(
        f"{path.name} is not a weights file",
        what=f"it begins with {head[:8]!r}",
        where=str(path),
        why="neither torch.save nor safetensors writes that",
        hint="give a .pth, .pt or .safetensors file",
    )


def _damaged(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"{path.name} is truncated or damaged", where=str(path), why=why, hint="download or copy it again")


# --- reading


def _read_safetensors(path: Path) -> object:
    # The library checks the header against the file: offsets inside it, without gaps or overlaps.
    with safe_open(path, framework="pt", device="cpu") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping


def _read_zip(path: Path) -> object:
    _check_zip(path)
    if path.suffix == ".safetensors":
        # torch.load goes by a path's ending here; it cannot for an open file.
        return _read_pickle(path)
    return _restricted_load(path, path, mmap=True)


def _read_pickle(path: Path) -> object:
    with path.open("rb") as file:
        return _restricted_load(file, path, mmap=False)


def _check_zip(path: Path) -> None:
    """Refuse an archive that is damaged or not torch.save's; PyTorch itself does not look at the checksums."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = {entry.filename.partition("/")[2] for entry in entries}
        if "constants.pkl" in names:
            raise CheckpointError(
                f"{path.name} is a TorchScript program, not weights",
                where=str(path),
                why="loading it could run the code in it",
                hint="save the state dict alone: torch.save(model.state_dict(), 'weights.pth')",
            )
        if "data.pkl" not in names:
            raise CheckpointError(f"{path.name} is a zip archive, but not one of torch.save", where=str(path), what=_listing(names, "entries"))
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or sum(e.file_size for e in entries) > path.stat().st_size:
            raise _damaged(path, "its entries are compressed or overlap, which torch.save never writes")
        broken = archive.testzip()
        if broken is not None:
            raise _damaged(path, f"the checksum of entry {_shown(broken)} is wrong")


def _restricted_load(source: object, path: Path, *, mmap: bool) -> object:
    """Unpickle with PyTorch's weights-only reader, which builds tensors and containers and calls nothing else."""
    try:
        with torch.serialization.safe_globals(list(_INERT_TYPES)), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's remarks about a file's age; what matters is raised
            return torch.load(source, map_location="cpu", weights_only=True, mmap=mmap)  # type: ignore[arg-type]
    except Exception as error:
        refused = re.search(r"GLOBAL (\S+)|unrecognized function (.+)|Can only (?:create|build) .*?(?:but )?got (.+)", str(error))
        if refused is None:
            raise
        asked = next(group for group in refused.groups() if group)
        raise CheckpointError(
            f"{path.name} holds more than weights, and loading it could run code",
            what=f"it asks for {_shown(asked)}",
            where=str(path),
            why="only tensors, numbers, strings and containers of them are read",
            hint="where you trust the file, save its state dict alone: torch.save(model.state_dict(), 'weights.pth')",
        ) from error


def _select(loaded: object, path: Path) -> dict[str, Tensor]:
    """Find the weights in what a file holds."""
    if not isinstance(loaded, Mapping):
        raise CheckpointError(f"{path.name} holds no state dict", what=f"it holds a {type(loaded).__name__}", where=str(path))
    inner = (loaded.get(key) for key in _CONTAINERS)
    for candidate in (*inner, loaded):
        tensors = _tensors(candidate)
        if tensors:
            _check_plain(tensors, path)
            return tensors
    raise CheckpointError(
        f"{path.name} holds no weights",
        what=_listing((str(key) for key in loaded), "it holds"),
        where=str(path),
        hint=f"the tensors are expected bare or under {', '.join(_CONTAINERS)}",
    )


def _tensors(value: object) -> dict[str, Tensor]:
    if not isinstance(value, Mapping):
        return {}
    return {name: tensor.detach() for name, tensor in value.items() if isinstance(name, str) and isinstance(tensor, Tensor)}


def _check_plain(tensors: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise CheckpointError(
                f"{_shown(name)} in {path.name} is no plain tensor",
                what="it is sparse, quantized, or without values",
                where=str(path),
                hint="save the weights dense, in floating point",
            )


def _wrapper_prefix(names: Iterable[str]) -> str:
    """Return the prefix of wrappers that all names share, ``""`` where there is none."""
    names, prefix = list(names), ""
    while names:
        for wrapper in _WRAPPER_PREFIXES:
            if all(name.startswith(prefix + wrapper) for name in names):
                prefix += wrapper
                break
        else:
            break
    return prefix


# --- comparing with the model


@frozen(kw_only=True)
class _Difference:
    """How a file's names and shapes differ from a model's; ``reshaped`` is name, shape in the file, shape in the model."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    common: int

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.reshaped)

    @property
    def text(self) -> str:
        shapes = (f"{_shown(name)} is {in_file} in the file, {in_model} in the model" for name, in_file, in_model in self.reshaped)
        rows = (_listing(self.missing, "missing"), _listing(self.unexpected, "unexpected"), _listing(shapes, "other shape", shorten=False))
        return "; ".join(row for row in rows if row)

    @property
    def hint(self) -> str:
        if not self.common:
            return "no name is shared: the file is of another architecture"
        if self.reshaped and not self.missing and not self.unexpected:
            # A classifier of another width changes the first axis of its tensors and nothing else, all alike.
            widths = {(in_file[:1], in_model[:1]) for _, in_file, in_model in self.reshaped}
            only_first = all(in_file and in_model and in_file[1:] == in_model[1:] for _, in_file, in_model in self.reshaped)
            if only_first and len(widths) == 1:
                ((classes,), _), *_ = widths
                return f"the file was trained for {classes} classes: --num-classes {classes} fits it"
        return "is this the file of another size of this model?"


def _compare(found: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> _Difference:
    common = [name for name in own if name in found]
    return _Difference(
        missing=tuple(name for name in own if name not in found and name.rpartition(".")[2] != _COUNTER),
        unexpected=tuple(name for name in found if name not in own),
        reshaped=tuple((name, tuple(found[name].shape), tuple(own[name].shape)) for name in common if found[name].shape != own[name].shape),
        common=len(common),
    )


def _convert(name: str, found: Tensor, own: Tensor, path: Path) -> Tensor:
    """Return ``found`` in the dtype of ``own``, or say which value that dtype cannot hold."""
    dtype = str(own.dtype).removeprefix("torch.")
    value = found.to(own.dtype) if found.is_complex() == own.is_complex() else None
    if value is not None and (own.is_floating_point() or own.is_complex()):
        # Converted first: a float64 beyond float32's range becomes infinite here.
        bad = value.numel() - int(value.isfinite().sum())
        if not bad:
            return value
        raise CheckpointError(
            f"{_shown(name)} in {path.name} holds values that are no numbers",
            what=f"{bad} of {value.numel()} are NaN or infinite as {dtype}",
            where=str(path),
            hint="the training that wrote it diverged, or the file is damaged; use another checkpoint",
        )
    if value is not None and torch.equal(value.to(found.dtype), found):
        return value
    raise CheckpointError(
        f"{_shown(name)} in {path.name} is {str(found.dtype).removeprefix('torch.')}, which {dtype} cannot hold without loss", where=str(path)
    )


# --- words


def _listing(names: Iterable[str], label: str, *, shorten: bool = True) -> str:
    """Return ``label: a, b, c and 4 more``, or ``""`` for no names."""
    names = list(names)
    if not names:
        return ""
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"{label}: {', '.join(_shown(name) if shorten else name for name in names[:_NAMES_SHOWN])}{more}"


def _line(error: BaseException) -> str:
    return _shown(str(error).strip().partition("\n")[0] or type(error).__name__)


def _shown(text: str) -> str:
    """Make a foreign string fit for a terminal: one line, printable, not endless."""
    printable = "".join(char if char.isprintable() else "?" for char in text)
    return printable if len(printable) <= _TEXT_SHOWN else printable[:_TEXT_SHOWN] + "..."
