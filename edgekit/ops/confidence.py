"""How sure a classifier is of its answer: one number a sample, larger is surer, always computed in float32.

| name | value for K classes, p = softmax(logits) | range |
| --- | --- | --- |
| ``max_softmax`` | the largest p | 1/K to 1 |
| ``entropy`` | 1 - H(p) / log K, with H(p) = -sum p log p | 0 (all alike) to 1 (one class takes all) |
| ``margin`` | the largest p minus the second largest | 0 to 1 |

The values at the ends of a range are met to float32's rounding, except that ``max_softmax`` and ``margin`` never leave it.

Ties: classes that share the largest logit share its probability, so ``margin`` is exactly 0 there. A lead of about 17
and more rounds to a confidence of exactly 1.0, so many samples may tie at 1.0: a decision compares with ``>=``.

Not a number: a NaN or a +inf among the logits gives NaN, which is ``>=`` nothing: such a sample never leaves early. A
logit of -inf is a class that is ruled out; its probability is 0 and adds nothing to the entropy.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn

from edgekit.errors import UsageError

ConfidenceName = Literal["max_softmax", "entropy", "margin"]

# Below the logarithm of float32's smallest number, so it changes no term that has a probability; it makes 0 * -inf a 0.
_LOG_OF_NOTHING = -104.0


def max_softmax(logits: Tensor) -> Tensor:
    """Return the probability of the likeliest class: ``(..., K)`` to ``(...)`` float32.

    :raises UsageError: fewer than two classes.
    """
    return _probabilities(logits).amax(dim=-1)


def entropy(logits: Tensor) -> Tensor:
    """Return one minus the entropy relative to that of K equal classes: ``(..., K)`` to ``(...)`` float32.

    :raises UsageError: fewer than two classes.
    """
    probabilities = _probabilities(logits)
    logarithms = torch.log_softmax(logits.float(), dim=-1).clamp(min=_LOG_OF_NOTHING)
    return 1 + (probabilities * logarithms).sum(dim=-1) * (1 / math.log(logits.shape[-1]))


def margin(logits: Tensor) -> Tensor:
    """Return by how much the likeliest class leads the next: ``(..., K)`` to ``(...)`` float32.

    :raises UsageError: fewer than two classes.
    """
    first, second = _probabilities(logits).topk(2, dim=-1).values.unbind(dim=-1)
    return first - second


class Confidence(nn.Module):
    """A confidence as part of a graph: ``(..., K)`` logits to ``(...)`` float32, in artifacts of half precision, too."""

    full_precision = True

    def __init__(self, name: ConfidenceName) -> None:
        super().__init__()
        self.name = name

    def forward(self, logits: Tensor) -> Tensor:
        """Return the confidence of each sample.

        :raises UsageError: fewer than two classes.
        """
        return CONFIDENCES[self.name](logits)


CONFIDENCES: Mapping[ConfidenceName, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"max_softmax": max_softmax, "entropy": entropy, "margin": margin}
)


def _probabilities(logits: Tensor) -> Tensor:
    if logits.shape[-1] < 2:
        raise UsageError(
            f"logits of shape {tuple(logits.shape)} have no confidence",
            why="it compares classes, and the last axis holds fewer than two",
            hint="a single output has to become two classes, (0, x), first",
        )
    return torch.softmax(logits.float(), dim=-1)
