"""What a model is called with where that is not one picture: tensors by name, and arguments that stay as they are.

    factory returns     model, (image, ids, 12)           positional arguments of forward, named as its parameters
                        model, {"image": ..., "ids": ...} keyword arguments
    --input             ids=1x6:int64:50                  name, shape, type (float32), and of whole numbers how many there are

Tensors are inputs of the artifact, everything else is a constant of it. Whole numbers and truth values are 32-bit integers in every
artifact: no format but ONNX takes others everywhere.
"""

import inspect
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from attrs import frozen
from torch import Tensor, nn

from edgekit.errors import ModelSourceError, UsageError
from edgekit.interface import IMAGE

Array = np.ndarray

_TYPES = ("float32", "int32", "int64", "bool")
_SPEC = re.compile(r"(?P<shape>\d+(?:x\d+)*)(?::(?P<dtype>[a-z]+\d*))?(?::(?P<count>[1-9]\d*))?")
_CONSTANTS = (bool, int, float, str, type(None))
_LARGEST = 2**28
"""Values of one input; a billion would not fit a phone either."""


@frozen(kw_only=True)
class TensorInput:
    """One input of an artifact: ``example`` is float32 or int32; ``picture``: it is what a verification sample shows."""

    name: str
    example: Array
    picture: bool = False

    def on(self, picture: Array, number: int) -> Array:
        """Return the value for the sample of a number: the example first, then its values at other places."""
        if self.picture:
            return picture
        if number == 0:
            return self.example
        draw = np.random.default_rng([number, zlib.crc32(self.name.encode())])
        return draw.choice(self.example.reshape(-1), self.example.shape)


