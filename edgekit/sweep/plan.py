"""From a sweep file to cells, each with a key.

    weights, recipe, pictures to calibrate on, edgekit's code, packages ── export ──┬── evaluate, one a shard of the labelled set
                                                                                   └── bench
    weights, model, labelled set, code, packages ── eager, one a shard, shared by all artifacts of a model

A key is made of the keys before it, so it needs nothing to be run. Of packages names and versions count, not when they were installed or on which
processor they run: the same sweep is the same on a cluster's machines. What decides bytes beyond that, edgekit's export cache knows.
"""

import hashlib
import importlib.metadata
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from edgekit.data.catalogue import DATA_SETS
from edgekit.data.open import open_data
from edgekit.errors import BadInputError
from edgekit.export_cache.key import digest_of_values, key_of, own_digest
from edgekit.models.naming import artifact_path
from edgekit.recipe import Recipe, portable_data
from edgekit.sweep.cell import Cell
from edgekit.sweep.predict import Guesses
from edgekit.sweep.request import AccuracyRequest, SweepRequest

_KINDS = "edgekit.sweep.kinds"
_EXPORT_GB = 3.0


@frozen(kw_only=True)
class Plan:
    """All cells by key, in an order in which each comes after what it needs; and what the table's rows are made of. ``code``: edgekit's digest."""

    cells: Mapping[str, Cell]
    rows: tuple[Mapping[str, Any], ...]
    code: str
    document: Mapping[str, Any]


def versions() -> dict[str, str]:
    """Return what has to be the same on every machine of a sweep: Python, the system, edgekit's code, all packages."""
    found = {f"package {row.metadata['Name']}": row.version for row in importlib.metadata.distributions() if row.metadata["Name"] != "edgekit"}
    return {
        "edgekit": own_digest(),
        "python": platform.python_version(),
        "system": f"{sys.platform} {platform.machine()}",
        **dict(sorted(found.items())),
    }


def make_plan(request: SweepRequest, guesses: Guesses) -> Plan:
    """Return the cells of a sweep.

    :raises BadInputError: a set of pictures is not there, or too small. :raises OSError: a file that it names cannot be read.
    """
    ground = versions()
    data = _Data()
    cells: dict[str, Cell] = {}
    rows = []
    for recipe in request.recipes:
        export = _export(recipe, ground, data, request.minutes, guesses)
        cells[export.key] = export
        row: dict[str, Any] = {**export.about, "export": export.key, "evaluate": [], "eager": [], "bench": None, "pictures": 0, "eager_pictures": 0}
        if request.accuracy is not None:
            shards = _shards(recipe, export, request.accuracy, ground, data, request.minutes, guesses)
            for name, found in shards.items():
                cells |= {cell.key: cell for cell in found}
                row[name] = [cell.key for cell in found]
            row["pictures"], row["eager_pictures"] = (sum(cell.parameters["count"] for cell in shards[name]) for name in ("evaluate", "eager"))
        if request.bench is not None and recipe.target in request.bench.targets:
            bench = _after(export, "bench", {"samples": request.bench.samples}, ground, request.minutes, guesses, alone=True)
            cells[bench.key], row["bench"] = bench, bench.key
        rows.append(row)
    document = {"rows": rows, "data": None if request.accuracy is None else portable_data(request.accuracy.data)}
    return Plan(cells=cells, rows=tuple(rows), code=ground["edgekit"], document=document)


def _export(recipe: Recipe, ground: Mapping[str, str], data: "_Data", minutes: float, guesses: Guesses) -> Cell:
    name = artifact_path(recipe, Path()).name
    key = key_of(recipe, name, ground, None if recipe.data is None else data.digest(recipe.data))
    about = {
        "kind": "export",
        "model": recipe.model,
        "target": recipe.target,
        "precision": recipe.precision,
        "resolution": recipe.resolution,
        "form": recipe.early_exit,
        "calibration_samples": recipe.num_calibration_samples,
    }
    parameters = {key: value for key, value in attrs.asdict(recipe).items() if value is not None and key != "weights"}
    files = {} if recipe.weights is None else {"weights": recipe.weights}
    return Cell(
        key=key,
        kind="export",
        function=f"{_KINDS}:export_cell",
        about=about,
        parameters=parameters,
        files=files,
        minutes=minutes,
        memory_gb=_EXPORT_GB,
        guess_s=guesses.seconds(about),
    )


