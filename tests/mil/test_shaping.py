import numpy as np
import pytest
import torch
from building import computed

from edgekit.mil.interpreter import ProgramError

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
IMAGE = np.random.default_rng(0).standard_normal((2, 8, 4, 6)).astype(np.float32)


def equal(build, expected, inputs=None, **options):
    got = computed(build, inputs or {"x": X}, **options)
    expected = expected if isinstance(expected, list) else [expected]
    assert len(got) == len(expected)
    for one, wanted in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, wanted)


@pytest.mark.parametrize(
    ("sizes", "expected", "ios"),
    [
        ([4, -1], (4, 6), 17),
        ([0, -1], (3, 8), 17),  # the 0 counts from the right: the size 3 of x
        ([1, 0, -1, 0], (1, 2, 3, 4), 17),
        ([0, 0, 0, 0, 0], (1, 1, 2, 3, 4), 17),
        ([0, -1, 0], (2, 3, 4), 15),
        ([0, 12, 1], (2, 12, 1), 16),
    ],
)
def test_reshape_with_rest_and_kept_sizes(sizes, expected, ios):
    equal(lambda mb, x: mb.reshape(x=x, shape=sizes), X.reshape(expected), ios=ios)


def test_a_kept_size_of_another_rank_is_an_error_before_ios_17():
    def build(mb, x, shape):
        return mb.reshape(x=x, shape=shape)

    with pytest.raises(ProgramError, match="not the rank"):
        computed(build, {"x": X, "shape": np.array([0, -1], np.int32)}, ios=16)
    equal(build, X.reshape(3, 8), {"x": X, "shape": np.array([0, -1], np.int32)})


def test_reshape_like_joins_cut_shapes():
    a, b = np.zeros((2, 3, 9), np.float32), np.zeros((1, 2, 2), np.float32)

    def build(mb, x, a, b):
        return mb.reshape_like(x=x, ref_tensors=(a, b), begins=(0, 1), ends=(2, 0), end_masks=(False, True))

    equal(build, X.reshape(2, 3, 2, 2), {"x": X, "a": a, "b": b})


def test_reshape_like_one_tensor():
    like = np.zeros((2, 12, 5), np.float32)

    def build(mb, x, a):
        return mb.reshape_like(x=x, ref_tensors=(a,), begins=(0,), ends=(2,), end_masks=(False,))

    equal(build, X.reshape(2, 12), {"x": X, "a": like})


def test_axes_of_size_one():
    def build(mb, x):
        wide = mb.expand_dims(x=x, axes=[-1, 0])
        return wide, mb.squeeze(x=wide, axes=[0, 1, -1]), mb.squeeze(x=wide), mb.flatten2d(x=x), mb.flatten2d(x=x, axis=-1), mb.shape(x=x)

    # axis 1 of the squeezed one has size 2 and stays
    equal(build, [X[None, ..., None], X, X, X.reshape(2, 12), X.reshape(6, 4), np.array([2, 3, 4])])


def test_order_of_axes_and_elements():
    def build(mb, x):
        return (
            mb.transpose(x=x, perm=[2, -3, 1]),
            mb.reverse(x=x, axes=[0, -1]),
            mb.reverse(x=x),
            mb.identity(x=x),
            mb.sliding_windows(x=x, axis=-1, size=2),
            mb.sliding_windows(x=x, axis=1, size=1, stride=2),
        )

    windows = np.stack([X[..., i : i + 2] for i in range(3)], axis=-2)
    strided = np.stack([X[:, i : i + 1] for i in (0, 2)], axis=1)
    equal(build, [X.transpose(2, 0, 1), X[::-1, :, ::-1], X[::-1, ::-1, ::-1], X, windows, strided])


@pytest.mark.parametrize(("seq", "batch"), [(1, 0), (0, 1), (-1, 1)])
def test_reverse_sequence(seq, batch):
    lengths = np.array([2, 1, 3], np.int32)[: X.shape[batch]]
    expected = X.copy()
    for i, length in enumerate(lengths):
        chosen, row = np.moveaxis(expected, (batch, seq), (0, 1))[i], np.moveaxis(X, (batch, seq), (0, 1))[i]
        chosen[:length] = row[:length][::-1]
    equal(lambda mb, x, n: mb.reverse_sequence(x=x, lengths=n, seq_axis=seq, batch_axis=batch), expected, {"x": X, "n": lengths})


def test_depth_and_space():
    def build(mb, x):
        return mb.depth_to_space(x=x, block_size=2), mb.pixel_shuffle(x=x, upscale_factor=2), mb.space_to_depth(x=x, block_size=2)

    n = len(IMAGE)
    block_first, block_last = np.zeros((n, 2, 8, 12), np.float32), np.zeros((n, 2, 8, 12), np.float32)
    for i in range(2):
        for j in range(2):
            for channel in range(2):
                block_first[:, channel, i::2, j::2] = IMAGE[:, (i * 2 + j) * 2 + channel]
                block_last[:, channel, i::2, j::2] = IMAGE[:, channel * 4 + i * 2 + j]
    deep = np.concatenate([IMAGE[:, :, i::2, j::2] for i in range(2) for j in range(2)], axis=1)
    equal(build, [block_first, block_last, deep], {"x": IMAGE})


def test_pixel_unshuffle():
    expected = np.stack([IMAGE[:, :, i::2, j::2] for i in range(2) for j in range(2)], axis=2).reshape(2, 32, 2, 3)
    equal(lambda mb, x: mb.pixel_unshuffle(x=x, downscale_factor=np.uint32(2)), expected, {"x": IMAGE}, ios=16)


def test_space_and_batch():
    def build(mb, x):
        split = mb.space_to_batch(x=x, block_shape=[2, 3], paddings=[[1, 1], [0, 3]])
        return split, mb.batch_to_space(x=split, block_shape=[2, 3], crops=[[1, 1], [0, 3]])

    padded = np.pad(IMAGE, ((0, 0), (0, 0), (1, 1), (0, 3)))
    expected = np.concatenate([padded[:, :, i::2, j::3] for i in range(2) for j in range(3)])
    equal(build, [expected, IMAGE], {"x": IMAGE})


def test_integers_and_truth_values_keep_their_type():
    flags = np.array([[True, False], [False, True]])
    (got,) = computed(lambda mb, x: mb.transpose(x=x, perm=[1, 0]), {"x": X[0].astype(np.int32)})
    assert got.dtype == np.int32
    (got,) = computed(lambda mb, x: mb.reverse(x=mb.greater(x=x, y=0.5), axes=[0]), {"x": flags.astype(np.float32)})
    np.testing.assert_array_equal(got, torch.from_numpy(flags).flip(0).numpy())
