"""Decides which operators compute in integers, where most could do either: by a minimum cut.

    products      have to be integers                    conv ---- add ---- mul ---- softmax
    the rest      has to stay in floats                   int      int  |  float      float
    in between    whatever is cheaper in sum                            cut: one conversion

A conversion on either side of a cheap operator costs more than the operator saves, so choosing operator by operator leaves islands.
"""

from collections.abc import Iterable, Mapping

from attrs import frozen

_PARTS = 10**6
"""Of a unit, in which costs are compared."""


@frozen
class Cost:
    """What an operator costs as integers and as floats, in any one unit; ``inf`` where it cannot or may not be."""

    integers: float
    floats: float


def integer_operators(costs: Mapping[str, Cost], conversions: Iterable[tuple[str, str, float]]) -> frozenset[str]:
    """Return the names of those that compute in integers, with the least sum of costs.

    :param costs: of every operator; one that may be neither counts as float.
    :param conversions: pairs of operators, one reading the other, and what converting the value between them costs.
    """
    import networkx as nx

    def whole(paid: float) -> int:
        # In floats sums are rounded in the order of a set, which differs from process to process, and with them which of two equal cuts is found.
        return round(paid * _PARTS)

    graph = nx.DiGraph()
    graph.add_nodes_from(("integers", "floats"))
    for name, cost in costs.items():
        # An edge is paid for by the operator on its far side; one without a capacity cannot be cut.
        for edge, paid in ((("integers", (name,)), cost.floats), (((name,), "floats"), cost.integers)):
            graph.add_edge(*edge, **({} if paid == float("inf") else {"capacity": whole(paid)}))
    for one, other, paid in conversions:
        for start, end in (((one,), (other,)), ((other,), (one,))):
            before = graph.get_edge_data(start, end, default={"capacity": 0})["capacity"]
            graph.add_edge(start, end, capacity=before + whole(paid))
    _, (integers, _) = nx.minimum_cut(graph, "integers", "floats")
    return frozenset(node[0] for node in integers if isinstance(node, tuple))
