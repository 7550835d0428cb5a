import numpy as np
import pytest
from building import computed

X = np.array([[0.5, 1.5, 2.5, -0.5], [-40, 3.2, 40, -1.4], [60, -60, 0.74, 0.76]], np.float32)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # halves go to the even neighbour, before the zero point is added
        ({"scale": 1.0, "output_dtype": "int8"}, [[0, 2, 2, 0], [-40, 3, 40, -1], [60, -60, 1, 1]]),
        ({"scale": 1.0, "output_dtype": "uint8", "zero_point": np.uint8(3)}, [[3, 5, 5, 3], [0, 6, 43, 2], [63, 0, 4, 4]]),
        ({"scale": 0.25, "output_dtype": "int8"}, [[2, 6, 10, -2], [-128, 13, 127, -6], [127, -128, 3, 3]]),
        (
            {"scale": np.array([0.5, 1, 2], np.float32), "zero_point": np.array([1, 0, -1], np.int8), "axis": 0, "output_dtype": "int8"},
            [[2, 4, 6, 0], [-40, 3, 40, -1], [29, -31, -1, -1]],
        ),
    ],
)
def test_quantize(options, expected):
    (got,) = computed(lambda mb, x: mb.cast(x=mb.quantize(input=x, **options), dtype="int32"), {"x": X})
    np.testing.assert_array_equal(got, expected)


def test_dequantize():
    levels = np.array([[-128, 0, 127], [5, 6, 7]], np.int8)

    def build(mb, x):
        data = mb.quantize(input=x, scale=1.0, output_dtype="int8")
        vector = {"scale": np.array([0.5, 2, 10], np.float32), "zero_point": np.array([-128, 1, 100], np.int8), "axis": -1}
        return mb.dequantize(input=data, scale=0.5), mb.dequantize(input=data, scale=0.5, zero_point=np.int8(-3)), mb.dequantize(input=data, **vector)

    plain, shifted, vector = computed(build, {"x": levels.astype(np.float32)})
    np.testing.assert_array_equal(plain, levels / 2)
    np.testing.assert_array_equal(shifted, [[-62.5, 1.5, 65], [4, 4.5, 5]])
    np.testing.assert_array_equal(vector, [[0, -2, 270], [66.5, 10, -930]])
