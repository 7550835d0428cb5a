import numpy as np
import pytest
import torch
from building import computed
from torch.nn import functional as F

from edgekit.mil.interpreter import UnknownOperatorError

IMAGE = np.random.default_rng(0).standard_normal((2, 3, 5, 7)).astype(np.float32)
RAMP = np.array([0, 1], np.float32).reshape(1, 1, 2)


def near(build, expected, inputs=None, *, atol=2e-6, **options):
    got = computed(build, inputs or {"x": IMAGE}, **options)
    expected = expected if isinstance(expected, list) else [expected]
    assert len(got) == len(expected)
    for one, wanted in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, wanted, rtol=0, atol=atol)


def refused(build, inputs, reason, **options):
    with pytest.raises(UnknownOperatorError, match=reason):
        computed(build, inputs, **options)


def at(image, y, x):
    """Return images at one point, bilinear, by the definition."""
    y, x = min(max(y, 0), image.shape[-2] - 1), min(max(x, 0), image.shape[-1] - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, image.shape[-2] - 1), min(left + 1, image.shape[-1] - 1)
    above = image[..., top, left] * (1 - x + left) + image[..., top, right] * (x - left)
    below = image[..., bottom, left] * (1 - x + left) + image[..., bottom, right] * (x - left)
    return above * (1 - y + top) + below * (y - top)


GRIDS = {
    # the reference's own table, for [0, 1]
    ("UNALIGN_CORNERS", 5): [0, 0.1, 0.5, 0.9, 1],
    ("STRICT_ALIGN_CORNERS", 5): [0, 0.25, 0.5, 0.75, 1],
    ("ALIGN_CORNERS", 5): [0, 0.25, 0.5, 0.75, 1],
    ("DEFAULT", 5): [0, 0.4, 0.8, 1, 1],
    ("OFFSET_CORNERS", 5): [0.1, 0.3, 0.5, 0.7, 0.9],
    ("UNALIGN_CORNERS", 6): [0, 0, 1 / 3, 2 / 3, 1, 1],
    ("STRICT_ALIGN_CORNERS", 6): [0, 0.2, 0.4, 0.6, 0.8, 1],
    ("DEFAULT", 6): [0, 1 / 3, 2 / 3, 1, 1, 1],
    ("OFFSET_CORNERS", 6): [1 / 12, 3 / 12, 5 / 12, 7 / 12, 9 / 12, 11 / 12],
    # one point
    ("STRICT_ALIGN_CORNERS", 1): [0],
    ("ALIGN_CORNERS", 1): [0.5],
}


@pytest.mark.parametrize(("mode", "count"), GRIDS)
def test_grid_points_of_each_mode(mode, count):
    def build(mb, x):
        return (
            mb.resize_bilinear(x=x, target_size_height=1, target_size_width=count, sampling_mode=mode),
            mb.resize(x=x, shape=[1, count], resized_dims=np.uint32(2), sampling_mode=mode),
            mb.resize(x=x, shape=[0, 0, count], resized_dims=np.uint32(3), sampling_mode=mode),
        )

    near(build, [np.array(GRIDS[mode, count]).reshape(1, 1, -1)] * 3, {"x": RAMP})


def test_bilinear_at_both_axes():
    def build(mb, x):
        return (
            mb.resize_bilinear(x=x, target_size_height=3, target_size_width=11, sampling_mode="UNALIGN_CORNERS"),
            mb.resize_bilinear(x=x, target_size_height=8, target_size_width=4, sampling_mode="ALIGN_CORNERS"),
            mb.resize_bilinear(x=x, target_size_height=4, target_size_width=14),
        )

    image = torch.from_numpy(IMAGE)
    default = np.stack([np.stack([at(IMAGE, i * 5 / 4, j / 2) for j in range(14)], -1) for i in range(4)], -2)
    near(
        build, [F.interpolate(image, size=(3, 11), mode="bilinear"), F.interpolate(image, size=(8, 4), mode="bilinear", align_corners=True), default]
    )