def _shards(
    recipe: Recipe, export: Cell, wanted: AccuracyRequest, ground: Mapping[str, str], data: "_Data", minutes: float, guesses: Guesses
) -> dict[str, list[Cell]]:
    """Return the cells that evaluate an artifact, and those that ask eager on at least the same pictures."""
    available = data.count(wanted.data)
    whole = available if wanted.pictures is None else wanted.pictures
    if whole > available:
        raise BadInputError(f"{wanted.data} holds {available} pictures", what=f"{whole} are asked for")
    limit = min(whole, wanted.limits.get(recipe.target, whole))
    evaluate = [
        _after(export, "evaluate", {"data": wanted.data, "start": start, "count": count}, [ground, data.digest(wanted.data)], minutes, guesses)
        for start, count in _cut(limit, wanted.shard)
    ]
    eager = []
    for start, count in _cut(whole, wanted.shard):
        parameters = {"model": recipe.model, "resolution": recipe.resolution, "data": wanted.data, "start": start, "count": count}
        weights = None if recipe.weights is None else data.file(recipe.weights)
        about = {"kind": "eager", "model": recipe.model, "resolution": recipe.resolution, "start": start, "pictures": count}
        eager.append(
            Cell(
                key=digest_of_values(["eager", parameters, dict(ground), data.digest(wanted.data), weights]),
                kind="eager",
                function=f"{_KINDS}:eager_cell",
                about=about,
                parameters=parameters,
                files={} if recipe.weights is None else {"weights": recipe.weights},
                minutes=minutes,
                guess_s=guesses.seconds(about),
            )
        )
    return {"evaluate": evaluate, "eager": eager}


def _after(export: Cell, kind: str, parameters: Mapping[str, Any], ground: Any, minutes: float, guesses: Guesses, *, alone: bool = False) -> Cell:
    """Return a cell that is given an export's artifact."""
    more = {"start": parameters["start"], "pictures": parameters["count"]} if "count" in parameters else {}
    about = {**export.about, "kind": kind, **more}
    return Cell(
        key=digest_of_values([kind, export.key, dict(parameters), ground]),
        kind=kind,
        function=f"{_KINDS}:{kind}_cell",
        about=about,
        parameters=parameters,
        artifact_of=export.key,
        needs=(export.key,),
        alone=alone,
        minutes=minutes,
        guess_s=guesses.seconds(about),
    )


def _cut(whole: int, shard: int) -> list[tuple[int, int]]:
    return [(start, min(shard, whole - start)) for start in range(0, whole, shard)]


class _Data:
    """What is known of files and sets of pictures, each read once."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def digest(self, name: str) -> str:
        """Return what a set holds: of the catalogue's its package, of one's own every picture."""
        row = next((row for row in DATA_SETS if row.name == name.partition(":")[0]), None)
        if row is not None:
            return f"{name} {row.package.sha256}"
        if ("set", name) not in self._known:
            pictures, total = open_data(name), hashlib.sha256()
            for index in range(len(pictures)):
                content = hashlib.sha256(pictures.content(index)).hexdigest()
                total.update(f"{pictures.name(index)}\0{pictures.label(index)}\0{content}\n".encode("utf-8", "surrogateescape"))
            self._known["set", name] = total.hexdigest()
        return str(self._known["set", name])

    def count(self, name: str) -> int:
        """Return how many pictures a set holds."""
        if ("count", name) not in self._known:
            self._known["count", name] = len(open_data(name))
        return int(self._known["count", name])

    def file(self, path: Path) -> str:
        """Return a file's sha256."""
        if path not in self._known:
            with path.open("rb") as stream:
                self._known[path] = hashlib.file_digest(stream, "sha256").hexdigest()
        return str(self._known[path])
