import numpy as np
import pytest
from building import computed

from edgekit.mil.interpreter import ProgramError, UnknownOperatorError


def equal(build, expected, inputs, **options):
    got = computed(build, inputs, **options)
    expected = expected if isinstance(expected, list) else [expected]
    assert len(got) == len(expected)
    for one, wanted in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, wanted)


GATHERED = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.mark.parametrize(("axis", "indices"), [(0, 1), (1, [2, 0, 2]), (-1, [[0, 3], [1, 1]]), (2, [1, 2, 3, 0, 0])])
def test_gather(axis, indices):
    expected = GATHERED.take(np.array(indices), axis)
    equal(lambda mb, x: mb.gather(x=x, indices=indices, axis=axis, validate_indices=True), expected, {"x": GATHERED})


def test_gather_in_batches():
    indices = np.array([[[2, 0], [1, 1], [0, 3]], [[3, 3], [2, 1], [0, 0]]], np.int32)

    def build(mb, x, i):
        return (
            mb.gather(x=x, indices=i, axis=2, batch_dims=1),
            mb.gather(x=x, indices=i, axis=-1, batch_dims=2),
            mb.gather_along_axis(x=x, indices=i, axis=-1),
        )

    one = np.stack([GATHERED[b].take(indices[b], 1) for b in range(2)])
    two = np.stack([[GATHERED[b, r].take(indices[b, r]) for r in range(3)] for b in range(2)])
    equal(build, [one, two, np.take_along_axis(GATHERED, indices, -1)], {"x": GATHERED, "i": indices})


def test_gather_nd():
    rows = np.array([[1, 2], [0, 0]], np.int32)
    each = np.array([[[2, 3], [0, 1]], [[1, 0], [2, 2]]], np.int32)

    def build(mb, x, rows, each):
        return mb.gather_nd(x=x, indices=rows), mb.gather_nd(x=x, indices=each, batch_dims=1)

    expected = [[GATHERED[0, 2, 3], GATHERED[0, 0, 1]], [GATHERED[1, 1, 0], GATHERED[1, 2, 2]]]
    equal(build, [[GATHERED[1, 2], GATHERED[0, 0]], expected], {"x": GATHERED, "rows": rows, "each": each})


def test_negative_indices_count_from_the_end_before_ios_17_and_are_errors_since():
    indices = np.array([-1, 0], np.int32)

    def build(mb, x, i):
        return mb.gather(x=x, indices=i, axis=1)

    equal(build, GATHERED[:, [-1, 0]], {"x": GATHERED, "i": indices}, ios=16)
    with pytest.raises(ProgramError, match=r"outside 0\.\.2"):
        computed(build, {"x": GATHERED, "i": indices})


SIGN = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "max": max,
    "min": min,
    "update": lambda a, b: b,
}


@pytest.mark.parametrize("mode", SIGN)
def test_scatter_joins_one_update_after_another(mode):
    data = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.float32)
    updates = np.array([[2, -4, 8], [16, 32, 0.5], [0.25, 4, 2]], np.float32)
    rows = np.array([2, 0, 2], np.int32)
    places = np.array([[0, 0, 2], [1, 2, 1], [2, 2, 2]], np.int32)
    points = np.array([[0, 1], [2, 2], [0, 1]], np.int32)

    def build(mb, data, updates, rows, places, points):
        column = mb.slice_by_index(x=updates, begin=[0, 0], end=[3, 1], squeeze_mask=[False, True], end_mask=[True, False])
        return (
            mb.scatter(data=data, indices=rows, updates=updates, axis=0, mode=mode),
            mb.scatter(data=data, indices=rows, updates=updates, axis=-1, mode=mode, validate_indices=True),
            mb.scatter_along_axis(data=data, indices=places, updates=updates, axis=1, mode=mode),
            mb.scatter_nd(data=data, indices=points, updates=column, mode=mode),
        )

    by_row, by_column, along, at = (data.copy() for _ in range(4))
    join = SIGN[mode]
    for i in range(3):
        at[tuple(points[i])] = join(at[tuple(points[i])], updates[i, 0])
        for j in range(3):
            by_row[rows[i], j] = join(by_row[rows[i], j], updates[i, j])
            by_column[j, rows[i]] = join(by_column[j, rows[i]], updates[j, i])
            along[i, places[i, j]] = join(along[i, places[i, j]], updates[i, j])
    equal(build, [by_row, by_column, along, at], {"data": data, "updates": updates, "rows": rows, "places": places, "points": points})


def test_scatter_of_rows_and_of_integers():
    data, updates = np.zeros((3, 2), np.int32), np.array([[1, 2], [3, 4]], np.int32)

    def build(mb, data, updates, rows):
        return tuple(mb.scatter_nd(data=data, indices=rows, updates=updates, mode=mode) for mode in ("add", "min"))

    equal(build, [[[0, 0], [3, 4], [1, 2]], [[0, 0], [0, 0], [0, 0]]], {"data": data, "updates": updates, "rows": np.array([[2], [1]], np.int32)})


def test_division_of_integers_and_indices_outside_are_refused():
    data, updates, rows = np.ones((3, 2), np.int32), np.ones((1, 2), np.int32), np.array([3], np.int32)
    with pytest.raises(ProgramError, match="outside"):
        computed(lambda mb, d, u, r: mb.scatter(data=d, indices=r, updates=u), {"d": data, "u": updates, "r": rows})
    with pytest.raises(UnknownOperatorError, match="rounding"):
        computed(lambda mb, d, u, r: mb.scatter(data=d, indices=r, updates=u, mode="div"), {"d": data, "u": updates, "r": rows - 1})
