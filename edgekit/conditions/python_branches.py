"""Python's ``if`` on what a tensor holds, decided from outside: every way through a forward is run to its end, once for each answer.

    forward                                      ways through
    l = a(image)
    if l.softmax(-1).max().item() > t: return l  true                     -> l
    m = b(l)
    if m.max() > u: return m                     false, true              -> m
    return c(m)                                  false, false             -> c(m)

Each way is captured by itself, with the truths that were asked for as outputs beside its own: :mod:`edgekit.conditions.assembled` puts them together.
A number that ``item()`` gives is a double when Python compares it; here the tensor of float32 is compared, with the nearest float32 on the side
that leaves every answer as it was. What else Python does with such a number is not known here, and the forward is left alone.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from attrs import define, field, frozen
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

_MOST_WAYS = 16
_MOST_DECISIONS = 24

Way = tuple[bool, ...]
"""The answers in the order in which they are asked for."""


class NotDecidedError(Exception):
    """Python does with a value what is not known here."""


@frozen
class _Down:
    """Compared by ``>`` and ``<=``: the largest float32 that is not above a double; by ``>=`` and ``<``: the smallest not below."""

    sign: str

    def of(self, number: float) -> float:
        nearest = np.float32(number)
        if math.isnan(number) or float(nearest) == number:
            return float(nearest)
        below = self.sign in (">", "<=")
        if below and float(nearest) > number:
            nearest = np.nextafter(nearest, np.float32(-np.inf))
        if not below and float(nearest) < number:
            nearest = np.nextafter(nearest, np.float32(np.inf))
        return float(nearest)


class Number:
    """What ``item()`` gives instead of a number: it can be compared, and is a truth."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, tensor: Tensor) -> None:
        if tensor.numel() != 1 or tensor.dtype not in (torch.float32, torch.int64, torch.int32, torch.bool):
            raise NotDecidedError(f"item() of {tensor.dtype}")
        self._tensor = tensor.reshape(())

    def __gt__(self, other: object) -> Tensor:
        return self._compared(torch.gt, ">", other)

    def __ge__(self, other: object) -> Tensor:
        return self._compared(torch.ge, ">=", other)

    def __lt__(self, other: object) -> Tensor:
        return self._compared(torch.lt, "<", other)

    def __le__(self, other: object) -> Tensor:
        return self._compared(torch.le, "<=", other)

    def __bool__(self) -> bool:
        return bool(self._tensor != 0)

    def _compared(self, compare: Callable[..., Tensor], sign: str, other: object) -> Tensor:
        if isinstance(other, Number):
            return compare(self._tensor, other._tensor)  # noqa: SLF001
        if isinstance(other, Tensor):
            return compare(self._tensor, other)
        if not isinstance(other, (int, float)):
            raise NotDecidedError(f"a comparison with {type(other).__name__}")
        if self._tensor.dtype is torch.float32:
            return compare(self._tensor, _Down(sign).of(float(other)))
        return compare(self._tensor, other)


@define
class _Answers(TorchFunctionMode):
    """Answers what Python asks tensors, in order: first as told, then no. Keeps what was asked."""

    told: Way
    given: list[bool] = field(factory=list)
    asked: list[Tensor] = field(factory=list)

    def __attrs_pre_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name == "__bool__":
            return self._answer(args[0])
        if name == "item":
            return Number(args[0])
        if name in ("__float__", "__int__", "__index__", "tolist", "numpy"):
            raise NotDecidedError(name)
        return func(*args, **(kwargs or {}))

    def _answer(self, asked: Tensor) -> bool:
        if asked.numel() != 1 or len(self.given) >= _MOST_DECISIONS:
            raise NotDecidedError("more is asked than a chain of exits asks")
        truth = asked if asked.dtype is torch.bool else asked != 0
        self.asked.append(truth.reshape(()))
        self.given.append(self.told[len(self.given)] if len(self.given) < len(self.told) else False)
        return self.given[-1]


class OneWay(nn.Module):
    """A model that answers as it is told; gives its outputs in a row, then what it was asked, ``()`` truths each."""

    def __init__(self, model: nn.Module, way: Way) -> None:
        super().__init__()
        self.model = model
        self.way = way

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Run it for one image ``(1, 3, R, R)``.

        :raises NotDecidedError: it asks something else, or more or less often than it was found to.
        """
        outputs, asked = self.answered(image)
        values = pytree.tree_leaves(outputs)
        if not all(isinstance(value, Tensor) for value in values):
            raise NotDecidedError("it returns what is no tensor")
        return (*values, *asked)

    def answered(self, image: Tensor) -> tuple[Any, list[Tensor]]:
        """Return what the model returns, as it returns it, and what it asked."""
        answers = _Answers(self.way)
        with answers:
            outputs = self.model(image)
        if tuple(answers.given) != self.way:
            raise NotDecidedError("it asks otherwise when it is captured")
        return outputs, answers.asked


def ways_through(model: nn.Module, image: Tensor) -> tuple[Way, ...] | None:
    """Return every way through a model; ``None``: it asks nothing, or what is not known here, or there are more than sixteen.

    :param image: ``(1, 3, R, R)``; what it shows decides nothing.
    """
    found: list[Way] = []
    waiting: list[Way] = [()]
    while waiting:
        answers = _Answers(waiting.pop())
        try:
            with torch.no_grad(), answers:
                model(image)
        except Exception:  # noqa: BLE001  the model's own code, on a way that this picture does not take
            return None
        way = tuple(answers.given)
        found.append(way)
        waiting += [(*way[:place], True) for place in range(len(answers.told), len(way))]
        if len(found) + len(waiting) > _MOST_WAYS:
            return None
    return tuple(sorted(found, reverse=True)) if found != [()] else None


def asked_alike(ways: Sequence[Way]) -> bool:
    """Whether the ways are the leaves of one tree, each of whose forks has both sides."""
    if len(ways) == 1:
        return ways[0] == ()
    if any(not way for way in ways):
        return False
    return all(any(way[0] is side for way in ways) and asked_alike([way[1:] for way in ways if way[0] is side]) for side in (True, False))
