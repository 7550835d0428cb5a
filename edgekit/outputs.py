"""Names for what a model returns."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from edgekit.errors import ModelSourceError

_HINT = "return a tensor, or tuples, dicts and dataclasses of tensors"


def named_outputs(value: Any) -> dict[str, Tensor]:
    """Name a model's outputs: one tensor is ``logits``, mappings, named tuples and dataclasses keep their names, a sequence is numbered.

    What is nested is flat here, its names joined by ``_``. Classes of dataclasses are made known to ``torch.export``, whose order this is.

    :raises ModelSourceError: something other than tensors, or two of one name.
    """
    if isinstance(value, Tensor):
        return {"logits": value}
    named: dict[str, Tensor] = {}
    for name, item in _flat("", value):
        if not isinstance(item, Tensor):
            raise ModelSourceError(
                f"the model returns a {type(item).__name__}{f' as {name}' if name else ''}", why="an artifact's outputs are tensors", hint=_HINT
            )
        if name in named:
            raise ModelSourceError(f"the model returns two outputs called {name}", hint="nested names are joined by _: call one otherwise")
        named[name] = item
    if not named:
        raise ModelSourceError(f"the model returns an empty {type(value).__name__}", hint=_HINT)
    return named


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield all that is nested in a value, with its name."""
    if (parts := _parts(value, "" if name else "output_")) is None:
        yield name, value
        return
    for key, item in parts.items():
        yield from _flat(f"{name}_{key}" if name else key, item)


def _parts(value: Any, numbered: str) -> dict[str, Any] | None:
    """Return what a value is made of, by name; ``None``: it is made of nothing."""
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if isinstance(value, tuple) and (fields := getattr(value, "_fields", None)) is not None:
        return dict(zip(fields, value, strict=True))
    if isinstance(value, (list, tuple)):
        return {f"{numbered}{index}": item for index, item in enumerate(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        _register(type(value))
        held = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {key: item for key, item in held.items() if item is not None}  # torch.export leaves those out, too
    return None


def _register(kind: type) -> None:
    """Tell ``torch.export`` how to take a dataclass apart, unless somebody did."""
    from torch.export import register_dataclass
    from torch.utils import _pytree as pytree

    if kind not in pytree.SUPPORTED_NODES:
        register_dataclass(kind)
