"""Where samples leave an artifact of a network with exits, against where they leave eager: same exit, same class.

Both are decided by one policy, the graph's own confidence against thresholds that lie between two of eager's confidences, so that samples leave
at every exit. Each threshold is put into the widest gap near the place where equal shares leave: a sample is at one as seldom as may be.

A sample whose confidence eager has closer to a threshold than the precision can tell (``Tolerance.exit_tie``) may leave on either side of it; such
samples are counted. Any other that leaves elsewhere is a failure.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from edgekit.interface import CONFIDENCE, LOGITS
from edgekit.policy.confidences import MICRO, to_micro
from edgekit.policy.replay import leave_by_thresholds
from edgekit.verification.parity import Parity, same_winner
from edgekit.verification.tolerances import Tolerance

Array = np.ndarray
Outputs = Mapping[str, Sequence[Array]]
"""By name, one array a sample."""

_WINDOW = 0.25
"""How far from equal shares a threshold may be, relative to the share."""


@frozen(kw_only=True)
class Answers:
    """What the exits of a network say of N samples: by exit, then by sample.

    :param logits: each ``(1, classes)``. :param confidence: ``(K, N)`` float32.
    """

    logits: tuple[Sequence[Array], ...]
    confidence: Array


@frozen(kw_only=True)
class ExitParity:
    """The comparison of where samples leave.

    :param thresholds_micro: of every exit but the last; ``None``: no two samples differ there, so nobody leaves.
    :param counts: how many samples leave eager at each exit.
    :param differing: samples that leave the artifact elsewhere; ``near`` those of them that a threshold is closer to than ``limit``.
    :param other_class: samples that leave at the same exit with another class.
    :param closest: the smallest distance of an eager confidence from the threshold that it is compared with.
    """

    thresholds_micro: tuple[int | None, ...]
    samples: int
    counts: tuple[int, ...]
    differing: tuple[str, ...]
    near: tuple[str, ...]
    other_class: tuple[str, ...]
    closest: float | None
    limit: float | None

    def reason(self) -> str | None:
        """Return what is wrong, or ``None``."""
        wrong = [name for name in self.differing if name not in self.near]
        if wrong:
            return f"{len(wrong)} of {self.samples} samples leave at another exit than eager's, the first {wrong[0]!r}"
        if self.other_class:
            return f"{len(self.other_class)} of {self.samples} samples leave with another class than eager's, the first {self.other_class[0]!r}"
        return None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return attrs.asdict(self)


def answers_of(outputs: Mapping[str, Outputs]) -> Answers | None:
    """Return the answers of all exits, from what each method gave; ``None`` where there are not two exits with a confidence.

    :param outputs: by method.
    """
    rows = [
        (found[LOGITS], found[CONFIDENCE]) for name, found in outputs.items() if name.startswith("exit_") and {LOGITS, CONFIDENCE} <= found.keys()
    ]
    if not rows and len(outputs) == 1:
        (found,) = outputs.values()
        numbers = range(1, len(found) + 1)
        rows = [(found[f"{LOGITS}_{k}"], found[f"{CONFIDENCE}_{k}"]) for k in numbers if {f"{LOGITS}_{k}", f"{CONFIDENCE}_{k}"} <= found.keys()]
    if len(rows) < 2:
        return None
    confidence = np.array([[float(value.reshape(-1)[0]) for value in values] for _, values in rows], dtype=np.float32)
    return Answers(logits=tuple(logits for logits, _ in rows), confidence=confidence)


def compare_exits(eager: Answers, actual: Answers, names: Sequence[str], tolerance: Tolerance) -> ExitParity:
    """Let every sample leave both, and compare.

    :param names: of the samples.
    """
    thresholds = thresholds_between(eager.confidence)
    expected = leave_by_thresholds(to_micro(eager.confidence), thresholds)
    found = leave_by_thresholds(to_micro(actual.confidence), thresholds)
    asked = np.array([np.nan if threshold is None else threshold / MICRO for threshold in thresholds])
    distance = np.abs(eager.confidence[:-1].astype(np.float64) - asked[:, None])  # (K-1, N)
    compared = np.arange(len(thresholds))[:, None] <= expected  # what stands behind the exit is not asked for
    distance[~compared] = np.nan
    limit = tolerance.exit_tie
    near, differing, other = [], [], []
    for index, name in enumerate(names):
        exit_number = int(expected[index])
        if found[index] != exit_number:
            differing.append(name)
            parted = min(exit_number, int(found[index]))
            if limit is None or distance[parted, index] <= limit:
                near.append(name)
        elif not same_winner(eager.logits[exit_number][index], actual.logits[exit_number][index], tolerance.tie):
            other.append(name)
    known = distance[~np.isnan(distance)]
    return ExitParity(
        thresholds_micro=thresholds,
        samples=len(names),
        counts=tuple(int(count) for count in np.bincount(expected, minlength=len(eager.logits))),
        differing=tuple(differing),
        near=tuple(near),
        other_class=tuple(other),
        closest=float(known.min()) if known.size else None,
        limit=limit,
    )


def with_exits(parity: Parity, found: ExitParity) -> Parity:
    """Add the comparison of exits; another exit than eager's is a failure, whatever the outputs are."""
    reason = found.reason()
    parity = attrs.evolve(parity, early_exit=found.to_json())
    if reason is None or parity.verdict != "pass":
        return parity
    return attrs.evolve(parity, verdict="fail", reason=reason)


def thresholds_between(confidence: Array) -> tuple[int | None, ...]:
    """Return micro-units for every exit but the last, between two of the confidences that get there.

    :param confidence: ``(K, N)`` float32.
    """
    inside = np.arange(confidence.shape[1])
    exits, found = len(confidence), []
    for k in range(exits - 1):
        threshold = _between(np.sort(confidence[k][inside])[::-1], len(inside) / (exits - k))
        found.append(threshold)
        if threshold is not None:
            inside = inside[to_micro(confidence[k][inside]) < threshold]
    return tuple(found)


def _between(descending: Array, share: float) -> int | None:
    """Return a threshold in the widest gap near the place behind ``share`` values."""
    first, last = max(1, round(share * (1 - _WINDOW))), min(len(descending) - 1, round(share * (1 + _WINDOW)))
    if last < first or not np.isfinite(descending).all():
        return None
    values = descending.astype(np.float64)
    leave = max(range(first, last + 1), key=lambda count: values[count - 1] - values[count])
    threshold = int(MICRO * (values[leave - 1] + values[leave]) / 2)
    micro = to_micro(descending)
    return threshold if micro[leave] < threshold <= micro[leave - 1] else None
