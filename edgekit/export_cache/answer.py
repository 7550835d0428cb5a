"""Puts what the cache has into the output folder, and keeps what an export made."""

import contextlib
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import attrs
from attrs import frozen

from edgekit import artifact
from edgekit.cache import cache_folder
from edgekit.capabilities import target_facts
from edgekit.errors import ArtifactError, EdgekitError, OutputError, UsageError
from edgekit.export_cache import store
from edgekit.export_cache.key import ground, is_known_by_name, key_of, own_digest
from edgekit.exported import ExportedArtifact, ExportResult, restored
from edgekit.models.naming import artifact_path
from edgekit.progress import Listener, stage
from edgekit.provenance.lock import processor
from edgekit.provenance.proofs import Proofs
from edgekit.recipe import Recipe

LIMIT_VARIABLE = "EDGEKIT_CACHE_GB"
_LIMIT_GB = 5.0


@frozen(kw_only=True)
class ExportCache:
    """The cache of one export. ``ground``: what decides the bytes of all artifacts, as it was when the export began."""

    folder: Path
    most_bytes: int
    ground: Mapping[str, str]

    def as_it_is_now(self) -> Self:
        """Return the same with edgekit's source as it is now. Variables stay: converters set some when they are imported."""
        return attrs.evolve(self, ground={**self.ground, "edgekit": own_digest()})

    def key(self, recipe: Recipe, name: str, evidence: str | None = None) -> str | None:
        """Return what an artifact is kept under; ``None``: a file that the request names cannot be read, or nobody can tell.

        :param name: the artifact's file name. :param evidence: of a model that is not known by name, from
            :func:`edgekit.export_cache.evidence.evidence_of`.
        """
        if evidence is None and not is_known_by_name(recipe):
            return None
        try:
            return key_of(recipe, name, self.ground, evidence)
        except OSError:
            return None


def exports_folder() -> Path:
    """Return where finished artifacts are kept.

    :raises OutputError: nowhere.
    """
    return cache_folder() / "exports"


def limit_bytes() -> int:
    """Return how many bytes all entries may take together.

    :raises UsageError: the variable holds no number.
    """
    text = os.environ.get(LIMIT_VARIABLE, "")
    try:
        gigabytes = float(text or _LIMIT_GB)
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes < math.inf:
        raise UsageError(f"{LIMIT_VARIABLE} is {text!r}", what="how many gigabytes of finished exports are kept", hint="0 keeps none")
    return int(gigabytes * 1e9)


def open_cache() -> ExportCache | None:
    """Return the cache; ``None`` where there is none: it may take nothing, or has no place.

    :raises UsageError: as :func:`limit_bytes`.
    """
    most = limit_bytes()
    if not most:
        return None
    try:
        return ExportCache(folder=exports_folder(), most_bytes=most, ground=ground())
    except (OutputError, OSError):
        return None


def answer_all(
    cache: ExportCache, recipes: Sequence[Recipe], output_dir: Path, *, overwrite: bool, proofs: Proofs, listener: Listener
) -> ExportResult | None:
    """Put all artifacts of a request in place, if the cache has every one; ``None``: it has not, and nothing was written.

    :raises OutputError: a place is taken or cannot be written. :raises EdgekitError: as :meth:`Proofs.before` and :meth:`Proofs.around`.
    """
    try:
        paths = [artifact_path(recipe, output_dir) for recipe in recipes]
    except EdgekitError:  # refused by the export itself, with all that there is to say
        return None
    keys = [key for recipe, path in zip(recipes, paths, strict=True) if (key := cache.key(recipe, path.name)) and store.has(cache.folder, key)]
    if len(keys) < len(recipes):
        return None
    for path in paths:
        artifact.check_output(path, overwrite=overwrite)
    proofs.before(recipes, paths)
    with contextlib.ExitStack() as opened:
        found = []
        for recipe, key, path in zip(recipes, keys, paths, strict=True):
            start = time.perf_counter()
            staged = opened.enter_context(artifact.staging(path.parent)) / path.name
            if (taken := _taken(cache, recipe, key, staged, listener)) is None:
                return None
            found.append((staged, path, taken, time.perf_counter() - start))
        done = [_put(*row, overwrite=overwrite, proofs=proofs) for row in found]
    return ExportResult(model=recipes[0].model, trained=found[0][2].document["model"]["trained"], artifacts=tuple(done))


def answer(
    cache: ExportCache, key: str, recipe: Recipe, path: Path, *, overwrite: bool, proofs: Proofs, listener: Listener
) -> ExportedArtifact | None:
    """Put one artifact in place, if the cache has it; raises what :func:`answer_all` does."""
    if not store.has(cache.folder, key):
        return None
    start = time.perf_counter()
    with artifact.staging(path.parent) as folder:
        taken = _taken(cache, recipe, key, folder / path.name, listener)
        if taken is None:
            return None
        return _put(folder / path.name, path, taken, time.perf_counter() - start, overwrite=overwrite, proofs=proofs)


def _taken(cache: ExportCache, recipe: Recipe, key: str, staged: Path, listener: Listener) -> store.Taken | None:
    """Copy an entry and say so; ``None``, once it is said and cleared away, for one that is not what was kept."""
    with stage(listener, f"{target_facts(recipe.target).name}: cache") as step:
        try:
            taken = store.take(cache.folder, key, staged)
        except store.DamagedError as error:
            step.detail = f"{error.summary}: removed, and built again"
            with contextlib.suppress(OSError, OutputError):
                store.discard(cache.folder, [key])
            taken = None
        except OSError as error:
            step.detail = f"not readable ({error.strerror or error}): built again"
            taken = None
        else:
            step.detail = "built again" if taken is None else f"FROM THE CACHE, proved {taken.proved}"
    return taken


def _put(staged: Path, path: Path, taken: store.Taken, seconds: float, *, overwrite: bool, proofs: Proofs) -> ExportedArtifact:
    with proofs.around(staged, taken.document, taken.processor) as beside:
        artifact.publish(staged, taken.document, path, overwrite=overwrite, beside=beside)
    return restored(taken.document, path, seconds=seconds, proved=taken.proved)


def keep(cache: ExportCache, key: str, key_now: str | None, path: Path, listener: Listener) -> None:
    """Keep an artifact that is in place, if it was executed and passed, and nothing that decides its bytes was changed while it was made.

    What cannot be kept is said and is no error: the export is done.

    :param key: as it was when the export began. :param key_now: as it is now.
    """
    try:
        manifest = artifact.read_manifest(path)
        if key != key_now or manifest is None or manifest.document["parity"]["verdict"] != "pass":
            return
        taken = store.Taken(document=manifest.document, proved=store.moment(), processor=processor())
        store.keep(cache.folder, key, path, taken, cache.most_bytes)
    except ArtifactError:  # another export has put its own here in the meantime
        return
    except (OSError, OutputError) as error:
        with stage(listener, "cache") as step:
            step.detail = f"the export could not be kept: {error.why if isinstance(error, OutputError) else error.strerror}"
