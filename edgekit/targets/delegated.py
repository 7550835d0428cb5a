"""How much of an artifact an accelerated backend takes. Apart from :mod:`edgekit.targets.base`, so that reading it back needs no torch."""

from collections.abc import Mapping

from attrs import field, frozen


@frozen(kw_only=True)
class Delegation:
    """How much of the graph the accelerated backend takes.

    ``share`` is delegated operators / all operators (0 to 1), ``None`` where the format has no delegates;
    ``not_delegated`` counts the operators left outside, by name; ``subgraphs`` is the number of delegate calls.
    """

    share: float | None
    not_delegated: Mapping[str, int] = field(factory=dict)
    subgraphs: int | None = None
