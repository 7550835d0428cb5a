"""Reads recipe files: one request, or one model for several targets and precisions.

    model = "emov2-1m"                    model = "emov2-1m"
    target = "coreml"                     weights = "emov2-1m.safetensors"
    precision = "fp16"
                                          [precisions]
                                          coreml = ["fp16", "fp32"]
                                          tflite = ["fp32"]

On the right, options go to the rows that have them: ``input`` and ``deployment_target`` to Core ML, ``backend`` to ExecuTorch, ``data`` and
what else is about quantizing to the precisions that quantize.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from edgekit.capabilities import target_facts
from edgekit.errors import RecipeError, UnknownNameError, UsageError
from edgekit.quantization.scheme import SCHEMES
from edgekit.recipe import Recipe

_TABLE = "precisions"
_MOST_BYTES = 1 << 20
_OWNERS = {"input": "coreml", "deployment_target": "coreml", "backend": "executorch"}
_OF_QUANTIZED = ("data", "accuracy_budget", "sqnr")
_OF_CALIBRATED = ("num_calibration_samples", "plan")
_DEFAULT = "data"
"""What a recipe only suggests: pictures of one's own are better."""


def load_recipes(
    path: Path, *, targets: Sequence[str] = (), precision: str | None = None, files: Mapping[str, Any] | None = None
) -> tuple[Recipe, ...]:
    """Read a recipe file; of one with a table of precisions, only these targets and this precision where any are named.

    :param files: what lies elsewhere on every machine, and so need not be in the recipe: ``weights``, ``labels``, ``data``, ``plan``.
    :raises RecipeError: not readable, not TOML, an unknown or missing key, a value of the wrong type. :raises UsageError: a target or a precision
        is named that the file does not have, the file holds one request only, or it names such a file, too.
    """
    table = _read(path)
    given = {key: value for key, value in (files or {}).items() if value is not None}
    if twice := sorted(key for key in given if key in table and key != _DEFAULT):
        raise UsageError(f"the recipe names its {twice[0]}", what=str(table[twice[0]])[:200], hint=f"leave out --{twice[0]}")
    recipes = _recipes(table, path, targets, precision)
    return tuple(attrs.evolve(recipe, **_own(given, recipe.target, recipe.precision)) for recipe in recipes)


def _recipes(table: dict[str, Any], path: Path, targets: Sequence[str], precision: str | None) -> tuple[Recipe, ...]:
    if _TABLE not in table:
        if targets or precision is not None:
            also = [name for name, value in (("target", targets), ("precision", precision)) if value]
            raise UsageError(
                "a recipe of one artifact holds the whole request",
                what=f"also given: {', '.join(also)}",
                hint=f"leave out --target and --precision, or give it [{_TABLE}]",
            )
        return (Recipe.from_table(table, source=path),)
    for key in ("target", "precision"):
        if key in table:
            raise RecipeError(f"{key!r} beside [{_TABLE}]", why="the table says which targets and precisions", where=str(path))
    rows = list(_rows(table.pop(_TABLE), path))
    chosen = _chosen(rows, targets, precision)
    return tuple(Recipe.from_table(_own(table, name, each) | {"target": name, "precision": each}, source=path) for name, each in chosen)


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise RecipeError(f"{path.name} is too large to be a recipe", what=f"{path.stat().st_size} bytes")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError(f"cannot read recipe {path}", why=str(error)) from error


def _rows(value: Any, path: Path) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict) or not value:
        raise RecipeError(f"{_TABLE} is not a table of targets", where=str(path), hint='coreml = ["fp16"]')
    for name, precisions in value.items():
        try:
            facts = target_facts(name)
        except UnknownNameError as error:
            raise RecipeError(error.summary, what=error.what, where=str(path), hint=error.hint) from error
        if facts.name != name:
            raise RecipeError(f"target {name} is called {facts.name} here", where=str(path))
        if not isinstance(precisions, list) or not precisions or not all(isinstance(each, str) for each in precisions):
            raise RecipeError(f"{_TABLE}: {name} is not a list of precisions", where=str(path), hint=f'{name} = ["{facts.precisions[0]}"]')
        if len(set(precisions)) < len(precisions):
            raise RecipeError(f"{_TABLE}: {name} has a precision twice", where=str(path))
        yield from ((name, each) for each in precisions)


def _chosen(rows: list[tuple[str, str]], targets: Sequence[str], precision: str | None) -> list[tuple[str, str]]:
    wanted = {target_facts(name).name for name in targets}
    if absent := sorted(wanted - {name for name, _ in rows}):
        raise UsageError(f"the recipe has no target {absent[0]}", what=f"it has {', '.join(dict.fromkeys(name for name, _ in rows))}")
    chosen = [row for row in rows if (not wanted or row[0] in wanted) and precision in (None, row[1])]
    if not chosen:
        known = ", ".join(dict.fromkeys(each for name, each in rows if not wanted or name in wanted))
        raise UsageError(f"the recipe has no precision {precision}", what=f"it has {known}")
    return chosen


def _own(table: Mapping[str, Any], target: str, precision: str) -> dict[str, Any]:
    """Return the options that concern one target and precision."""
    scheme = SCHEMES.get(precision)  # an unknown one is refused where the recipe is made
    foreign = {key for key, owner in _OWNERS.items() if owner != target}
    if scheme is not None and not scheme.quantized:
        foreign |= set(_OF_QUANTIZED)
    if scheme is not None and not scheme.calibrated:
        foreign |= set(_OF_CALIBRATED)
    return {key: value for key, value in table.items() if key not in foreign}
