"""Names for what a model returns."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from edgekit.errors import ModelSourceError


def named_outputs(value: Any) -> dict[str, Tensor]:
    """Name a model's outputs: one tensor is ``logits``, a mapping keeps its keys, a sequence is numbered.

    :raises ModelSourceError: something other than tensors.
    """
    if isinstance(value, Tensor):
        return {"logits": value}
    if isinstance(value, Mapping):
        named = {str(key): item for key, item in value.items()}
    elif isinstance(value, (list, tuple)):
        named = {f"output_{index}": item for index, item in enumerate(value)}
    else:
        named = {"": value}
    if not named:
        raise ModelSourceError(f"the model returns an empty {type(value).__name__}", hint="return a tensor, a tuple of tensors or a dict of tensors")
    for name, item in named.items():
        if not isinstance(item, Tensor):
            raise ModelSourceError(
                f"the model returns a {type(item).__name__}{f' as {name}' if name else ''}",
                why="an artifact's outputs are tensors",
                hint="return a tensor, a tuple of tensors or a dict of tensors",
            )
    return named
