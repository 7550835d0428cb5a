"""What a program asks for beyond all memory is refused before it is made."""

import numpy as np
import pytest
import torch
from building import computed

from edgekit.mil.bounds import _ESTIMATES, elements
from edgekit.mil.interpreter import ProgramError
from edgekit.mil.operators.context import Context
from edgekit.mil.operators.registry import OPERATORS
from edgekit.mil.types import TensorType

X = torch.arange(96, dtype=torch.float32).reshape(2, 3, 4, 4)
SIZE = np.array([1 << 20, 1 << 20], np.int32)


def ints(*values):
    return torch.tensor(values, dtype=torch.int32)


WINDOW = {"kernel_sizes": ints(2, 2), "strides": ints(1, 1), "pad_type": "custom", "pad": ints(1, 1, 1, 1)}
CASES = {
    "fill": {"shape": ints(5, 7)},
    "tile": {"x": X, "reps": ints(1, 2, 3, 4)},
    "one_hot": {"indices": ints(1, 2, 3), "one_hot_vector_size": torch.tensor(9)},
    "range_1d": {"start": torch.tensor(0), "end": torch.tensor(90), "step": torch.tensor(4)},
    "matmul": {"x": X, "y": X, "transpose_x": torch.tensor(True)},
    "pad": {"x": X, "pad": ints(3, 4, 5, 6)},
    "conv": {"x": X, "weight": torch.ones(6, 3, 1, 1), "pad_type": "custom", "pad": ints(3, 3, 4, 4)},
    "avg_pool": {"x": X, **WINDOW},
    "max_pool": {"x": X, **WINDOW},
    "l2_pool": {"x": X, **WINDOW},
    "conv_transpose": {"x": X, "weight": torch.ones(3, 5, 2, 2), "strides": ints(3, 3)},
    "resize_bilinear": {"x": X, "target_size_height": torch.tensor(9), "target_size_width": torch.tensor(11)},
    "resize_nearest_neighbor": {"x": X, "target_size_height": torch.tensor(9), "target_size_width": torch.tensor(11)},
    "resize": {"x": X, "shape": ints(9, 11), "resized_dims": torch.tensor(2)},
    "upsample_bilinear": {"x": X, "scale_factor_height": torch.tensor(3), "scale_factor_width": torch.tensor(5)},
    "upsample_nearest_neighbor": {"x": X, "scale_factor_height": torch.tensor(3), "scale_factor_width": torch.tensor(5)},
    "gather": {"x": X, "indices": ints(0, 1, 1, 0, 1), "axis": torch.tensor(0)},
    "add": {"x": X.reshape(-1, 1), "y": X.reshape(1, -1)},
}


@pytest.mark.parametrize("kind", CASES)
def test_estimates_are_no_less_than_the_result_and_not_far_from_it(kind):
    entry = OPERATORS[kind]
    context = Context(outputs=(TensorType("fp32"),), opset="CoreML8")
    result = entry.compute(context, **CASES[kind]) if entry.takes_context else entry.compute(**CASES[kind])
    estimate = elements(kind, CASES[kind])
    assert result.numel() <= estimate <= 4 * result.numel()


def test_every_estimate_has_a_case():
    assert _ESTIMATES.keys() - CASES.keys() == {"affine", "crop_resize"}  # these have their targets as resize_bilinear has


def test_what_cannot_be_estimated_is_left_to_the_operator():
    assert elements("tile", {"x": X, "reps": "many"}) == 0
    assert elements("add", {"x": torch.ones(2), "y": torch.ones(3)}) == 0
    assert elements("relu", {"x": X}) == 0


def outer_sum(mb, size):
    count = mb.slice_by_size(x=size, begin=[0], size=[1])
    column = mb.fill(shape=mb.concat(values=[count, [1]], axis=0), value=1.0)
    row = mb.fill(shape=mb.concat(values=[[1], count], axis=0), value=1.0)
    return mb.add(x=column, y=row)


@pytest.mark.parametrize(
    ("kind", "build"),
    [
        ("fill", lambda mb, size: mb.fill(shape=size, value=1.0)),
        ("tile", lambda mb, size: mb.tile(x=np.ones((1, 1), np.float32), reps=size)),
        ("add", outer_sum),
    ],
)
def test_sizes_that_are_known_when_it_runs_only(kind, build):
    with pytest.raises(ProgramError, match=f"{kind} .* makes {1 << 40} elements"):
        computed(build, {"size": SIZE})
