"""Which of LiteRT's operators compute in 8 bits, and which of those that could do either way follow their neighbours.

    CONV_2D int8 ── RESHAPE ?  ── TRANSPOSE ? ── BATCH_MATMUL float        one conversion, wherever: the smallest of these values is converted

Values are weighed by their size; a minimum cut finds the cheapest set of conversions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.quantization.islands import Cost, integer_operators

STATIC = frozenset(
    {
        *("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "ADD", "SUB", "MUL", "MEAN", "LOGISTIC", "TANH"),
        *("HARD_SWISH", "RELU", "SOFTMAX", "AVERAGE_POOL_2D", "MAX_POOL_2D", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"),
    }
)
"""What can compute in 8 bits with calibrated ranges; what of it should, a plan says."""
MOVING = frozenset(
    {
        *("RESHAPE", "TRANSPOSE", "PAD", "CONCATENATION", "SLICE", "STRIDED_SLICE", "SPLIT", "BROADCAST_TO", "SPACE_TO_DEPTH", "PACK", "UNPACK"),
        *("SQUEEZE", "EXPAND_DIMS", "GATHER", "GATHER_ND"),
    }
)
"""What moves values and computes nothing; of these, all but two in 8 bits as well."""
_FLOAT_ONLY = frozenset(("SQUEEZE", "EXPAND_DIMS"))
LOOKED_UP = frozenset(("GELU",))
"""What XNNPACK looks up in a table of 256 entries where it lies between two conversions. In the file it stays a float operator: as an operator in
integers LiteRT computes it outside of the delegate."""
PRODUCTS = frozenset(("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL"))
"""What multiplies, and what an activation behind it is fused into."""
DYNAMIC = frozenset(("CONV_2D", "FULLY_CONNECTED"))
"""What XNNPACK computes with the range of the value at hand."""
STORED = PRODUCTS
"""What may have weights in 8 bits that are widened when the file is loaded."""
FOUR_BITS = frozenset(("CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL"))
"""Likewise, in 4 bits."""

_SURPLUS = {"TRANSPOSE": 1.0}
_FREE = 1e-3
"""What an operator that moves data costs in floats more than in integers, relative to a value's conversion. A transpose of emov2-5m takes 0.11 ns a
value in floats, 0.02 in integers, and a conversion 0.05 to 0.09; others are copies or nothing, and break ties."""


def following(operators: Sequence[Any], fixed: Mapping[int, bool], sizes: Mapping[int, int]) -> frozenset[int]:
    """Return the positions of the operators in integers: those fixed so, and those without a decision that save conversions.

    :param operators: with ``kind``, ``inputs`` and ``outputs``, tensors by number. :param fixed: by position, whether in integers.
    :param sizes: elements of the tensors that hold values in floats.
    """
    free = float("inf")
    costs = {}
    producers = {number: position for position, operator in enumerate(operators) for number in operator.outputs}
    for position, operator in enumerate(operators):
        may = operator.kind in MOVING or operator.kind in STATIC or operator.kind in LOOKED_UP
        integer = fixed.get(position, None if may and operator.kind not in _FLOAT_ONLY else False)
        moved = sum(sizes.get(number, 0) for number in operator.outputs)
        if integer is None:
            costs[str(position)] = Cost(integers=0.0, floats=_SURPLUS.get(operator.kind, _FREE) * moved)
        else:
            costs[str(position)] = Cost(integers=0.0, floats=free) if integer else Cost(integers=free, floats=0.0)
    # What comes from outside is float.
    costs["outside"] = Cost(integers=free, floats=0.0)
    conversions = [
        (str(producers.get(number, "outside")), str(position), float(sizes[number]))
        for position, operator in enumerate(operators)
        for number in operator.inputs
        if number in sizes
    ]
    return frozenset(int(name) for name in integer_operators(costs, conversions) if name != "outside")
