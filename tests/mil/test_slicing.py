import numpy as np
import pytest
from building import computed

from edgekit.mil.interpreter import ProgramError

X = np.arange(120, dtype=np.float32).reshape(4, 5, 6)


def equal(build, expected, inputs=None, **options):
    got = computed(build, inputs or {"x": X}, **options)
    expected = expected if isinstance(expected, list) else [expected]
    assert len(got) == len(expected)
    for one, wanted in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, wanted)


SLICES = {
    "plain": ({"begin": [1, 0, 2], "end": [3, 5, 5]}, np.s_[1:3, 0:5, 2:5]),
    "negative positions": ({"begin": [-3, 1, -4], "end": [4, -1, -1]}, np.s_[-3:4, 1:-1, -4:-1]),
    "strides": ({"begin": [0, 0, 1], "end": [4, 5, 6], "stride": [3, 2, 2]}, np.s_[0:4:3, 0:5:2, 1:6:2]),
    "backwards": (
        {"begin": [3, 4, 0], "end": [0, 0, 0], "stride": [-1, -2, -3], "begin_mask": [False, False, True], "end_mask": [False, True, True]},
        np.s_[3:0:-1, 4::-2, ::-3],
    ),
    "masks": (
        {"begin": [2, 2, 2], "end": [3, 3, 3], "begin_mask": [True, False, True], "end_mask": [False, True, True]},
        np.s_[:3, 2:, :],
    ),
    "squeeze": ({"begin": [1, -2, 0], "end": [0, 0, 3], "squeeze_mask": [True, True, False]}, np.s_[1, -2, 0:3]),
    "all squeezed": ({"begin": [1, -1, 2], "end": [0, 0, 0], "squeeze_mask": [True] * 3}, np.s_[1, -1, 2]),
}


@pytest.mark.parametrize("case", SLICES)
def test_slice_by_index(case):
    parameters, where = SLICES[case]
    equal(lambda mb, x: mb.slice_by_index(x=x, **parameters), X[where])


@pytest.mark.parametrize("case", [case for case in SLICES if case != "all squeezed"])
def test_slice_update(case):
    parameters, where = SLICES[case]
    expected = X.copy()
    update = -np.arange(1, X[where].size + 1, dtype=np.float32).reshape(X[where].shape)
    expected[where] = update
    equal(lambda mb, x, u: mb.slice_update(x=x, update=u, **parameters), expected, {"x": X, "u": update}, ios=18)


def test_slice_at_positions_that_are_data():
    def build(mb, x, b):
        return mb.slice_by_size(x=x, begin=b, size=[2, -1, 3]), mb.slice_by_index(x=x, begin=b, end=[4, 5, 6])

    equal(build, [X[1:3, -2:, 0:3], X[1:4, -2:5, 0:6]], {"x": X, "b": np.array([1, -2, 0], np.int32)})


def test_slice_by_size_that_does_not_fit():
    with pytest.raises(ProgramError, match="slice_by_size"):
        computed(lambda mb, x, b: mb.slice_by_size(x=x, begin=b, size=[4, 1, 1]), {"x": X, "b": np.array([1, 0, 0], np.int32)})


def test_split():
    def build(mb, x):
        even = mb.split(x=x, axis=-1, num_splits=3)
        uneven = mb.split(x=x, axis=1, split_sizes=[1, 4])
        return (*even, *uneven, mb.split(x=x, axis=0, num_splits=1))

    equal(build, [X[..., 0:2], X[..., 2:4], X[..., 4:6], X[:, :1], X[:, 1:], X])


def test_concat_and_stack():
    a, b = np.array([[1, 2], [3, 4], [5, 6]], np.float32), np.array([[7, 8], [9, 10], [11, 12]], np.float32)

    def build(mb, a, b):
        scalars = [mb.reduce_sum(x=value, axes=[0, 1], keep_dims=False) for value in (a, b)]
        return (
            mb.concat(values=(a, b), axis=0),
            mb.concat(values=(a, b), axis=-2, interleave=True),
            mb.concat(values=(a, b), axis=1, interleave=True),
            mb.concat(values=(a,), axis=1),
            mb.concat(values=scalars, axis=0),
            mb.stack(values=(a, b), axis=1),
            mb.stack(values=(a, b), axis=-1),
        )

    rows = np.array([[1, 2], [7, 8], [3, 4], [9, 10], [5, 6], [11, 12]])
    columns = np.array([[1, 7, 2, 8], [3, 9, 4, 10], [5, 11, 6, 12]])
    pairs = np.array([[[1, 7], [2, 8]], [[3, 9], [4, 10]], [[5, 11], [6, 12]]])
    equal(build, [np.r_[a, b], rows, columns, a, [21, 57], np.stack([a, b], 1), pairs], {"a": a, "b": b})


def test_tile_and_pad():
    def build(mb, x):
        return (
            mb.tile(x=x, reps=[1, 2, 3]),
            mb.pad(x=x, pad=[1, 2, 0, 3], constant_val=-7.0),
            mb.pad(x=x, pad=[3, 1, 0, 4, 5, 2], mode="reflect"),
            mb.pad(x=x, pad=[0, 2, 3, 0], mode="replicate"),
        )

    equal(
        build,
        [
            np.tile(X, (1, 2, 3)),
            np.pad(X, ((0, 0), (1, 2), (0, 3)), constant_values=-7),
            np.pad(X, ((3, 1), (0, 4), (5, 2)), "reflect"),
            np.pad(X, ((0, 0), (0, 2), (3, 0)), "edge"),
        ],
    )


def test_too_little_to_mirror():
    with pytest.raises(ProgramError, match="mirrored"):
        computed(lambda mb, x, p: mb.pad(x=x, pad=p, mode="reflect"), {"x": X[0], "p": np.array([5, 0, 0, 0], np.int32)})


@pytest.mark.parametrize(("lower", "upper"), [(-1, -1), (0, -1), (-1, 0), (0, 0), (2, 1), (1, 3)])
def test_band_part(lower, upper):
    row, column = np.indices(X.shape[1:])
    kept = ((lower < 0) | (row - column <= lower)) & ((upper < 0) | (column - row <= upper))
    equal(lambda mb, x: mb.band_part(x=x, lower=lower, upper=upper), X * kept)
