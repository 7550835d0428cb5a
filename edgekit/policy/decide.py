"""Carry a policy out: in eager torch, or in NumPy for runtimes that hand out logits or confidences.

The NumPy functions compare integers. On equal logits they and eager agree but for samples whose confidence lies
within float32's rounding of a threshold, torch's softmax being off by up to 6.6e-7 at 1000 classes; fitting keeps thresholds that far away from the
validation samples where it can (:mod:`edgekit.policy.quotas`). On equal confidences they agree always.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import PolicyError
from edgekit.policy.confidences import CONFIDENCE_KINDS, Floats, as_float32, confidence, named, to_micro
from edgekit.policy.policy import Policy

if TYPE_CHECKING:
    from edgekit.ops.exit_policy import ExitPolicy


def as_eager_policy(policy: Policy) -> "ExitPolicy":
    """Return the policy that eager networks take; imports torch."""
    from edgekit.ops.confidence import CONFIDENCES
    from edgekit.ops.exit_policy import LeaveAt, PatiencePolicy, ThresholdPolicy

    if policy.exit is not None:
        return LeaveAt(exit=policy.exit)
    if policy.patience is not None:
        return PatiencePolicy(patience=policy.patience)
    name = next(name for name in CONFIDENCES if name == policy.kind)
    thresholds = tuple(eager_threshold(value) for value in policy.thresholds or ())
    return ThresholdPolicy(thresholds=thresholds, confidence=name, temperatures=policy.temperatures or ())


def eager_threshold(micro: int | None) -> float:
    """Return a float32 that the same confidences reach; entropy's may be below 0 by a hair, so 0 is everybody."""
    if micro is None:
        return math.inf
    return as_float32(micro) if micro > 0 else -math.inf


def decide(policy: Policy, history: Sequence[Floats]) -> NDArray[np.bool_]:
    """Return which samples leave at exit ``len(history)``, ``(B,)``; at the last exit all do.

    :param history: the logits so far, first exit first, each ``(B, C)``.
    :raises PolicyError: no logits, those of more exits than there are, or of other classes.
    """
    k = len(history)
    shapes = {logits.shape for logits in history}
    if not 1 <= k <= policy.exits:
        raise PolicyError(f"logits of {k} exits", why=f"the policy is for a network with {policy.exits}")
    if len(shapes) != 1 or len(history[-1].shape) != 2 or history[-1].shape[1] != policy.classes:
        raise PolicyError(f"logits of shape {', '.join(map(str, sorted(shapes)))}", why=f"the policy is for (samples, {policy.classes})")
    latest = history[-1]
    if k == policy.exits:
        return np.ones(len(latest), dtype=np.bool_)
    if policy.exit is not None:
        return np.full(len(latest), k >= policy.exit)
    if policy.patience is not None:
        if k < policy.patience:
            return np.zeros(len(latest), dtype=np.bool_)
        row = np.stack([named(logits) for logits in history[-policy.patience :]])
        return (row[-1] >= 0) & (row == row[-1]).all(axis=0)
    temperature = None if policy.temperatures is None else policy.temperatures[k - 1]
    return decide_by_confidence(policy, k, confidence(policy.kind, latest, temperature))


def decide_by_confidence(policy: Policy, k: int, confidences: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which samples leave at exit ``k`` (from 1), ``(B,)``, for runtimes whose graphs give the confidence.

    :param confidences: ``(B,)`` float32 of the policy's kind, computed behind its temperatures if it has any.
    :raises PolicyError: the policy asks for no confidence, or there is no such exit.
    """
    if policy.thresholds is None or policy.kind not in CONFIDENCE_KINDS:
        raise PolicyError(f"a policy of kind {policy.kind} asks for no confidence")
    if not 1 <= k <= policy.exits:
        raise PolicyError(f"there is no exit {k}", what=f"the policy is for {policy.exits}, counted from 1")
    if k == policy.exits:
        return np.ones(confidences.shape, dtype=np.bool_)
    threshold = policy.thresholds[k - 1]
    if threshold is None:
        return np.zeros(confidences.shape, dtype=np.bool_)
    return to_micro(confidences.astype(np.float32)) >= threshold


def exits_of(policy: Policy, logits: Floats) -> NDArray[np.int64]:
    """Return the exit, from 1, where each sample leaves, ``(B,)``, for the logits of all exits ``(K, B, C)``.

    :raises PolicyError: logits of another network.
    """
    if logits.ndim != 3 or len(logits) != policy.exits:
        raise PolicyError(f"logits of shape {logits.shape}", why=f"the policy is for ({policy.exits}, samples, {policy.classes})")
    leaves = np.stack([decide(policy, tuple(logits[: k + 1])) for k in range(policy.exits)])
    return leaves.argmax(axis=0) + 1
