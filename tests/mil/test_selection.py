import numpy as np
import pytest
import torch
from building import computed

from edgekit.mil.operators.selection import OPERATORS

X = np.array([[3, 1, 2, 1, 5], [0, 0, 7, -1, 7]], np.float32)


def equal(build, expected, inputs=None, **options):
    got = computed(build, inputs or {"x": X}, **options)
    expected = expected if isinstance(expected, list) else [expected]
    assert len(got) == len(expected)
    for one, wanted in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, wanted)


def test_topk_takes_the_first_of_equal_values():
    def build(mb, x):
        return (
            *mb.topk(x=x, k=3),
            *mb.topk(x=x, k=2, axis=-1, ascending=True, sort=False),
            *mb.topk(x=x, k=1, axis=0),
        )

    largest = [[[5, 3, 2], [7, 7, 0]], [[4, 0, 2], [2, 4, 0]]]
    smallest = [[[1, 1], [-1, 0]], [[1, 3], [3, 0]]]
    column = [[[3, 1, 7, 1, 7]], [[0, 0, 1, 0, 1]]]
    equal(build, [*largest, *smallest, *column])


def test_topk_without_indices_and_with_small_ones():
    def build(mb, x):
        values = mb.topk(x=x, k=2, return_indices=False)
        return values, mb.cast(x=mb.topk(x=x, k=2, output_indices_dtype="uint16")[1], dtype="int32")

    equal(build, [[[5, 3], [7, 7]], [[4, 0], [2, 4]]])


def test_argsort():
    def build(mb, x):
        return mb.argsort(x=x), mb.argsort(x=x, ascending=True), mb.argsort(x=x, axis=0)

    equal(build, [[[4, 0, 2, 1, 3], [2, 4, 0, 1, 3]], [[1, 3, 2, 0, 4], [3, 0, 1, 2, 4]], [[0, 0, 1, 0, 1], [1, 1, 0, 1, 0]]])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [3, 4, 6, 7, 12]),
        ({"exclusive": True}, [0, 3, 4, 6, 7]),
        ({"reverse": True}, [12, 9, 8, 6, 5]),
        ({"exclusive": True, "reverse": True}, [9, 8, 6, 5, 0]),
    ],
)
def test_cumsum(options, expected):
    equal(lambda mb, x: mb.cumsum(x=x, axis=1, **options), np.array([expected]), {"x": X[:1]})
    equal(lambda mb, x: mb.cumsum(x=x, **options), np.array(expected), {"x": X[0].astype(np.int32)})


def test_filled_tensors_and_ranges():
    def build(mb, x, size):
        return (
            mb.fill(shape=size, value=2.5),
            mb.fill(shape=size, value=7),
            mb.fill(shape=size),
            mb.fill_like(ref_tensor=x, value=3),
            mb.range_1d(start=1, end=mb.reduce_max(x=size, axes=[0], keep_dims=False), step=1),
            mb.range_1d(start=mb.reduce_max(x=x, axes=[0, 1], keep_dims=False), end=5.5, step=-0.5),
        )

    expected = [np.full((4, 2), 2.5), np.full((4, 2), 7), np.zeros((4, 2)), np.full((2, 5), 3), [1, 2, 3], [7, 6.5, 6]]
    equal(build, expected, {"x": X, "size": np.array([4, 2], np.int32)})


def test_one_hot():
    indices = np.array([[2, 0], [1, 3]], np.int32)

    def build(mb, i):
        return (
            mb.one_hot(indices=i, one_hot_vector_size=3),
            mb.one_hot(indices=i, one_hot_vector_size=3, axis=1, on_value=4.5, off_value=-1.0),
            mb.one_hot(indices=i, one_hot_vector_size=3, axis=-2),
        )

    plain = np.array([[[0, 0, 1], [1, 0, 0]], [[0, 1, 0], [0, 0, 0]]])  # 3 is no place: no mark
    moved = np.where(np.moveaxis(plain, -1, 1), 4.5, -1)
    equal(build, [plain, moved, np.moveaxis(plain, -1, -2)], {"i": indices})


def test_non_zero():
    equal(lambda mb, x: mb.non_zero(x=x), np.argwhere(X))


BOXES = np.array([[0, 0, 2, 2], [0.5, 0, 2, 2], [5, 5, 2, 4], [0, 0.2, 2, 2], [5, 5, 0, 0]], np.float32)
# IoU of 0 and 1: 3 / 5, of 0 and 3: 3.6 / 4.4, of 1 and 3: 1.5 * 1.8 / 5.3
SCORES = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.6], [0.7, 0.2], [0.05, 0.01]], np.float32)


@pytest.mark.parametrize(
    ("overlap", "least", "by_class", "taken"),
    [
        (0.55, 0.1, False, [0, 2]),
        (0.62, 0.1, False, [0, 1, 2]),
        (0.9, 0.65, False, [0, 1, 3]),
        (0.55, 0.0, True, [0, 1, 2, 4]),
        (0.5, 0.95, False, [0]),  # none reaches the score
    ],
)
def test_non_maximum_suppression(overlap, least, by_class, taken):
    def build(mb, boxes, scores):
        return mb.non_maximum_suppression(
            boxes=boxes, scores=scores, iou_threshold=overlap, score_threshold=least, max_boxes=4, per_class_suppression=by_class
        )

    missing = 4 - len(taken)
    boxes, scores = np.pad(BOXES[taken], ((0, missing), (0, 0))), np.pad(SCORES[taken], ((0, missing), (0, 0)))
    indices = np.array(taken + [-1] * missing)
    equal(build, [boxes[None], scores[None], indices[None], [len(taken)]], {"boxes": BOXES[None], "scores": SCORES[None]}, ios=16)


def test_non_maximum_suppression_with_boxes_last():
    def build(mb, boxes, scores):
        return mb.non_maximum_suppression(boxes=boxes, scores=scores, iou_threshold=0.55, max_boxes=2, per_class_suppression=True)

    inputs = {"boxes": np.stack([BOXES.T, BOXES[::-1].T]), "scores": np.stack([SCORES.T, SCORES[::-1].T])}
    boxes, scores = BOXES[[0, 1]].T, SCORES[[0, 1]].T
    equal(build, [np.stack([boxes, boxes]), np.stack([scores, scores]), [[0, 1], [4, 3]]], inputs)


def test_topk_of_all():
    """Not through the builder, which declares a size of -1 for it."""
    values, places = OPERATORS["topk"](x=torch.from_numpy(X), k=torch.tensor(-1), ascending=torch.tensor(True))
    assert values.tolist() == [[1, 1, 2, 3, 5], [-1, 0, 0, 7, 7]]
    assert places.tolist() == [[1, 3, 2, 0, 4], [3, 0, 1, 2, 4]]
