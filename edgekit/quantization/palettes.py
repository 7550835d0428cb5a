"""Weights as indices into a short table of values, the table chosen so that the squared error is small.

    weights (O, ...) float32  ->  indices (O, ...) uint8, tables (G, 2**bits) float32: rows O/G at a time share a table

One number is an index into a table of numbers, so the best table is that of 1-D k-means. Lloyd's algorithm on the sorted distinct values is
exact in each step and costs a binary search for each entry (S. Lloyd, "Least squares quantization in PCM", 1982), where a general k-means compares
every weight with every entry. It starts where entries are as dense as the cube root of the weights' density, which is optimal for many entries
(Panter and Dite, 1951), so nothing is drawn at random: the same weights give the same bytes.
"""

import itertools

import numpy as np
from attrs import frozen

Array = np.ndarray

_MOST_STEPS = 200
_MOST_ROUNDS = 30
_MOST_TRIES = 4
_GAIN = 0.75  # of a cell's error, when it is halved
_FINER = 16
_FEW = 16  # entries


@frozen(kw_only=True)
class Palette:
    """What stands for weights: ``indices`` uint8 of their shape, ``tables`` float32 ``(G, 2**bits)``, ascending numbers that half precision holds."""

    indices: Array
    tables: Array

    @property
    def values(self) -> Array:
        """The weights that are left, float32."""
        rows = self.indices.reshape(len(self.tables), -1)
        return np.take_along_axis(self.tables, rows.astype(np.int64), axis=1).reshape(self.indices.shape)


def palettize(weights: Array, bits: int, *, groups: int = 1) -> Palette:
    """Choose tables for weights ``(O, ...)`` and return both.

    :param bits: of an index, 1 to 8. :param groups: of rows that have a table each; divides ``O``.
    :raises ValueError: it does not.
    """
    if weights.shape[0] % groups:
        raise ValueError(f"{weights.shape[0]} rows in {groups} groups")
    rows = weights.reshape(groups, -1)
    tables = np.stack([_table(row, 1 << bits) for row in rows])
    indices = np.stack([np.searchsorted(_edges(table), row) for row, table in zip(rows, tables, strict=True)])
    return Palette(indices=indices.astype(np.uint8).reshape(weights.shape), tables=tables.astype(np.float32))


def _table(values: Array, entries: int) -> Array:
    """Return the entries, ascending, each a number of half precision, float64; all different where there are as many different values."""
    distinct, counts = np.unique(values.astype(np.float16), return_counts=True)
    atoms = _Atoms(distinct.astype(np.float64), counts)
    if len(distinct) <= entries:
        return np.concatenate([atoms.values, np.full(entries - len(distinct), atoms.values[-1])])
    table, error = atoms.settled(_start(atoms, values, entries))
    passed_over = 0
    for _ in range(_MOST_ROUNDS):
        tried, found = atoms.settled(atoms.moved(table, passed_over))
        if found < error:
            table, error, passed_over = tried, found, 0
        elif passed_over == _MOST_TRIES:
            break
        else:
            passed_over += 1
    return np.sort(table).astype(np.float16).astype(np.float64)


