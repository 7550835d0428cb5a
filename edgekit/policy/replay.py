"""What a policy does to data: where each sample leaves, and what that means for accuracy and cost."""

from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgekit.policy.costs import METRICS, Costs
from edgekit.policy.scores import Scores

Exits = NDArray[np.int32]
"""Where each sample leaves, ``(N,)``, counted from 0."""


def leave_by_thresholds(micro: NDArray[np.int32], thresholds: Sequence[int | None]) -> Exits:
    """Return the first exit where ``micro >= threshold``, for ``(K, N)`` micro-units and K-1 thresholds; else the last."""
    exits = np.full(micro.shape[1], len(thresholds), dtype=np.int32)
    for k in reversed(range(len(thresholds))):
        threshold = thresholds[k]
        if threshold is not None:
            exits[micro[k] >= threshold] = k  # a threshold is 0 or more, and -1 is no confidence
    return exits


def leave_by_patience(named: NDArray[np.int32], patience: int) -> Exits:
    """Return the first exit that ends a row of ``patience`` exits naming one class, for ``(K, N)`` classes; else the last."""
    last = len(named) - 1
    exits = np.full(named.shape[1], last, dtype=np.int32)
    row = (named[0] >= 0).astype(np.int32)
    for k in range(1, last):
        row = np.where(named[k] == named[k - 1], row + 1, 1) * (named[k] >= 0)
        exits[(row >= patience) & (exits == last)] = k
    return exits


def leave_at(samples: int, exit: int) -> Exits:
    """Return one exit, counted from 1, for all samples."""
    return np.full(samples, exit - 1, dtype=np.int32)


@frozen(kw_only=True)
class Outcome:
    """A policy on N samples.

    :param counts: how many leave at each exit.
    :param accuracy: share of right answers; ``None`` without labels.
    :param exit_accuracy: of each exit, if all samples left there.
    :param leaver_accuracy: of each exit, on the samples that leave there; ``None`` where none does.
    :param macs: mean multiply-adds a sample; ``None``: costs unknown. Likewise ``ms`` and ``bytes``.
    """

    counts: tuple[int, ...]
    accuracy: float | None
    exit_accuracy: tuple[float, ...] | None
    leaver_accuracy: tuple[float | None, ...] | None
    macs: float | None
    ms: float | None
    bytes: float | None

    @property
    def samples(self) -> int:
        """Number of samples, N."""
        return sum(self.counts)

    @property
    def shares(self) -> tuple[float, ...]:
        """What part of the samples leaves at each exit."""
        return tuple(count / self.samples for count in self.counts)


def counts_of(exits: Exits, number: int) -> tuple[int, ...]:
    """Return how many samples leave at each of ``number`` exits."""
    return tuple(int(count) for count in np.bincount(exits, minlength=number))


def total_cost(counts: Sequence[int], costs: Sequence[float]) -> float:
    """Return the cost of all samples together; a sum of integers is exact."""
    return sum(count * cost for count, cost in zip(counts, costs, strict=True))


def outcome(scores: Scores, exits: Exits, costs: Costs) -> Outcome:
    """Return what it means that samples leave at ``exits``."""
    counts = counts_of(exits, scores.exits)
    means = {}
    for metric in METRICS:
        values = costs.of(metric)
        means[metric] = None if values is None else total_cost(counts, values) / scores.samples
    accuracy, alone, leavers = None, None, None
    if scores.right is not None:
        right = scores.right[exits, np.arange(scores.samples)]
        accuracy = float(right.mean())
        alone = tuple(float(value) for value in scores.right.mean(axis=1))
        leavers = tuple(float(right[exits == k].mean()) if counts[k] else None for k in range(scores.exits))
    return Outcome(
        counts=counts,
        accuracy=accuracy,
        exit_accuracy=alone,
        leaver_accuracy=leavers,
        macs=means["macs"],
        ms=means["ms"],
        bytes=means["bytes"],
    )
