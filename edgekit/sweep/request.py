"""The sweep file: frozen, closed, loaded strictly.

name = "cifar10"
models = ["emov2-nano", "chase-nano"]
data = "cifar10"                     to calibrate on and judge with, where something is quantized
resolutions = [32]                   optional, as are forms (early exits), calibration_samples and accuracy_budget
minutes = 60                         a cell that takes longer has failed

[weights]                            files below the folder of the sweep file, or the one named by --root
emov2-nano = "weights/emov2-nano.safetensors"

[precisions]
tflite = ["fp32", "w8a8"]

[accuracy]                           optional: a labelled set, in the order of seed 0
data = "cifar10:test"
pictures = 10000                     optional: all of it
shard = 2500
[accuracy.limits]                    for slow targets: fewer pictures
coreml = 1000

[bench]                              optional
targets = ["tflite"]
samples = 40
"""

import difflib
import itertools
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import attrs
from attrs import field, frozen

from edgekit.capabilities import target_facts
from edgekit.errors import EdgekitError, RecipeError, UsageError
from edgekit.models.naming import is_factory
from edgekit.models.registry import model_entry
from edgekit.quantization.scheme import scheme_of
from edgekit.recipe import CALIBRATION_SAMPLES, Recipe, check_early_exit

_MOST_BYTES, _MOST_ARTIFACTS = 1 << 20, 100_000
_OPTIONAL = ("data", "resolutions", "forms", "calibration_samples", "accuracy_budget", "minutes", "weights", "accuracy", "bench")
_KEYS = ("name", "models", "precisions", *_OPTIONAL)
_UNANSWERED = ("select", "method=")
"""Forms whose only answer needs more than a picture."""


@frozen(kw_only=True)
class AccuracyRequest:
    """A labelled set to evaluate on; ``pictures``: the first of it, ``None``: all. ``limits``: fewer for a target."""

    data: str
    pictures: int | None = None
    shard: int = 2500
    limits: Mapping[str, int] = field(factory=dict)


@frozen(kw_only=True)
class BenchRequest:
    """Targets to time, with so many rounds each."""

    targets: tuple[str, ...]
    samples: int = 40


@frozen(kw_only=True)
class SweepRequest:
    """A whole sweep. ``recipes``: one an artifact, in the order of the file."""

    name: str
    recipes: tuple[Recipe, ...]
    accuracy: AccuracyRequest | None = None
    bench: BenchRequest | None = None
    minutes: int = 60

    @classmethod
    def load(cls, path: Path, root: Path | None = None) -> Self:
        """Read a sweep file.

        :param root: the folder that all files it names lie below; ``None``: its own.
        :raises RecipeError: not readable, not TOML, an unknown or missing key, a value of the wrong type or outside of what is offered.
        """
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise RecipeError(f"{path.name} is too large to be a sweep", what=f"{path.stat().st_size} bytes")
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise RecipeError(f"cannot read sweep {path}", why=str(error)) from error
        reader = _Reader(table, str(path))
        try:
            return cls(
                name=_name(reader.text("name"), path),
                recipes=_recipes(reader, root or path.parent),
                accuracy=_accuracy(reader),
                bench=_bench(reader),
                minutes=reader.count("minutes", 60),
            )
        except RecipeError:
            raise
        except EdgekitError as error:
            raise RecipeError(error.summary, what=error.what, where=str(path), why=error.why, hint=error.hint) from error

    def chosen(self, only: str | None, pictures: int | None) -> Self:
        """Return a part of it.

        :param only: parts of ``model/target/precision`` with commas between them; ``None``: all. :param pictures: the most to evaluate on.
        :raises UsageError: nothing is left.
        """
        parts = [part.strip() for part in (only or "").split(",")]
        recipes = [one for one in self.recipes if any(part in f"{one.model}/{one.target}/{one.precision}" for part in parts)]
        if not recipes or (pictures is not None and pictures < 1):
            raise UsageError(f"no artifact of {self.name} is called so", what=f"--only {only}, --pictures {pictures}")
        accuracy = self.accuracy
        if accuracy is not None and pictures is not None:
            accuracy = attrs.evolve(accuracy, pictures=pictures if accuracy.pictures is None else min(pictures, accuracy.pictures))
        return attrs.evolve(self, recipes=tuple(recipes), accuracy=accuracy)


class _Reader:
    """One table, asked for by name and type."""

    def __init__(self, table: Any, where: str, keys: tuple[str, ...] = _KEYS) -> None:
        self.where = where
        if not isinstance(table, dict):
            raise RecipeError("not a table", what=repr(table)[:80], where=where)
        for key in table:
            if key not in keys:
                near = difflib.get_close_matches(key, keys, n=1)
                raise RecipeError(f"unknown key {key!r}", where=where, hint=f"did you mean {near[0]!r}?" if near else f"keys: {', '.join(keys)}")
        self.table: dict[str, Any] = table

    def wrong(self, key: str, wanted: str) -> RecipeError:
        return RecipeError(f"{key} = {self.table.get(key)!r}"[:200], what=f"expected {wanted}", where=self.where)

    def text(self, key: str) -> str:
        value = self.table.get(key)
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise self.wrong(key, "a text that is not empty")
        return value

    def count(self, key: str, default: int | None) -> Any:
        value = self.table.get(key, default)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise self.wrong(key, "a whole number, 1 or more")
        return value

    def rows(self, key: str, kind: type, default: list[Any] | None = None) -> list[Any]:
        value = self.table.get(key, default)
        if not isinstance(value, list) or not value or not all(isinstance(one, kind) and not isinstance(one, bool) for one in value):
            raise self.wrong(key, f"a list of {'texts' if kind is str else 'whole numbers'} that is not empty")
        if len(set(value)) < len(value):
            raise self.wrong(key, "each once")
        return value

    def inner(self, key: str, keys: tuple[str, ...]) -> "_Reader | None":
        return None if key not in self.table else _Reader(self.table[key], f"{self.where}: {key}", keys)


