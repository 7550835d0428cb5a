"""One sample, one exit after another, in integers: the reference that the phones' code is compared with.

Written to be translated line by line to Kotlin and Swift; no arrays and no floats. ``tests/conformance/gen.py`` makes the
vectors from it, and the tests hold it against :mod:`edgekit.policy.decide`.
"""

import struct
from collections.abc import Sequence

from attrs import frozen

from edgekit.errors import PolicyError

MICRO = 1_000_000
CONFIDENCE_KINDS = ("max_softmax", "entropy", "margin")


class IntegerPolicyError(PolicyError):
    """A policy or a sample that cannot be decided; ``code`` is the same word in every language."""

    def __init__(self, code: str, summary: str) -> None:
        super().__init__(summary)
        self.code = code


@frozen(kw_only=True)
class IntegerPolicy:
    """A policy for a network with ``exits`` exits. Which of the last three counts says the kind; the others are ``None``.

    :raises IntegerPolicyError: ``unknown_kind``, ``exits``, ``rule``, ``thresholds_length``, ``threshold_range``, ``patience_range``, ``exit_range``;
        of several the first in this order.
    """

    kind: str
    exits: int
    thresholds_micro: tuple[int | None, ...] | None = None
    patience: int | None = None
    exit: int | None = None

    def __attrs_post_init__(self) -> None:
        if self.kind not in (*CONFIDENCE_KINDS, "patience", "anytime"):
            raise IntegerPolicyError("unknown_kind", f"no kind of policy is called {self.kind}")
        if self.exits < 2:
            raise IntegerPolicyError("exits", "a network with early exits has two or more")
        given = (self.thresholds_micro is not None, self.patience is not None, self.exit is not None)
        if given != (self.kind in CONFIDENCE_KINDS, self.kind == "patience", self.kind == "anytime"):
            raise IntegerPolicyError("rule", f"{self.kind} has exactly one rule of its own")
        if self.thresholds_micro is not None:
            if len(self.thresholds_micro) != self.exits - 1:
                raise IntegerPolicyError("thresholds_length", "one threshold for every exit but the last")
            for threshold in self.thresholds_micro:
                if threshold is not None and not 0 <= threshold <= MICRO:
                    raise IntegerPolicyError("threshold_range", "thresholds are 0 to 1000000 or null")
        if self.patience is not None and self.patience < 2:
            raise IntegerPolicyError("patience_range", "it takes two exits to agree")
        if self.exit is not None and not 1 <= self.exit <= self.exits:
            raise IntegerPolicyError("exit_range", "exits are counted from 1")

    def leaves(self, k: int, confidences_micro: Sequence[int | None], classes: Sequence[int | None]) -> bool:
        """Return whether the sample leaves at exit ``k``, from 1, of which and of those before the values are known.

        :param confidences_micro: ``None`` stands for not a number.
        :param classes: what each exit named; ``None`` where a logit was not a number.
        """
        if k == self.exits:
            return True
        if self.exit is not None:
            return k >= self.exit
        if self.patience is not None:
            if k < self.patience:
                return False
            row = classes[k - self.patience : k]
            return row[-1] is not None and all(named == row[-1] for named in row)
        threshold = (self.thresholds_micro or ())[k - 1]
        confidence = confidences_micro[k - 1]
        return threshold is not None and confidence is not None and confidence >= threshold

    def walk(self, confidences_micro: Sequence[int | None], classes: Sequence[int | None]) -> int:
        """Return the exit where the sample leaves, from 1. What stands behind that exit is not looked at: it was never computed.

        The last exit asks for nothing, nor does ``anytime``; a confidence kind reads ``confidences_micro``, ``patience`` reads ``classes``.

        :raises IntegerPolicyError: ``stage_missing``: the sample went on and its values end; ``confidence_range``: one that is read is
            not 0 to 1000000; ``class_range``: one that is read is below 0.
        """
        for k in range(1, self.exits):
            if self.kind in CONFIDENCE_KINDS:
                self._check("confidence_range", confidences_micro, k, most=MICRO)
            elif self.kind == "patience":
                self._check("class_range", classes, k, most=None)
            if self.leaves(k, confidences_micro, classes):
                return k
        return self.exits

    @staticmethod
    def _check(code: str, values: Sequence[int | None], k: int, *, most: int | None) -> None:
        if k > len(values):
            raise IntegerPolicyError("stage_missing", f"the sample went on and nothing is known of exit {k}")
        value = values[k - 1]
        if value is not None and (value < 0 or (most is not None and value > most)):
            raise IntegerPolicyError(code, f"{value} at exit {k}")


def micro_of_bits(bits: int) -> int | None:
    """Return the micro-units of a float32 given by its 32 bits as an unsigned integer; ``None``: not a number.

    ``floor(confidence * 1_000_000)`` in float64, where the product is exact; then 0 to 1,000,000.
    """
    (confidence,) = struct.unpack("<f", struct.pack("<I", bits))
    if confidence != confidence:  # noqa: PLR0124  the one value that is not itself
        return None
    return int(min(max(confidence * float(MICRO), 0.0), float(MICRO)) // 1)
