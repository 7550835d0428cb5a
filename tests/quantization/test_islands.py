"""Which operators compute in integers: the cheapest choice in sum."""

from edgekit.quantization.islands import Cost, integer_operators

NEVER = float("inf")
PRODUCT, SOFTMAX = Cost(0, NEVER), Cost(NEVER, 0)


def test_a_cheap_operator_between_products_becomes_integers():
    costs = {"conv": PRODUCT, "add": Cost(5, 4), "conv_1": PRODUCT}
    assert integer_operators(costs, [("conv", "add", 3), ("add", "conv_1", 3)]) == {"conv", "add", "conv_1"}


def test_a_cheap_operator_between_floats_stays():
    costs = {"softmax": SOFTMAX, "mul": Cost(1, 4), "softmax_1": SOFTMAX}
    assert integer_operators(costs, [("softmax", "mul", 3), ("mul", "softmax_1", 3)]) == frozenset()


def test_an_island_is_left_where_it_saves_more_than_the_conversions():
    costs = {"softmax": SOFTMAX, "gelu": Cost(1, 20), "softmax_1": SOFTMAX}
    assert integer_operators(costs, [("softmax", "gelu", 3), ("gelu", "softmax_1", 3)]) == {"gelu"}


def test_the_border_lies_where_the_value_is_smallest():
    costs = {"conv": PRODUCT, "mean": Cost(2, 2), "scale": Cost(2, 2), "softmax": SOFTMAX}
    assert integer_operators(costs, [("conv", "mean", 50), ("mean", "scale", 1), ("scale", "softmax", 5)]) == {"conv", "mean"}
