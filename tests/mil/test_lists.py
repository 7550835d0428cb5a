import numpy as np
import pytest
from building import computed

from edgekit.mil.interpreter import ProgramError

X = np.array([[1, 2], [3, 4], [5, 6]], np.float32)


def test_lists_are_written_read_and_grow():
    def build(mb, x, at):
        at = mb.squeeze(x=at, axes=[0])
        empty = mb.make_list(init_length=1, elem_shape=(2,), dtype="fp32")
        filled = mb.list_scatter(ls=empty, indices=[2, 0, 1], value=x)
        changed = mb.list_write(ls=filled, index=at, value=[9.0, 8.0])
        read = mb.list_read(ls=filled, index=at)
        lengths = mb.list_length(ls=changed), mb.list_length(ls=mb.list_write(ls=changed, index=4, value=[0.0, 0.0]))
        return mb.list_gather(ls=changed, indices=[2, 1, 0]), read, *lengths

    gathered, read, length, longer = computed(build, {"x": X, "at": np.array([1], np.int32)})
    np.testing.assert_array_equal(gathered, [X[0], [9, 8], X[1]])
    np.testing.assert_array_equal(read, X[2])
    assert (length.item(), longer.item()) == (3, 5)


def test_a_loop_fills_a_list():
    def build(mb, x):
        def more(i, ls):
            return mb.less(x=i, y=3)

        def step(i, ls):
            row = mb.gather(x=x, indices=i, axis=0)
            return mb.add(x=i, y=1), mb.list_write(ls=ls, index=i, value=mb.mul(x=row, y=2.0))

        start = mb.make_list(init_length=3, elem_shape=(2,), dynamic_length=False, dtype="fp32")
        _, ls = mb.while_loop(_cond=more, _body=step, loop_vars=(0, start))
        return mb.list_gather(ls=ls, indices=[0, 1, 2])

    (got,) = computed(build, {"x": X})
    np.testing.assert_array_equal(got, X * 2)


@pytest.mark.parametrize(
    ("use", "reason"),
    [
        (lambda mb, ls, i: mb.list_read(ls=ls, index=i), "has no value"),
        (lambda mb, ls, i: mb.list_gather(ls=mb.list_write(ls=ls, index=i, value=[1.0, 2.0]), indices=[0]), "outside a list of 2"),
    ],
)
def test_what_a_list_does_not_hold(use, reason):
    def build(mb, x):
        ls = mb.make_list(init_length=2, elem_shape=(2,), dynamic_length=False, dtype="fp32")
        index = mb.cast(x=mb.reduce_max(x=x, axes=[0, 1], keep_dims=False), dtype="int32")
        return use(mb, ls, index)

    with pytest.raises(ProgramError, match=reason):
        computed(build, {"x": X})
