"""What other packages add to edgekit, by entry points: models by name, rewrites, and the rows that say which target gets them.

    [project.entry-points."edgekit.models"]       name = "package.nets:build"       a factory, as in edgekit export package.nets:build
    [project.entry-points."edgekit.rewrites"]     name = "package.rules:REWRITES"   module and graph rewrites, a tuple of instances
    [project.entry-points."edgekit.forms"]        name = "package.rows:FORMS"       by target, the rows of what it gets: {"coreml": (Form(...),)}

Nothing of a package is imported before what it adds is needed: a model's when it is exported, rows when a target is looked up. An entry point runs
its package's code, which is trusted as far as installing it was; ``EDGEKIT_PLUGINS=off`` leaves all of them out.
"""

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from edgekit.errors import PluginError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

MODELS, REWRITES, FORMS = "edgekit.models", "edgekit.rewrites", "edgekit.forms"
_SWITCH = "EDGEKIT_PLUGINS"


@frozen(kw_only=True)
class PluginModel:
    """A model that another package registers: its name, the factory behind it (``package.nets:build``), and the package."""

    name: str
    factory: str
    package: str


def plugin_models() -> tuple[PluginModel, ...]:
    """Return the models that packages register, by name; imports none of them.

    :raises PluginError: two packages register one name.
    """
    found = tuple(PluginModel(name=entry.name, factory=entry.value, package=_package(entry)) for entry in _entries(MODELS))
    names = [model.name for model in found]
    for model in found:
        if names.count(model.name) > 1:
            others = ", ".join(sorted(other.package for other in found if other.name == model.name))
            raise PluginError(
                f"two packages register a model {model.name}", what=others, hint="uninstall one, or name the factory itself: package:build"
            )
    return found


def factory_of(model: str) -> str:
    """Return the factory of a model that a package registers; any other name is what it was."""
    if ":" in model:
        return model
    return next((found.factory for found in plugin_models() if found.name == model), model)


@cache
def plugin_forms() -> Mapping[str, tuple[Any, ...]]:
    """Return the rows that packages add, by target.

    :raises PluginError: one cannot be imported, or is no mapping of rows.
    """
    rows: dict[str, tuple[Any, ...]] = {}
    for entry in _entries(FORMS):
        loaded = _loaded(entry)
        if not isinstance(loaded, Mapping):
            raise _misfit(entry, loaded, "a mapping from a target's name to its rows")
        for target, forms in loaded.items():
            if not all(isinstance(getattr(form, "rewrite", None), str) and isinstance(getattr(form, "measured", None), str) for form in forms):
                raise _misfit(entry, forms, "rows, edgekit.capabilities.Form(rewrite=..., measured=...)")
            rows[target] = (*rows.get(target, ()), *forms)
    return rows


@cache
def plugin_rewrites() -> tuple[Any, ...]:
    """Return the rewrites that packages add, of both kinds.

    :raises PluginError: one cannot be imported, or is no rewrite.
    """
    found: list[Any] = []
    for entry in _entries(REWRITES):
        loaded = _loaded(entry)
        for rewrite in loaded if isinstance(loaded, (tuple, list)) else (loaded,):
            if not isinstance(getattr(rewrite, "name", None), str) or not all(
                callable(getattr(rewrite, step, None)) for step in ("match", "check", "replace")
            ):
                raise _misfit(entry, rewrite, "a rewrite: a name, and the methods match, check and replace (edgekit.rewrites.base)")
            found.append(rewrite)
    return tuple(found)


def plugin_code() -> str:
    """Return a digest of the code of all packages that add something, which an export may depend on.

    :raises OSError: a file cannot be read.
    """
    total = hashlib.sha256()
    for folder in sorted({place for group in (MODELS, REWRITES, FORMS) for entry in _entries(group) for place in _places(entry)}):
        for path in sorted(folder.rglob("*.py")) if folder.is_dir() else [folder]:
            total.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _entries(group: str) -> "tuple[EntryPoint, ...]":
    return () if os.environ.get(_SWITCH) == "off" else _installed(group, tuple(sys.path))


@cache
def _installed(group: str, places: tuple[str, ...]) -> "tuple[EntryPoint, ...]":
    """Read what is installed; once for each search path, since every request asks whether its model is another package's."""
    from importlib.metadata import entry_points

    del places
    return tuple(sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)))


def forget() -> None:
    """Forget what was read, after something was installed into a running process."""
    for read in (_installed, plugin_forms, plugin_rewrites):
        read.cache_clear()


def _places(entry: "EntryPoint") -> Iterator[Path]:
    """Yield the folder, or the file, of the package that an entry point is in; its code is not run."""
    try:
        spec = importlib.util.find_spec(entry.module.partition(".")[0])
    except (ImportError, ValueError):
        return
    if spec is not None and spec.submodule_search_locations:
        yield from (Path(place) for place in spec.submodule_search_locations)
    elif spec is not None and spec.origin is not None:
        yield Path(spec.origin)


def _loaded(entry: "EntryPoint") -> Any:
    try:
        return entry.load()
    except Exception as error:
        raise PluginError(
            f"cannot import what {_package(entry)} adds to edgekit",
            what=f"{entry.group}: {entry.name} = {entry.value}",
            why=f"{type(error).__name__}: {error}",
            hint=f"install a version that fits, or leave such packages out: {_SWITCH}=off",
        ) from error


def _misfit(entry: "EntryPoint", found: object, wanted: str) -> PluginError:
    return PluginError(
        f"what {_package(entry)} adds to edgekit does not fit",
        what=f"{entry.group}: {entry.name} = {entry.value} is {type(found).__name__}",
        why=f"expected {wanted}",
        hint=f"install a version that fits, or leave such packages out: {_SWITCH}=off",
    )


def _package(entry: "EntryPoint") -> str:
    return entry.dist.name if entry.dist is not None else entry.module.partition(".")[0]