class _Atoms:
    """Distinct values, ascending, and how often each is there, added up: what cells of them weigh is a difference."""

    def __init__(self, values: Array, counts: Array) -> None:
        self.values = values
        self._sums = [np.concatenate([[0.0], np.cumsum(counts * values**power)]) for power in range(3)]

    def settled(self, table: Array) -> tuple[Array, float]:
        """Return what Lloyd's steps make of a table, and its squared error."""
        cuts = self._cuts(table)
        for _ in range(_MOST_STEPS):
            inside, sums, _ = self._cells(cuts)
            table = np.where(inside > 0, sums / np.maximum(inside, 1), table)
            before, cuts = cuts, self._cuts(table)
            if np.array_equal(before, cuts):
                break
        return table, float(self._errors(cuts).sum())

    def best(self, cuts: Array, entries: int) -> Array | None:
        """Return the table with the least squared error whose cells end at these values, by dynamic programming; ``None``: there are too few."""
        places = np.unique(np.concatenate([[0], np.searchsorted(self.values, cuts), [len(self.values)]]))
        if len(places) <= entries:
            return None
        inside, sums, squares = (column[places][:, None] - column[places] for column in self._sums)  # (last, first)
        errors = np.where(inside > 0, squares - sums**2 / np.maximum(inside, 1), np.inf)
        least, chosen = errors[:, 0], []
        for _ in range(entries - 1):
            candidates = least + errors
            chosen.append(candidates.argmin(axis=1))
            least = candidates.min(axis=1)
        ends = [len(places) - 1]
        for first in reversed(chosen):
            ends.append(int(first[ends[-1]]))
        ends = [0, *ends[::-1]]
        return np.array([sums[last, first] / inside[last, first] for first, last in itertools.pairwise(ends)])

    def moved(self, table: Array, passed_over: int) -> Array:
        """Return a table with entries taken from where two neighbours do for one, and given to the cells with the largest errors.

        :param passed_over: of the cells with the largest errors, so many are left as they are.
        """
        cuts = self._cuts(table)
        inside, sums, _ = self._cells(cuts)
        means = np.where(inside > 0, sums / np.maximum(inside, 1), table)
        both = inside[1:] * inside[:-1] / np.maximum(inside[1:] + inside[:-1], 1)
        costs, errors = both * np.diff(means) ** 2, self._errors(cuts)
        cheapest, worst = np.argsort(costs, kind="stable"), np.argsort(-errors, kind="stable")
        spread = np.sqrt(errors / np.maximum(inside, 1))
        result = means.copy()
        taken: set[int] = set()
        for given in worst[passed_over : passed_over + max(1, len(table) // 16)]:
            free = next((place for place in cheapest if not {place, place + 1, given} & taken and given not in (place, place + 1)), None)
            if free is None or given in taken or costs[free] >= _GAIN * errors[given]:
                break
            taken |= {free, free + 1, given}
            total = max(inside[free] + inside[free + 1], 1)
            result[free] = (sums[free] + sums[free + 1]) / total
            result[free + 1], result[given] = means[given] + spread[given], means[given] - spread[given]
        return np.sort(result)

    def _cuts(self, table: Array) -> Array:
        return np.concatenate([[0], np.searchsorted(self.values, _edges(table)), [len(self.values)]])

    def _cells(self, cuts: Array) -> list[Array]:
        return [np.diff(sums[cuts]) for sums in self._sums]

    def _errors(self, cuts: Array) -> Array:
        inside, sums, squares = self._cells(cuts)
        return np.maximum(squares - sums**2 / np.maximum(inside, 1), 0)


def _start(atoms: _Atoms, values: Array, entries: int) -> Array:
    """Return entries as dense as the cube root of the values' density, which is one over the distance of two quantiles.

    Few entries are the best there are, were the values cut only where so dense a table of sixteen times as many would be.
    """
    steps = min(_FINER * entries, values.size - 1)
    quantiles = np.quantile(values.astype(np.float64), np.linspace(0, 1, steps + 1))
    share = np.concatenate([[0.0], np.cumsum(np.diff(quantiles) ** (2 / 3))])  # density ** (1/3) * width
    dense = np.interp((np.arange(entries) + 0.5) / entries * share[-1], share, quantiles)
    if entries > _FEW:
        return np.asarray(dense)
    best = atoms.best(np.interp(np.arange(1, _FINER * entries) / (_FINER * entries) * share[-1], share, quantiles), entries)
    return np.asarray(dense) if best is None else best


def _edges(table: Array) -> Array:
    """Return where the nearer of two neighbours changes."""
    return (table[1:] + table[:-1]) / 2