def _name(name: str, path: Path) -> str:
    if Path(name).name != name or name.startswith("."):
        raise RecipeError(f"name = {name!r} cannot be a file's", where=str(path))
    return name


def _recipes(reader: _Reader, root: Path) -> tuple[Recipe, ...]:
    models: list[str] = reader.rows("models", str)
    for model in models:
        if is_factory(model):
            raise reader.wrong("models", f"registered names: what {model} gives only building it tells, so it cannot be known to be done")
        model_entry(model)
    weights = _weights(reader, models, root)
    of_quantized = _of_quantized(reader)
    written = list(_precisions(reader))
    found = []
    for model in models:
        for resolution, form, (target, precision) in itertools.product(
            reader.rows("resolutions", int, [model_entry(model).resolution]), _forms(reader, model), written
        ):
            model_entry(model).check_resolution(resolution)
            scheme = scheme_of(precision)
            for count in reader.rows("calibration_samples", int, [CALIBRATION_SAMPLES]) if scheme.calibrated else [None]:
                recipe = Recipe(
                    model=model,
                    target=target,
                    precision=precision,
                    resolution=resolution,
                    weights=weights.get(model),
                    early_exit=form,
                    num_calibration_samples=count,
                    **(of_quantized if scheme.quantized else {}),
                )
                _check_data(recipe)
                found.append(recipe)
                if len(found) > _MOST_ARTIFACTS:  # at once: a small file can ask for millions
                    raise RecipeError("too many artifacts", what=f"more than {_MOST_ARTIFACTS}", where=reader.where, hint="write several files")
    return tuple(found)


def _check_data(recipe: Recipe) -> None:
    """Refuse to choose ranges from nothing.

    :raises UsageError: the precision is calibrated, and there are no pictures.
    """
    if recipe.scheme.calibrated and recipe.data is None:
        raise UsageError(f"{recipe.precision} needs pictures to choose the ranges of integers from", hint='data = "cifar10"')


def _of_quantized(reader: _Reader) -> dict[str, Any]:
    budget = reader.table.get("accuracy_budget")
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int | float)):
        raise reader.wrong("accuracy_budget", "a number of points")
    return {"data": reader.text("data") if "data" in reader.table else None, "accuracy_budget": budget}


def _precisions(reader: _Reader) -> Iterator[tuple[str, str]]:
    table = reader.table.get("precisions")
    if not isinstance(table, dict) or not table:
        raise reader.wrong("precisions", 'a table such as tflite = ["fp32"]')
    rows = _Reader(table, f"{reader.where}: precisions", tuple(table))
    for target in table:
        if target_facts(target).name != target:
            raise RecipeError(f"target {target} is called {target_facts(target).name} here", where=rows.where)
        yield from ((target, precision) for precision in rows.rows(target, str))


def _forms(reader: _Reader, model: str) -> list[str | None]:
    """Return the forms that a model is wanted in; one without exits has none to choose."""
    forms = reader.rows("forms", str, ["methods"])
    for form in forms:
        check_early_exit(form)
        if form.startswith(_UNANSWERED):
            raise reader.wrong("forms", "methods, all, last or exit=K: others need more than a picture for an answer")
    return list(forms) if len(model_entry(model).methods) > 1 else [None]


def _weights(reader: _Reader, models: list[str], root: Path) -> dict[str, Path]:
    inner = reader.inner("weights", tuple(models))
    found = {}
    for model in () if inner is None else inner.table:
        folder, name = root.resolve(), inner.text(model)  # type: ignore[union-attr]
        try:
            file = (folder / name).resolve()
            is_there = file.is_file()
        except (OSError, RuntimeError) as error:  # too long, a loop of links
            raise RecipeError(f"weights of {model} cannot be the name of a file", what=name[:80], where=reader.where, why=str(error)[:80]) from error
        if not file.is_relative_to(folder):
            raise RecipeError(f"weights of {model} leave the sweep's folder", what=name, where=reader.where, hint="--root names another folder")
        if not is_there:
            raise RecipeError(f"there are no weights {name}", where=f"{reader.where}: {folder}")
        found[model] = file
    return found


def _accuracy(reader: _Reader) -> AccuracyRequest | None:
    inner = reader.inner("accuracy", ("data", "pictures", "shard", "limits"))
    if inner is None:
        return None
    limits = inner.inner("limits", tuple(reader.table["precisions"]))
    return AccuracyRequest(
        data=inner.text("data"),
        pictures=inner.count("pictures", None),
        shard=inner.count("shard", 2500),
        limits={} if limits is None else {target: limits.count(target, None) for target in limits.table},
    )


def _bench(reader: _Reader) -> BenchRequest | None:
    inner = reader.inner("bench", ("targets", "samples"))
    if inner is None:
        return None
    targets = inner.rows("targets", str)
    for target in targets:
        facts = target_facts(target)
        if facts.name not in reader.table["precisions"]:
            raise inner.wrong("targets", "targets that are exported")
        if facts.limit("time_on_this_host") is False:
            raise inner.wrong("targets", f"targets whose time on a host says something: that of {target} does not")
    return BenchRequest(targets=tuple(targets), samples=inner.count("samples", 40))
