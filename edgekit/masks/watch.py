"""Modes that see every boolean index of a model's forward, while it runs or is captured.

Noticing     leaves it to PyTorch, and notes that there was one
Observing    runs it by places, and notes how many there were: for running a model
Assuming     runs it by places, as many as were observed: for capturing it, with static shapes
"""

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from edgekit.masks import indexing
from edgekit.masks.assumed import assumed_places
from edgekit.masks.indexing import Places
from edgekit.user_code import running_line

_Spelling = Callable[..., Any]


class _Watching(TorchFunctionMode, ABC):
    """Hands the functions that find places where a mask is true to :meth:`spelled`, where they are given one.

    ``spells``: a write at places is spelled otherwise, too, which is no reason by itself to look at a model.
    """

    spells = True

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Called by PyTorch instead of each of its functions."""
        del types
        kwargs = kwargs or {}
        spelling = _spelling(func, args, kwargs)
        if spelling is None and self.spells and func is Tensor.__setitem__ and indexing.has_places(args[1]):
            return indexing.put_at(*args)
        return func(*args, **kwargs) if spelling is None else self.spelled(spelling, func, args, kwargs)

    @abstractmethod
    def spelled(self, spelling: _Spelling, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do what ``func`` does; ``spelling`` does it with places."""


class _Placing(_Watching):
    """Spells with :meth:`places`."""

    def spelled(self, spelling: _Spelling, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do it with places."""
        del func
        return spelling(self.places, *args, **kwargs)

    @abstractmethod
    def places(self, mask: Tensor) -> Tensor:
        """Return the places where a mask ``(n,)`` is true."""


class Noticing(_Watching):
    """``noticed``: some boolean index was met."""

    spells = False

    def __init__(self) -> None:
        super().__init__()
        self.noticed = False

    def spelled(self, spelling: _Spelling, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Note it and let PyTorch do it."""
        del spelling
        self.noticed = True
        return func(*args, **kwargs)


class Observing(_Placing):
    """``counts``: how many places each mask kept, in the order in which the forward asks."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[int] = []

    def places(self, mask: Tensor) -> Tensor:
        """Count them."""
        found = mask.nonzero().reshape(-1)
        self.counts.append(found.numel())
        return found


class Assuming(_Placing):
    """Takes each count from an observation; ``lines``: the user's line of each that was taken, ``None`` where there is none."""

    def __init__(self, counts: Sequence[int]) -> None:
        super().__init__()
        self.counts = counts
        self.lines: list[str | None] = []
        self._outer = len(traceback.extract_stack())

    def places(self, mask: Tensor) -> Tensor:
        """Return as many as were observed; none beyond the observation, which the caller finds by the number of lines."""
        site = len(self.lines)
        self.lines.append(running_line(self._outer))
        return assumed_places(mask, self.counts[site] if site < len(self.counts) else 0, site)


def _take(places: Places, x: Tensor, index: Any) -> Tensor:
    return indexing.take(x, index, places)


def _put(places: Places, x: Tensor, index: Any, value: Any) -> None:
    indexing.put(x, index, value, places)


def _index_put(places: Places, input: Tensor, indices: Sequence[Any], values: Tensor) -> Tensor:
    result = input.clone()
    indexing.put(result, tuple(indices), values, places)
    return result


def _index_put_in_place(places: Places, input: Tensor, indices: Sequence[Any], values: Tensor) -> Tensor:
    indexing.put(input, tuple(indices), values, places)
    return input


def _masked_select(places: Places, input: Tensor, mask: Tensor) -> Tensor:
    return indexing.masked_select(input, mask, places)


def _masked_scatter(places: Places, input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    return indexing.masked_scatter(input, mask, source, places)


def _masked_scatter_in_place(places: Places, input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    return input.copy_(indexing.masked_scatter(input, mask, source, places))


def _nonzero(places: Places, input: Tensor, *, as_tuple: bool = False) -> Tensor | tuple[Tensor, ...]:
    found = indexing.coordinates(input, places)
    if as_tuple:
        return found
    return found[0].unsqueeze(1) if len(found) == 1 else torch.stack(found, 1)  # rewrites see through another shape


def _where(places: Places, condition: Tensor) -> tuple[Tensor, ...]:
    return indexing.coordinates(condition, places)


_BY_INDEX: dict[Callable[..., Any], _Spelling] = {Tensor.__getitem__: _take, Tensor.__setitem__: _put}
_BY_INDICES: dict[Callable[..., Any], _Spelling] = {
    torch.index_put: _index_put,
    Tensor.index_put: _index_put,
    torch.index_put_: _index_put_in_place,
    Tensor.index_put_: _index_put_in_place,
}
_ALWAYS: dict[Callable[..., Any], _Spelling] = {
    torch.masked_select: _masked_select,
    Tensor.masked_select: _masked_select,
    torch.masked_scatter: _masked_scatter,
    Tensor.masked_scatter: _masked_scatter,
    Tensor.masked_scatter_: _masked_scatter_in_place,
    torch.nonzero: _nonzero,
    Tensor.nonzero: _nonzero,
    torch.argwhere: _nonzero,
    Tensor.argwhere: _nonzero,
}


def _spelling(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Spelling | None:
    """Return how to do a call with places; ``None`` for all that needs none: other functions, and indices without a mask."""
    if not args:
        return None
    if func in _ALWAYS:
        return None if "out" in kwargs or args[0].ndim == 0 else _ALWAYS[func]
    if func is torch.where:
        return _where if len(args) == 1 and not kwargs and args[0].ndim > 0 else None
    if func in _BY_INDEX:
        return _BY_INDEX[func] if indexing.has_mask(args[1]) else None
    if func in _BY_INDICES:
        plain = len(args) == 3 and not kwargs  # not adding up at places that occur twice
        return _BY_INDICES[func] if plain and indexing.has_mask(tuple(args[1])) else None
    return None
