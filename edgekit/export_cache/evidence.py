"""What came of a user's code and pictures, as a digest: the part of a key that only running them tells."""

import hashlib
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgekit.export_cache.key import digest_of_values
from edgekit.models.source import SourceModel
from edgekit.user_code import is_user_file
from edgekit.verification.cases import Case

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_LOADED = time.time()


def evidence_of(source: SourceModel, cases: Iterable[Case], pictures: Mapping[str, Any] | None) -> str | None:
    """Return the digest of a built model: its weights, its modules, the code behind it, what it answers; and the pictures that were drawn.

    Two models that are alike in all of these are taken for the same one.

    :param pictures: their record; ``None``: there are none.
    :return: ``None`` where a file of the code is not there, or was changed since it was imported.
    """
    code = _code()
    if code is None:
        return None
    total = hashlib.sha256()
    for name, tensor in (*source.module.named_parameters(), *source.module.named_buffers()):
        _add(total, name, tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy(), tuple(tensor.shape), str(tensor.dtype))
    for case in cases:
        for name, answers in case.outputs.items():
            for answer in answers:
                _add(total, f"{case.method} {name}", np.ascontiguousarray(answer), answer.shape, str(answer.dtype))
    modules = _ADDRESS.sub("", repr(source.module))
    return digest_of_values([total.hexdigest(), modules, code, source.code_sha256, source.resolution, pictures])


def _add(total: Any, name: str, values: np.ndarray, shape: tuple[int, ...], dtype: str) -> None:
    total.update(f"{name} {shape} {dtype} ".encode())
    total.update(values.tobytes())


def _code() -> list[tuple[str, str]] | None:
    """Return the names of the files that were imported and are not installed, and their digests."""
    found = []
    for file in sorted(set(_user_files())):
        try:
            if file.stat().st_mtime > _LOADED:
                return None
            found.append((file.name, hashlib.sha256(file.read_bytes()).hexdigest()))
        except OSError:
            return None
    return found


def _user_files() -> Iterator[Path]:
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and Path(file).is_absolute() and is_user_file(file):  # torch.ops says _ops.py
            yield Path(file)
