"""What a target is told about quantizing, beside the programs it lowers."""

from collections.abc import Mapping

import numpy as np
from attrs import field, frozen

from edgekit.quantization.scheme import Scheme


@frozen(kw_only=True)
class Quantization:
    """Which numbers of a job's programs become integers, and what their ranges come from.

    :param scheme: of all that is not kept.
    :param kept_float: by method, the names of captured nodes that stay in floats; everything else is quantized where the target can.
    :param stored: by method, those of them whose weights may be stored in integers all the same, where the target widens weights when it loads a
        file: smaller, and as fast.
    :param calibration: by method, inputs by name in the order and layout of the method's spec, float32; empty where the scheme is not calibrated.
    """

    scheme: Scheme
    kept_float: Mapping[str, frozenset[str]] = field(factory=dict)
    stored: Mapping[str, frozenset[str]] = field(factory=dict)
    calibration: Mapping[str, tuple[Mapping[str, np.ndarray], ...]] = field(factory=dict)

    def keeps(self, method: str, node: str) -> bool:
        """Whether a captured node of a method stays in floats."""
        return node in self.kept_float.get(method, frozenset())

    def keeps_weights(self, method: str, node: str) -> bool:
        """Whether a captured node's weights stay in floats, too."""
        return self.keeps(method, node) and node not in self.stored.get(method, frozenset())
