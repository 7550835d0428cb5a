"""What decides the bytes of an artifact, as one digest."""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from edgekit.models.naming import is_factory
from edgekit.plugins import plugin_code
from edgekit.recipe import Recipe

_OWN = Path(__file__).parents[1]
_SETTINGS = ("ATEN_", "DNNL_", "MKL_", "OMP_", "ONEDNN_", "OPENBLAS_", "ORT_", "PYTORCH_", "TORCH_", "XLA_", "XNN")
"""How variables begin that choose kernels, their threads or a converter's ways; of those that packages set by themselves (KMP_, TF_) none does."""
_VERSION = 1


def is_known_by_name(recipe: Recipe) -> bool:
    """Whether a request says all by itself; of a user's own model, or pictures, only what comes of it does."""
    return not is_factory(recipe.model) and recipe.data is None


def key_of(recipe: Recipe, name: str, ground: Mapping[str, str], evidence: str | None = None) -> str:
    """Return the digest under which an artifact is kept, 64 hexadecimal digits.

    :param name: the artifact's file name. :param ground: from :func:`ground`.
    :param evidence: of what is not known by name, what came of it.
    :raises OSError: a file that the request names cannot be read.
    """
    files = {key: None if (path := getattr(recipe, key)) is None else _sha256(path) for key in ("weights", "labels", "plan", "costs")}
    parts = {"version": _VERSION, "ground": dict(ground), "recipe": recipe.to_json(), "name": name, "files": files, "evidence": evidence}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def ground() -> dict[str, str]:
    """Return what decides the bytes of every artifact, whatever is asked for.

    :raises OSError: edgekit's own files cannot be read.
    """
    return {
        "edgekit": own_digest(),
        "plugins": plugin_code(),
        "packages": _digest_of(_packages()),
        "python": sys.version,
        "system": f"{sys.platform} {platform.machine()} {_c_library()}",
        "processor": _digest_of(_processor()),
        "threads": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "settings": _digest_of(f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith(_SETTINGS)),
    }


def own_digest() -> str:
    """Return the digest of edgekit itself.

    :raises OSError: its files cannot be read.
    """
    return _digest_of(_own_files())


def _own_files() -> Iterator[str]:
    """Yield every file of the package with its digest: code, tables, photographs to verify with."""
    for folder, folders, names in os.walk(_OWN):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            path = Path(folder, name)
            yield f"{path.relative_to(_OWN).as_posix()} {_sha256(path)}"


def _packages() -> Iterator[str]:
    """Yield the versions of all that is installed, and when: not only of what edgekit asks for, but of what that asks for, too."""
    for place in sorted({os.path.abspath(place) for place in sys.path if place}):  # noqa: PTH100  Path would touch the disk for each
        try:
            with os.scandir(place) as entries:
                found = sorted((entry.name, entry.stat().st_mtime_ns) for entry in entries if entry.name.endswith((".dist-info", ".egg-info")))
        except OSError:  # an archive, or gone
            continue
        yield from (f"{name} {time_ns}" for name, time_ns in found)


def _processor() -> Iterator[str]:
    """Yield what kernels are chosen by: the processor's features, or the machine's name where they cannot be read."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as stream:
            found = [line.strip() for line in stream if line.startswith(("flags", "Features", "model name"))]
    except OSError:
        found = []
    yield from sorted(set(found)) or [f"{platform.node()} {platform.processor()}"]


def _c_library() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):  # not glibc
        return ""


def _digest_of(rows: Iterable[str]) -> str:
    total = hashlib.sha256()
    for row in rows:
        total.update(f"{row}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of_values(values: Any) -> str:
    """Return the digest of plain JSON values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
