"""What a model is called, and the files made of it; known from its name alone, without torch."""

import re
from pathlib import Path

from edgekit.capabilities import target_facts
from edgekit.models.registry import model_entry
from edgekit.recipe import EARLY_EXIT_FORMS, Recipe

_DEFAULT_RESOLUTION = 224


def is_factory(name: str) -> bool:
    """Whether a model name is ``module:factory`` or ``path.py:factory`` rather than a registered name."""
    return ":" in name


def slug_of(name: str) -> str:
    """Return the part of file names that stands for a model: ``nets/my_net.py:build`` -> ``my_net-build``."""
    if not is_factory(name):
        return name
    place, _, factory = name.rpartition(":")
    stem = Path(place).stem if place.endswith(".py") else place.rpartition(".")[2]
    return re.sub(r"[^A-Za-z0-9_.-]", "_", f"{stem}-{factory}")


def default_resolution(name: str) -> int:
    """Return the resolution a model is built for when none is asked for.

    :raises UnknownNameError: not registered and not a factory.
    """
    return _DEFAULT_RESOLUTION if is_factory(name) else model_entry(name).resolution


def check_resolution(name: str, resolution: int | None) -> None:
    """Refuse a resolution that a registered model cannot run at; what a user's factory takes, it says when it is run.

    :raises UnknownNameError: not registered and not a factory.
    :raises UsageError: it cannot run there.
    """
    if resolution is not None and not is_factory(name):
        model_entry(name).check_resolution(resolution)


def artifact_path(recipe: Recipe, output_dir: Path) -> Path:
    """Return where a recipe's artifact goes: ``<model>_<resolution>_<precision>[_<backend>][_<form>].<ending>``.

    :raises UnknownNameError: the model is not registered and not a factory.
    """
    facts = target_facts(recipe.target)
    resolution = recipe.resolution or default_resolution(recipe.model)
    backend = f"_{recipe.backend}" if recipe.backend not in (None, "xnnpack") else ""
    form = f"_{recipe.early_exit.replace('=', '')}" if recipe.early_exit not in (None, EARLY_EXIT_FORMS[0]) else ""
    return output_dir / f"{slug_of(recipe.model)}_{resolution}_{recipe.precision}{backend}{form}{facts.suffix}"
