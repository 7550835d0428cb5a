"""Turns one command, a model and several targets, into one recipe per target."""

from collections.abc import Sequence
from typing import Any

from edgekit.capabilities import target_facts
from edgekit.errors import UsageError
from edgekit.recipe import Recipe

# Options that only one target has: with several targets they go to that one.
_OWNERS = {"input": "coreml", "deployment_target": "coreml", "backend": "executorch"}


def recipes_for(model: str, targets: Sequence[str], **options: Any) -> tuple[Recipe, ...]:
    """Return one recipe per target.

    :raises UsageError: no target, a target twice, or an option none of them takes.
    """
    if isinstance(targets, str):
        raise UsageError(f"targets is the text {targets!r}", why="it is a list, also of one", hint=f"targets=[{targets!r}]")
    if not targets:
        raise UsageError("no target to export to", hint="--target coreml, tflite, executorch or onnx; several are allowed")
    names = [target_facts(name).name for name in targets]
    options |= _inputs(options.pop("input", None))
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"target {name} is asked for twice")
    recipes = []
    for name in names:
        own = {key: value for key, value in options.items() if _OWNERS.get(key, name) == name or _OWNERS[key] not in names}
        recipes.append(Recipe(model=model, target=name, **own))
    return tuple(recipes)


def _inputs(given: str | Sequence[str] | None) -> dict[str, str | None]:
    """Tell apart what ``input`` says: the kind of Core ML's, ``image`` or ``tensor``, and what a model is called with, ``name=shape:type``.

    :raises UsageError: two kinds.
    """
    parts = [given] if isinstance(given, str) else list(given or ())
    kinds = [part for part in parts if "=" not in part]
    if len(kinds) > 1:
        raise UsageError(f"input is {' and '.join(kinds)}", hint="--input image or --input tensor")
    named = ", ".join(part for part in parts if "=" in part)
    return {"input": kinds[0] if kinds else None, "inputs": named or None}
