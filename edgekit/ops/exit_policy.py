"""When to stop: policies that decide, exit by exit, from the logits seen so far.

A policy is asked at every exit but the last, where every sample that came so far stops. Its answer for a sample depends on
that sample alone, never on the others of the batch. A sample without a confidence (NaN) goes on.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from attrs import Attribute, field, frozen
from torch import Tensor

from edgekit.errors import BadInputError, UsageError
from edgekit.ops.confidence import CONFIDENCES, ConfidenceName


class ExitPolicy(Protocol):
    """What a policy is."""

    def check(self, exits: int) -> None:
        """Refuse a network with this many exits if the policy was made for another number.

        :raises BadInputError: it was.
        """
        ...

    def leaves(self, history: Sequence[Tensor]) -> Tensor:
        """Return which samples stop at exit ``len(history)``, ``(B,)`` bool; history holds the logits, each ``(B, classes)``."""
        ...


def _float32(values: Iterable[float]) -> tuple[float, ...]:
    # Confidences are float32: compared with a threshold of more digits, runtimes would differ in how they round it.
    return tuple(torch.tensor([float(value) for value in values], dtype=torch.float32).tolist())


def _no_nan(_: object, __: "Attribute[tuple[float, ...]]", values: tuple[float, ...]) -> None:
    for k, value in enumerate(values, start=1):
        if math.isnan(value):
            raise BadInputError(f"the threshold of exit {k} is not a number", hint="inf: nobody leaves there; -inf: everybody does")


@frozen(kw_only=True)
class ThresholdPolicy:
    """Stop where the confidence reaches the exit's threshold: ``confidence(logits_k) >= thresholds[k - 1]``.

    :param thresholds: one for every exit but the last, rounded to float32. ``inf``: nobody leaves there.
    :param confidence: a name in ``CONFIDENCES``.
    :param temperatures: what the logits of each exit but the last are divided by first (calibration, arXiv 1706.04599);
        empty: nothing.
    :raises BadInputError: a threshold is NaN; a temperature is not positive and finite; not as many temperatures as thresholds.
    :raises UsageError: no such confidence.
    """

    thresholds: tuple[float, ...] = field(converter=_float32, validator=_no_nan)
    confidence: ConfidenceName = field(default="max_softmax")
    temperatures: tuple[float, ...] = field(default=(), converter=_float32)

    def __attrs_post_init__(self) -> None:
        if self.confidence not in CONFIDENCES:
            raise UsageError(f"unknown confidence {self.confidence!r}", what=f"confidences: {', '.join(CONFIDENCES)}")
        if self.temperatures and len(self.temperatures) != len(self.thresholds):
            raise BadInputError(f"{len(self.temperatures)} temperatures for {len(self.thresholds)} thresholds", hint="one of each an exit, or none")
        for k, value in enumerate(self.temperatures, start=1):
            if not 0 < value < math.inf:
                raise BadInputError(f"the temperature of exit {k} is {value}", why="logits are divided by it", hint="1.0 changes nothing")

    def check(self, exits: int) -> None:
        """Refuse a network whose exits are not one more than the thresholds.

        :raises BadInputError: they are not.
        """
        if len(self.thresholds) != exits - 1:
            raise BadInputError(
                f"the policy does not fit a network with {exits} exits",
                what=f"{len(self.thresholds)} thresholds",
                why=f"it needs {exits - 1}: one for every exit but the last, which takes the rest",
            )

    def leaves(self, history: Sequence[Tensor]) -> Tensor:
        """Return which samples are sure enough at exit ``len(history)``, ``(B,)`` bool."""
        return self.is_sure(len(history), history[-1])

    def is_sure(self, k: int, logits: Tensor) -> Tensor:
        """Return whether ``(B, classes)`` logits of exit ``k`` (from 1) reach its threshold, ``(B,)`` bool."""
        if self.temperatures:
            logits = logits.float() / self.temperatures[k - 1]
        return CONFIDENCES[self.confidence](logits) >= self.thresholds[k - 1]


@frozen(kw_only=True)
class LeaveAt:
    """Stop at one exit, whatever the logits: the anytime answer if time ends there.

    :param exit: from 1.
    :raises BadInputError: below 1.
    """

    exit: int

    def __attrs_post_init__(self) -> None:
        if self.exit < 1:
            raise BadInputError(f"there is no exit {self.exit}", hint="exits are counted from 1")

    def check(self, exits: int) -> None:
        """Refuse a network that has no such exit.

        :raises BadInputError: it has fewer.
        """
        if self.exit > exits:
            raise BadInputError(f"there is no exit {self.exit}", what=f"the network has {exits}")

    def leaves(self, history: Sequence[Tensor]) -> Tensor:
        """Return the same for every sample, ``(B,)`` bool."""
        logits = history[-1]
        return torch.full((logits.shape[0],), len(history) >= self.exit, dtype=torch.bool, device=logits.device)


@frozen(kw_only=True)
class PatiencePolicy:
    """Stop where so many exits in a row named the same class (PABEE, arXiv 2006.04152).

    Of classes that share the largest logit the first counts. Logits with a NaN name no class and break the row.

    :param patience: how many exits have to agree, at least 2.
    :raises BadInputError: below 2.
    """

    patience: int

    def __attrs_post_init__(self) -> None:
        if self.patience < 2:
            raise BadInputError(f"a patience of {self.patience} is none", why="it takes two exits to agree", hint="2 or more")

    def check(self, exits: int) -> None:
        """Accept any network: with fewer exits than patience every sample reaches the last."""

    def leaves(self, history: Sequence[Tensor]) -> Tensor:
        """Return for which samples the last ``patience`` exits agree, ``(B,)`` bool."""
        latest = history[-1]
        if len(history) < self.patience:
            return torch.zeros(latest.shape[0], dtype=torch.bool, device=latest.device)
        row = torch.stack(tuple(history[-self.patience :]))  # (patience, B, classes)
        named = row.argmax(dim=-1)
        return (named == named[-1]).all(dim=0) & ~row.isnan().any(dim=-1).any(dim=0)