class Called(nn.Module):
    """A model called with some of its arguments; the others stay as they were given.

    :param names: of the tensors, in the order in which :meth:`forward` takes them. :param dtypes: of the same, as the model wants them.
    :param positional: all positional arguments, tensors by their names. :param keywords: likewise.
    """

    def __init__(
        self, model: nn.Module, names: Sequence[str], dtypes: Sequence[torch.dtype], positional: Sequence[Any], keywords: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.model = model
        self.names, self.dtypes = tuple(names), tuple(dtypes)
        self.positional, self.keywords = tuple(positional), dict(keywords)

    def forward(self, *tensors: Tensor) -> Any:
        """Return what the model returns."""
        given = {
            name: value if value.dtype == dtype else value != 0 if dtype == torch.bool else value.to(dtype)
            for name, value, dtype in zip(self.names, tensors, self.dtypes, strict=True)
        }
        positional = [given[value.name] if isinstance(value, _Place) else value for value in self.positional]
        return self.model(*positional, **{key: given[value.name] if isinstance(value, _Place) else value for key, value in self.keywords.items()})


@frozen
class _Place:
    """Where a tensor goes among arguments."""

    name: str


def parse_inputs(text: str) -> dict[str, str]:
    """Return the specifications of ``ids=1x6:int64:50, mask=1x6`` by name.

    :raises UsageError: it is none.
    """
    found = {}
    for part in text.split(","):
        name, equals, spec = part.strip().partition("=")
        if not (equals and name.isidentifier() and _SPEC.fullmatch(spec)):
            raise UsageError(f"--input {part.strip()} is no input", what="name=shape:type", hint="--input ids=1x6:int64:50, numbers below 50")
        found[name] = spec
    return found


def with_inputs(name: str, model: nn.Module, inputs: Any, resolution: int) -> tuple[nn.Module, tuple[TensorInput, ...] | None]:
    """Return a model that takes its tensors one after the other, and these; the model itself and ``None`` where that is one picture.

    :param inputs: a sequence of positional arguments, or a mapping of keyword arguments: tensors, specifications, numbers.
    :raises ModelSourceError: forward does not take them, or an artifact cannot. :raises UsageError: the picture has another resolution.
    """
    positional, keywords = ((), dict(inputs)) if isinstance(inputs, Mapping) else (tuple(_sequence(name, inputs)), {})
    arguments = _named(name, model, positional, keywords)
    tensors = {key: tensor for key, value in arguments.items() if (tensor := _tensor(name, key, value)) is not None}
    if not tensors:
        raise ModelSourceError(f"the inputs of {name} hold no tensor", what=", ".join(arguments) or "there are none")
    picture = _picture(tensors)
    if picture is not None and tensors[picture].shape[-1] != resolution:
        size = tensors[picture].shape[-1]
        raise UsageError(f"{name} is given a picture of {size} pixels, and exported for {resolution}", hint=f"--resolution {size}")
    keys = list(arguments)
    if picture is not None and len(arguments) == 1 and (positional or _takes_first(model, picture)):
        return model, None
    places = [_Place(key) if key in tensors else value for key, value in zip(keys, positional, strict=False)]
    called = Called(
        model,
        list(tensors),
        [tensors[key].dtype for key in tensors],
        places,
        {key: _Place(key) if key in tensors else keywords[key] for key in keywords},
    )
    called_image = {picture: IMAGE} if len(tensors) == 1 else {}
    return called, tuple(
        TensorInput(name=called_image.get(key, key), example=_as_given(tensor), picture=key == picture) for key, tensor in tensors.items()
    )


def _sequence(name: str, inputs: Any) -> Sequence[Any]:
    if isinstance(inputs, Tensor):
        return (inputs,)
    if not isinstance(inputs, (list, tuple)):
        raise ModelSourceError(
            f"{name} returned a {type(inputs).__name__} beside its model", hint="return model, (image, ...) or model, {'image': image, ...}"
        )
    return inputs


def _named(name: str, model: nn.Module, positional: Sequence[Any], keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments by the names of forward's parameters, in order."""
    signature = inspect.signature(model.forward)
    try:
        signature.bind(*positional, **keywords)
    except TypeError as error:
        raise ModelSourceError(
            f"{name} does not take its inputs", what=str(error), why=f"forward{signature}", hint="give them in forward's order, or by its names"
        ) from error
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [parameter.name for parameter in signature.parameters.values() if parameter.kind in kinds]
    names += [f"input_{number}" for number in range(len(names), len(positional))]
    return dict(zip(names, positional, strict=False)) | dict(keywords)


def _tensor(name: str, key: str, value: Any) -> Tensor | None:
    """Return an argument as a tensor; ``None`` for what is a constant."""
    if isinstance(value, str) and (spec := _SPEC.fullmatch(value)):
        return _drawn(name, key, spec)
    if isinstance(value, Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        if dtype not in _TYPES:
            raise ModelSourceError(
                f"input {key} of {name} is {dtype}", why="formats take float32, whole numbers and truth values", hint="cast it inside"
            )
        return value.detach()
    if isinstance(value, _CONSTANTS):
        return None
    raise ModelSourceError(
        f"input {key} of {name} is a {type(value).__name__}", why="an artifact's inputs are tensors", hint="give each tensor an argument of its own"
    )


def _drawn(name: str, key: str, spec: re.Match[str]) -> Tensor:
    shape, dtype = tuple(map(int, spec["shape"].split("x"))), spec["dtype"] or "float32"
    if dtype not in _TYPES:
        raise UsageError(f"input {key} of {name} has no type {dtype}", what=f"types: {', '.join(_TYPES)}")
    if not 0 < int(np.prod(np.array(shape, dtype=object))) <= _LARGEST:
        raise UsageError(f"input {key} of {name} has the shape {shape}", what=f"1 to {_LARGEST} values")
    draw = np.random.default_rng(zlib.crc32(key.encode()))
    if dtype == "float32":
        return torch.from_numpy(draw.standard_normal(shape, dtype=np.float32))
    return torch.from_numpy(draw.integers(0, int(spec["count"] or 2), shape)).to(getattr(torch, dtype))


def _picture(tensors: Mapping[str, Tensor]) -> str | None:
    """Return which of the tensors is the picture: the only one, or the one that is called so."""
    for key, tensor in tensors.items():
        if (len(tensors) == 1 or key == IMAGE) and tensor.dtype == torch.float32 and tensor.ndim == 4:
            batch, channels, height, width = tensor.shape
            if (batch, channels) == (1, 3) and height == width:
                return key
    return None


def _takes_first(model: nn.Module, key: str) -> bool:
    first = next(iter(inspect.signature(model.forward).parameters.values()))
    return first.name == key and first.kind is not inspect.Parameter.KEYWORD_ONLY


def _as_given(tensor: Tensor) -> Array:
    """Return a tensor as artifacts take it."""
    return np.ascontiguousarray(tensor.cpu().numpy().astype(np.float32 if tensor.is_floating_point() else np.int32))
