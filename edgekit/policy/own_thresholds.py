"""The thresholds that a network was written with: the numbers in the conditions of its forward.

    cond(conf >= 0.8, ...)          0.8: an artifact that nobody gave a policy leaves where eager does

They are float32 and compared as such, ``confidence >= threshold``, with whatever the network compares: an entropy, a gate. A fitted
policy is about the confidences of :mod:`edgekit.policy.confidences`, between 0 and 1, and counts in millionths.
"""

import math

import numpy as np
from attrs import Attribute, field, frozen

from edgekit.errors import PolicyError
from edgekit.policy.strict_json import Fields


def _as_float32(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(float(np.float32(value)) for value in values)


def _finite(_: object, __: "Attribute[tuple[float, ...]]", values: tuple[float, ...]) -> None:
    for number, value in enumerate(values, start=1):
        if not math.isfinite(value):
            raise PolicyError(f"the network's own threshold of exit {number} is {value}", hint="export again with --overwrite")


@frozen
class OwnThresholds:
    """One threshold for every exit but the last, rounded to float32.

    :raises PolicyError: one is not finite.
    """

    values: tuple[float, ...] = field(converter=_as_float32, validator=_finite)

    @property
    def exits(self) -> int:
        """How many exits the network has."""
        return len(self.values) + 1

    def to_json(self) -> list[float]:
        """Return the shortest decimals that are these float32."""
        return [float(np.format_float_positional(np.float32(value), unique=True)) for value in self.values]


def own_thresholds(fields: Fields, key: str) -> OwnThresholds | None:
    """Read thresholds back; ``None``: there are none.

    :raises PolicyError: they are no row of finite numbers.
    """
    return None if fields.is_null(key) else OwnThresholds(fields.numbers(key, None))