def test_upsampling():
    def build(mb, x):
        return (
            mb.upsample_nearest_neighbor(x=x, scale_factor_height=3, scale_factor_width=2),
            mb.upsample_nearest_neighbor(x=x, scale_factor_height=1.6, scale_factor_width=1.0),
            mb.upsample_bilinear(x=x, scale_factor_height=2, scale_factor_width=3),
            mb.upsample_bilinear(x=x, scale_factor_height=2.5, scale_factor_width=1.3, align_corners=False),
            mb.upsample_bilinear(x=x, scale_factor_height=2, scale_factor_width=1, align_corners=False, half_pixel_centers=False),
        )

    image = torch.from_numpy(IMAGE)
    expected = [
        IMAGE.repeat(3, -2).repeat(2, -1),
        IMAGE[:, :, [int(i * 5 / 8) for i in range(8)]],
        F.interpolate(image, size=(10, 21), mode="bilinear", align_corners=True),
        F.interpolate(image, size=(12, 9), mode="bilinear", align_corners=False),
        np.stack([(IMAGE[:, :, i // 2] + IMAGE[:, :, min((i + 1) // 2, 4)]) / 2 for i in range(10)], -2),
    ]
    near(build, expected, ios=16)


def test_nearest_neighbours():
    def build(mb, x):
        return (
            mb.resize_nearest_neighbor(x=x, target_size_height=2, target_size_width=10),
            mb.resize(x=x, shape=[2, 10], resized_dims=np.uint32(2), interpolation_mode="NEAREST_NEIGHBOR", sampling_mode="UNALIGN_CORNERS"),
            mb.resize(x=x, shape=[10, 0], resized_dims=np.uint32(2), interpolation_mode="NEAREST_NEIGHBOR"),
            mb.resize(x=x, shape=[3], resized_dims=np.uint32(1), interpolation_mode="NEAREST_NEIGHBOR", sampling_mode="ALIGN_CORNERS"),
        )

    rows, columns = [int((i + 0.5) * 5 / 2) for i in range(2)], [int((i + 0.5) * 7 / 10) for i in range(10)]
    centred = IMAGE[:, :, rows][..., columns]
    near(build, [centred, centred, IMAGE.repeat(2, -2), IMAGE[..., [0, 3, 6]]], atol=0)


@pytest.mark.parametrize(("count", "mode"), [(15, "DEFAULT"), (9, "ALIGN_CORNERS")])
def test_a_nearest_pixel_that_the_reference_leaves_open_is_refused(count, mode):
    def build(mb, x):
        return mb.resize(x=x, shape=[count, 7], resized_dims=np.uint32(2), interpolation_mode="NEAREST_NEIGHBOR", sampling_mode=mode)

    refused(build, {"x": IMAGE}, "leaves open")


def test_crop():
    near(lambda mb, x: mb.crop(x=x, crop_height=[1, 0], crop_width=[2, 3]), IMAGE[..., 1:, 2:-3], atol=0)


SQUARE = np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)


def test_boxes_of_ios_17():
    high, wide = np.array([[1.5, 3.0, 1.0, 2.0]], np.float32), np.array([[6, 3, 2, 2]], np.float32)
    boxes = np.array([[0.1, 0.3, 1.3, 1.0], [0.5, 1.8, 1.0, 0.3], [0.0, 0.4, 0.6, 0.7]], np.float32)

    def build(mb, x, boxes):
        options = {"target_height": 2, "target_width": 2, "sampling_mode": "ALIGN_CORNERS"}
        return (
            mb.crop_resize(x=x, boxes=boxes, box_indices=[0, 0, 0], normalized_coordinates=True, pad_value=10.0, **options),
            mb.crop_resize(x=x, boxes=high, box_coordinate_mode="CENTER_SIZE_HEIGHT_FIRST", **options),
            mb.crop_resize(x=x, boxes=wide, box_coordinate_mode="CENTER_SIZE_WIDTH_FIRST", spatial_scale=0.5, **options),
        )

    # x at (h, w) is 1 + 4 h + w; the first row is known from devices (Core ML Tools' own test)
    expected = [[3.1, 5.2, 10, 10], [10, 7.9, 10, 13.9], [2.2, 3.1, 9.4, 10.3]]
    by_height, by_width = [7, 0, 11, 0], [7.5, 0, 11.5, 0]
    shaped = [np.array(values).reshape(-1, 1, 2, 2) for values in (expected, by_height, by_width)]
    near(build, shaped, {"x": SQUARE, "boxes": boxes}, atol=2e-5)


def test_boxes_of_several_images():
    boxes = np.array([[1, 1, 2, 2], [0, 0, 3, 3]], np.float32)

    def build(mb, x):
        return mb.crop_resize(x=x, boxes=boxes, sampling_mode="ALIGN_CORNERS"), mb.crop_resize(x=x, boxes=boxes, box_indices=[1, 1])

    near(build, [np.array([8.5, -8.5]).reshape(2, 1, 1, 1), np.array([-6, -1]).reshape(2, 1, 1, 1)], {"x": np.concatenate([SQUARE, -SQUARE])})


@pytest.mark.parametrize(
    ("mode", "points"),
    [
        ("STRICT_ALIGN_CORNERS", [1, 5 / 3, 7 / 3, 3]),
        ("DEFAULT", [1, 1.75, 2.5, 3]),  # the box is a size of 3, clamped at its end
        ("OFFSET_CORNERS", [1.25, 1.75, 2.25, 2.75]),
        ("UNALIGN_CORNERS", [1, 1.625, 2.375, 3]),
    ],
)
def test_rois_of_ios_16_in_each_mode(mode, points):
    every = np.array([1, 0, 3, 2], np.float32).reshape(1, 1, 4, 1, 1)
    chosen = np.array([[0, 0, 1, 2, 3], [0, 0, 1, 2, 3]], np.float32).reshape(2, 1, 5, 1, 1)

    def build(mb, x, one):
        options = {"target_height": 4, "target_width": 1, "sampling_mode": mode}
        return mb.crop_resize(x=x, roi=every, **options), mb.crop_resize(x=one, roi=chosen, box_coordinate_mode="CORNERS_WIDTH_FIRST", **options)

    left = {"STRICT_ALIGN_CORNERS": 0, "DEFAULT": 0, "OFFSET_CORNERS": 1, "UNALIGN_CORNERS": 1}[mode]
    column = np.array([1 + 4 * h + left for h in points])
    both = np.stack([column, -column]).reshape(1, 2, 1, 4, 1)
    inputs = {"x": np.concatenate([SQUARE, -SQUARE]), "one": SQUARE}
    near(build, [both, np.stack([column, column]).reshape(2, 1, 1, 4, 1)], inputs, ios=16, atol=1e-5)


def test_boxes_that_have_no_meaning_are_refused():
    def outside(mb, x):
        return mb.crop_resize(x=x, roi=np.array([0, 0, 4, 2], np.float32).reshape(1, 1, 4, 1, 1), target_height=2, sampling_mode="ALIGN_CORNERS")

    def inverted(mb, x):
        return mb.crop_resize(x=x, boxes=np.array([[2, 2, 1, 1]], np.float32), target_height=2)

    refused(outside, {"x": SQUARE}, "leaves the image", ios=15)
    refused(inverted, {"x": SQUARE}, "ends before it starts")


PLACES = np.random.default_rng(1).uniform(-2.6, 2.6, (2, 4, 6, 2)).astype(np.float32)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding", ["constant", "border", "reflection", "symmetric"])
def test_resample_by_padding_the_image(mode, padding, aligned):
    """The image is padded far enough, by NumPy; then no point lies outside."""

    def build(mb, x, places):
        return mb.resample(
            x=x,
            coordinates=places,
            sampling_mode=mode,
            padding_mode=padding,
            padding_value=0.75,
            coordinates_mode="normalized_minus_one_to_one",
            align_corners=aligned,
        )

    kind = {"constant": "constant", "border": "edge", "reflection": "reflect", "symmetric": "symmetric"}[padding]
    padded = np.pad(IMAGE, ((0, 0), (0, 0), (20, 20), (20, 20)), kind, **({"constant_values": 0.75} if kind == "constant" else {}))
    size = np.array([7, 5])
    points = (PLACES + 1) / 2 * (size - 1) if aligned else ((PLACES + 1) * size - 1) / 2
    points = (np.floor(points + 0.5) if mode == "nearest" else points) + 20
    expected = np.stack([np.stack([at(padded[b], y, x) for x, y in points[b].reshape(-1, 2)], -1) for b in range(2)]).reshape(2, 3, 4, 6)
    near(build, expected, {"x": IMAGE, "places": PLACES}, atol=5e-5)


def test_resample_in_other_coordinates():
    image = np.array([11, 22, 33, 44], np.float32).reshape(1, 1, 2, 2)
    places = np.array([-1, -2, -3.7, -1, 0, 0, 3.5, 1.2], np.float32).reshape(1, 2, 2, 2)

    def build(mb, x, places):
        def sampled(mode, padding, kind, aligned):
            return mb.resample(
                x=x,
                coordinates=places,
                sampling_mode=mode,
                padding_mode=padding,
                padding_value=6.17,
                coordinates_mode=kind,
                align_corners=aligned,
            )

        return (
            sampled("bilinear", "constant", "normalized_minus_one_to_one", True),
            sampled("nearest", "border", "unnormalized", False),
            sampled("bilinear", "reflection", "normalized_zero_to_one", True),
            sampled("nearest", "symmetric", "normalized_zero_to_one", False),
        )

    # known from devices (Core ML Tools' own test)
    expected = [[8.585, 6.17, 27.5, 6.17], [11, 11, 11, 44], [22, 36.3, 11, 34.1], [22, 33, 11, 33]]
    near(build, [np.array(row).reshape(1, 1, 2, 2) for row in expected], {"x": image, "places": places}, atol=1e-4)


def test_affine():
    matrices = np.array([[1, 0.2, 0.1, -0.3, 0.8, 0], [0.5, 0, 0, 0, 2, -0.25]], np.float32)

    def build(mb, x, m):
        return mb.affine(
            x=x,
            transform_matrix=m,
            output_height=4,
            output_width=6,
            sampling_mode="bilinear",
            padding_mode="constant",
            padding_value=0.0,
            coordinates_mode="normalized_minus_one_to_one",
            align_corners=True,
        )

    padded = np.pad(IMAGE, ((0, 0), (0, 0), (9, 9), (9, 9)))
    expected = np.zeros((2, 3, 4, 6), np.float32)
    for b, (a0, a1, a2, b0, b1, b2) in enumerate(matrices):
        for i, y in enumerate(np.linspace(-1, 1, 4)):
            for j, x in enumerate(np.linspace(-1, 1, 6)):
                across, down = a0 * x + a1 * y + a2, b0 * x + b1 * y + b2
                expected[b, :, i, j] = at(padded[b], (down + 1) / 2 * 4 + 9, (across + 1) / 2 * 6 + 9)
    near(build, expected, {"x": IMAGE, "m": matrices}, atol=1e-5)
