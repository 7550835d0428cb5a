"""The precisions, as rows: how weights are stored and what activations are computed in.

Affine quantization (``w...``) and palettization (``palette...``) are two things and never share a name: the one keeps a scale and a zero
point, the other a table of values.
"""

from typing import Literal

from attrs import frozen

from edgekit.errors import UnknownNameError


@frozen(kw_only=True)
class Scheme:
    """One precision.

    :param weight_bits: of a stored weight; 32 and 16 are floats.
    :param weights: ``float``, ``affine`` (an integer, a scale for each output channel) or ``palette`` (an index into a table of values).
    :param activations: what is computed in: ``float32``, ``float16``, ``int8-static`` (ranges are calibrated), ``int8-dynamic`` (ranges of
        the values at hand), or ``target`` where weights are only stored otherwise and the target computes as it would without.
    """

    name: str
    weight_bits: int
    weights: Literal["float", "affine", "palette"]
    activations: Literal["float32", "float16", "int8-static", "int8-dynamic", "target"]

    @property
    def quantized(self) -> bool:
        """Whether anything is stored or computed in other than floats."""
        return self.weights != "float"

    @property
    def calibrated(self) -> bool:
        """Whether samples are needed to choose ranges."""
        return self.activations == "int8-static"


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme(name="fp32", weight_bits=32, weights="float", activations="float32"),
        Scheme(name="fp16", weight_bits=16, weights="float", activations="float16"),
        Scheme(name="w8a8", weight_bits=8, weights="affine", activations="int8-static"),
        Scheme(name="w8a8-dynamic", weight_bits=8, weights="affine", activations="int8-dynamic"),
        Scheme(name="w8a32", weight_bits=8, weights="affine", activations="target"),
        Scheme(name="w4a32", weight_bits=4, weights="affine", activations="target"),
        Scheme(name="palette8", weight_bits=8, weights="palette", activations="target"),
        Scheme(name="palette6", weight_bits=6, weights="palette", activations="target"),
        Scheme(name="palette4", weight_bits=4, weights="palette", activations="target"),
    )
}


def scheme_of(precision: str) -> Scheme:
    """Return the row of a precision.

    :raises UnknownNameError: there is none.
    """
    if precision not in SCHEMES:
        raise UnknownNameError("precision", precision, tuple(SCHEMES))
    return SCHEMES[precision]
