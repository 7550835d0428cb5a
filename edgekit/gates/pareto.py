"""Which artifacts of a model are worth having: no other is at least as good in everything and better in something.

    bytes       size.total, less is better
    time        latency.METHOD.p50 where it was measured; else macs.total; less is better
    closeness   accuracy.top1 where it was measured; else parity.sqnr_db; more is better

Compared are artifacts of one model and one measure; times of different runtimes are measured the same way, multiply-adds need not cost them the same.
"""

from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from edgekit.gates.report import GateReport

TIME = "latency"
"""The sum of all methods' medians: they run one after the other up to a last answer."""

_MEASURES = (("size.total",), (TIME, "macs.total"), ("accuracy.top1", "parity.sqnr_db"))
"""Of each row the first that all artifacts have is taken."""
_MORE_IS_BETTER = ("accuracy.top1", "parity.sqnr_db")
_CUT = "_"

Values = Mapping[str, float]


@frozen(kw_only=True)
class ParetoChange:
    """One model's front. ``joined`` and ``left`` are against the base; ``None``: there is none.

    :param measures: what was compared, the same before and now.
    """

    model: str
    measures: tuple[str, ...]
    front: tuple[str, ...]
    joined: tuple[str, ...] | None
    left: tuple[str, ...] | None


def pareto_changes(report: GateReport) -> tuple[ParetoChange, ...]:
    """Return the front of each model with two artifacts or more."""
    now = {row.name: {k: m.value for k, m in row.measured.metrics.items()} for row in report.artifacts if row.measured is not None}
    before = None if report.base is None else {name: row.metrics for name, row in report.base.artifacts.items()}
    return tuple(_changes(now, before))


def _changes(now: Mapping[str, Values], before: Mapping[str, Values] | None) -> Iterator[ParetoChange]:
    for model in dict.fromkeys(map(_model, now)):
        names = [name for name in now if _model(name) == model]
        earlier = [name for name in before or {} if _model(name) == model]
        if len(names) < 2:
            continue
        measures = _measures([now[name] for name in names] + [(before or {})[name] for name in earlier])
        front = _front({name: now[name] for name in names}, measures)
        old = None if before is None else _front({name: before[name] for name in earlier}, measures)
        yield ParetoChange(
            model=model,
            measures=measures,
            front=front,
            joined=None if old is None else tuple(name for name in front if name not in old),
            left=None if old is None else tuple(name for name in old if name not in front),
        )


def _model(artifact: str) -> str:
    """Return model and resolution, as file names begin: ``emov2-1m_224``."""
    return _CUT.join(artifact.split(_CUT)[:2])


def _measures(rows: Sequence[Values]) -> tuple[str, ...]:
    found = (next((name for name in choices if all(_value(row, name) is not None for row in rows)), None) for choices in _MEASURES)
    return tuple(name for name in found if name is not None)


def _value(row: Values, measure: str) -> float | None:
    if measure != TIME:
        return row.get(measure)
    medians = [value for name, value in row.items() if name.startswith(f"{TIME}.") and name.endswith(".p50")]
    return sum(medians) if medians else None


def _front(rows: Mapping[str, Values], measures: Sequence[str]) -> tuple[str, ...]:
    points = {name: tuple((_value(row, one) or 0.0) * (1 if one in _MORE_IS_BETTER else -1) for one in measures) for name, row in rows.items()}
    return tuple(name for name, point in points.items() if not any(_dominates(other, point) for other in points.values()))


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))
