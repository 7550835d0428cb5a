"""All policies of one kind on one line, from the cheapest to the dearest, and the two searches along it.

| kind | the line |
| --- | --- |
| confidences | q from all samples at exit 1 to all at the last (:mod:`edgekit.policy.quotas`): a grid, and anything between |
| ``patience`` | 2, 3, .. K exits in a row: asking for one more never lets anybody leave sooner |
| ``anytime`` | exit 1, 2, .. K for everybody |

The searches evaluate the grid and then halve the interval beside the best point until its ends ask for the same quotas but for one
sample. So what they find is the last (budget) or first (accuracy) of its neighbours on the line. It is that of the whole line where
cost grows along it, which holds but for ties; accuracy need not grow: between grid points a policy that reaches it may be missed.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from attrs import frozen

from edgekit.errors import BudgetError
from edgekit.policy.confidences import CONFIDENCE_KINDS
from edgekit.policy.quotas import Ranking, extremes, rank, targets
from edgekit.policy.replay import Exits, counts_of, leave_at, leave_by_patience, total_cost
from edgekit.policy.scores import Scores

KINDS = (*CONFIDENCE_KINDS, "patience", "anytime")
_GRID = 128
_SAME = 1 + 1e-12


@frozen(kw_only=True)
class Point:
    """One policy of a family, and what it does to the samples.

    :param at: its place on the line: q, the patience or the exit.
    :param quotas: how many should have left by each exit but the last; ``()`` for kinds without thresholds.
    :param thresholds: micro-units; ``()`` for kinds without thresholds.
    :param total: cost of all samples.
    :param right: how many answers are right; ``None`` without labels.
    """

    at: float
    quotas: tuple[int, ...] = ()
    thresholds: tuple[int | None, ...] = ()
    counts: tuple[int, ...]
    total: float
    right: int | None

    @property
    def samples(self) -> int:
        """Number of samples."""
        return sum(self.counts)

    @property
    def cost(self) -> float:
        """Mean cost of a sample."""
        return self.total / self.samples

    @property
    def accuracy(self) -> float | None:
        """Share of right answers."""
        return None if self.right is None else self.right / self.samples


class Family:
    """The policies of one kind.

    :param costs: what each exit costs, in the unit the search is about.
    """

    def __init__(self, scores: Scores, kind: str, costs: Sequence[float]) -> None:
        self.kind = kind
        self._scores = scores
        self._costs = costs
        self._places = np.arange(scores.samples)
        self._ranking: Ranking | None = rank(scores.micro) if kind in CONFIDENCE_KINDS else None

    def grid(self) -> list[Point]:
        """Return points along the line, cheapest end first."""
        scores = self._scores
        if self.kind == "patience":
            line = range(2, max(scores.exits, 2) + 1)
            return [self._point(patience, leave_by_patience(scores.named, patience)) for patience in line]
        if self.kind == "anytime":
            return [self._point(exit, leave_at(scores.samples, exit)) for exit in range(1, scores.exits + 1)]
        first, last = extremes(scores.samples)
        inner = [step / (_GRID - step) for step in range(1, _GRID)]
        found: list[Point] = []
        for q in [first, *(q for q in inner if first < q < last), last]:
            quotas = targets(scores.samples, scores.exits, q)
            if not found or quotas != found[-1].quotas:
                found.append(self._at(q, quotas))
        return found

    def between(self, low: Point, high: Point) -> Point | None:
        """Return a point between two, or ``None`` where there is no other policy to be found."""
        if not low.quotas or high.at <= low.at * _SAME or sum(low.quotas) - sum(high.quotas) <= 1:
            return None
        q = math.sqrt(low.at) * math.sqrt(high.at)
        return self._at(q, targets(self._scores.samples, self._scores.exits, q)) if low.at < q < high.at else None

    def _at(self, q: float, quotas: tuple[int, ...]) -> Point:
        if self._ranking is None:
            raise AssertionError(f"{self.kind} has no thresholds")
        thresholds, exits = self._ranking.thresholds(quotas)
        return self._point(q, exits, quotas, thresholds)

    def _point(self, at: float, exits: Exits, quotas: tuple[int, ...] = (), thresholds: tuple[int | None, ...] = ()) -> Point:
        counts = counts_of(exits, self._scores.exits)
        right = self._scores.right
        return Point(
            at=at,
            quotas=quotas,
            thresholds=thresholds,
            counts=counts,
            total=total_cost(counts, self._costs),
            right=None if right is None else int(right[exits, self._places].sum()),
        )


def dearest_within(family: Family, grid: list[Point], limit: float, unit: str) -> Point:
    """Return the point farthest along the line whose mean cost is not over ``limit``.

    :raises BudgetError: none is.
    """
    fits: Callable[[Point], bool] = lambda point: point.total <= limit * point.samples  # noqa: E731
    place = max((i for i, point in enumerate(grid) if fits(point)), default=None)
    if place is None:
        cheapest = min(grid, key=lambda point: point.total)
        raise BudgetError(
            f"no {family.kind} policy stays within {limit:g} {unit}",
            what=f"the cheapest needs {cheapest.cost:.6g} {unit} a sample",
            hint=f"a budget of {cheapest.cost:.6g} {unit} or more, or another --kind",
        )
    low, high = grid[place], grid[place + 1] if place + 1 < len(grid) else None
    while high is not None and (middle := family.between(low, high)) is not None:
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def cheapest_reaching(family: Family, grid: list[Point], accuracy: float, unit: str) -> Point:
    """Return the cheapest point found whose accuracy is not under ``accuracy``; of equal costs the more accurate.

    :raises BudgetError: none reaches it; the sentence has the best that can be reached.
    """
    rank_of: Callable[[Point], tuple[float, int]] = lambda point: (point.total, -(point.right or 0))  # noqa: E731
    reaches: Callable[[Point], bool] = lambda point: (point.right or 0) >= accuracy * point.samples - 1e-9  # noqa: E731
    places = [i for i, point in enumerate(grid) if reaches(point)]
    if not places:
        best = max(grid, key=lambda point: (point.right or 0, -point.total))
        raise BudgetError(
            f"no {family.kind} policy reaches an accuracy of {accuracy:g} on these samples",
            what=f"the best found is {best.right} of {best.samples}, {best.accuracy:.4f}, at {best.cost:.6g} {unit} a sample",
            hint=f"--target-accuracy {math.floor((best.accuracy or 0) * 1e4) / 1e4:g}, another --kind, or a better network",
        )
    place = min(places, key=lambda i: rank_of(grid[i]))
    best = high = grid[place]
    low = grid[place - 1] if place > 0 else None
    while low is not None and (middle := family.between(low, high)) is not None:
        if reaches(middle):
            high = middle
            best = min(best, middle, key=rank_of)
        else:
            low = middle
    return best
