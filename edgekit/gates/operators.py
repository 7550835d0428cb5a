"""Which operators of which format move values, change a shape only, or change a type: what a good export has few of."""

from collections.abc import Mapping

FAMILIES: Mapping[str, frozenset[str]] = {
    "transposes": frozenset(
        {
            "transpose",  # Core ML, Core AI
            "TRANSPOSE",
            "Transpose",
            "xnnpack::StaticTranspose",
            "aten::permute_copy.out",
            "aten::transpose_copy.int_out",
            "aten::t_copy.out",
        }
    ),
    "reshapes": frozenset(
        {
            *("reshape", "expand_dims", "squeeze", "flatten2d", "shrink_dims"),  # Core ML, Core AI
            *("RESHAPE", "EXPAND_DIMS", "SQUEEZE"),
            *("Reshape", "Unsqueeze", "Squeeze", "Flatten"),
            "xnnpack::StaticReshape",
            *("aten::view_copy.out", "aten::unsqueeze_copy.out", "aten::squeeze_copy.dims_out", "executorch_prim::et_view.default"),
        }
    ),
    "casts": frozenset(
        {
            "cast",  # Core ML, Core AI
            "CAST",
            "Cast",
            "xnnpack::Convert",
            "aten::_to_copy.out",
            "dim_order_ops::_to_dim_order_copy.out",
        }
    ),
}


def count_of(family: str, operators: Mapping[str, int]) -> int:
    """Return how many operators belong to a family.

    :param operators: counts by name, of any format.
    """
    return sum(count for name, count in operators.items() if name in FAMILIES[family])
