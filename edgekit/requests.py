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
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"target {name} is asked for twice")
    recipes = []
    for name in names:
        own = {key: value for key, value in options.items() if _OWNERS.get(key, name) == name or _OWNERS[key] not in names}
        recipes.append(Recipe(model=model, target=name, **own))
    return tuple(recipes)
