"""What fitting and replaying need of the logits: how sure, and of which class. Eight bytes a sample and exit instead of 4 C."""

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.policy.confidences import CONFIDENCE_KINDS, confidence, named, to_micro
from edgekit.policy.logits import ExitLogits, new_hasher
from edgekit.policy.temperature import fit_temperature


@frozen(kw_only=True)
class Scores:
    """Confidences and classes of N samples at K exits.

    :param micro: ``(K, N)`` confidences in micro-units, -1 where there is none; empty ``(K, 0)`` for kinds without confidences.
    :param named: ``(K, N)`` the class each exit names, -1 where a logit is NaN.
    :param right: ``(K, N)`` whether that is the label; ``None`` without labels.
    :param temperatures: of every exit but the last; ``None``: not calibrated.
    :param sha256: of logits and labels.
    """

    micro: NDArray[np.int32]
    named: NDArray[np.int32]
    right: NDArray[np.bool_] | None
    classes: int
    temperatures: tuple[float, ...] | None
    sha256: str

    @property
    def exits(self) -> int:
        """Number of exits, K."""
        return len(self.named)

    @property
    def samples(self) -> int:
        """Number of samples, N."""
        return self.named.shape[1]


def scores_of(logits: ExitLogits, kind: str, *, calibrate: bool = False, temperatures: tuple[float, ...] | None = None) -> Scores:
    """Walk through the logits once and return their scores.

    :param kind: a confidence, or another kind of policy, which gets classes only.
    :param calibrate: fit a temperature to every exit but the last, whose confidence nothing asks for.
    :param temperatures: those to use, one for every exit but the last.
    :raises UsageError: calibration without labels.
    :raises BadInputError: the logits cannot be read.
    """
    exits, samples, classes = logits.shape
    labels = logits.labels
    if calibrate and labels is None:
        raise UsageError("calibration needs labels", why="it makes confidences fit how often an exit is right", hint="add labels to the .npz")
    sure = kind in CONFIDENCE_KINDS
    micro = np.empty((exits, samples if sure else 0), dtype=np.int32)
    names = np.empty((exits, samples), dtype=np.int32)
    found: list[float] = []
    hasher = new_hasher(logits.shape, labels)
    for k, values in enumerate(logits.each_exit(hasher)):
        names[k] = named(values)
        if sure:
            temperature = None
            if k < exits - 1:
                if calibrate and labels is not None:
                    found.append(fit_temperature(values, labels))
                    temperature = found[-1]
                elif temperatures is not None:
                    temperature = temperatures[k]
            micro[k] = to_micro(confidence(kind, values, temperature))
    return Scores(
        micro=micro,
        named=names,
        right=None if labels is None else names == labels,
        classes=classes,
        temperatures=tuple(found) if calibrate else temperatures,
        sha256=hasher.hexdigest(),
    )
