"""What a model is called with: what a factory returns beside it, specifications, and what no artifact takes."""

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.errors import ModelSourceError, UsageError
from edgekit.models.inputs import Called, parse_inputs, with_inputs

IMAGE = torch.zeros(1, 3, 8, 8)
IDS = torch.tensor([[5, 9, 7]])


class Plain(nn.Module):
    def forward(self, x):
        return x * 2


class Mixed(nn.Module):
    def forward(self, image, ids, length=3, *, scale=1.0, keep=None):
        assert ids.dtype == torch.int64
        assert keep is None or keep.dtype == torch.bool
        return image.sum() * scale + ids[:, :length].sum() + (0 if keep is None else keep.sum())


def taken(model, inputs, resolution=8):
    return with_inputs("net.py:build", model, inputs, resolution)


@pytest.mark.parametrize("inputs", [(IMAGE,), IMAGE, [IMAGE], {"x": IMAGE}, {"x": "1x3x8x8"}], ids=["tuple", "tensor", "list", "keyword", "text"])
def test_one_picture_is_what_a_model_is_given_anyway(inputs):
    model = Plain()
    assert taken(model, inputs) == (model, None)


def test_tensors_are_inputs_and_the_rest_is_constant():
    called, inputs = taken(Mixed(), {"image": IMAGE, "ids": IDS, "length": 2, "scale": 0.5, "keep": IDS > 6})
    assert [(one.name, str(one.example.dtype), one.example.shape, one.picture) for one in inputs] == [
        ("image", "float32", (1, 3, 8, 8), True),
        ("ids", "int32", (1, 3), False),
        ("keep", "int32", (1, 3), False),
    ]
    tensors = [torch.from_numpy(one.example) for one in inputs]
    assert called(tensors[0] + 1, *tensors[1:]) == 3 * 64 * 0.5 + 14 + 2
    program = torch.export.export(called, tuple(tensors))
    assert torch.equal(program.module()(*tensors), called(*tensors))


def test_positional_arguments_take_the_names_of_forward():
    called, inputs = taken(Mixed(), (IMAGE, IDS, 1))
    assert [one.name for one in inputs] == ["image", "ids"]
    assert called(IMAGE + 1, IDS.int()) == 3 * 64 + 5


def test_a_picture_for_a_keyword_is_still_one():
    class Keyword(nn.Module):
        def forward(self, *, pixels, bias=0.0):
            return pixels + bias

    called, (image,) = taken(Keyword(), {"pixels": IMAGE, "bias": 1.0})
    assert isinstance(called, Called)
    assert (image.name, image.picture) == ("image", True)
    assert torch.equal(called(IMAGE), IMAGE + 1)


def test_samples_hold_the_values_of_the_example_at_other_places():
    _, (_, ids, _) = taken(Mixed(), {"image": IMAGE, "ids": "1x64:int64:50", "keep": "1x3:bool"})
    assert ids.example.max() < 50
    picture = np.ones((1, 3, 8, 8), np.float32)
    first, second = ids.on(picture, 0), ids.on(picture, 1)
    assert np.array_equal(first, ids.example)
    assert not np.array_equal(first, second)
    assert np.array_equal(second, ids.on(picture, 1))
    assert set(second.reshape(-1)) <= set(first.reshape(-1))


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ((IMAGE, IDS, 1, 2, 3), "too many positional arguments"),
        ({"image": IMAGE, "idx": IDS}, "missing a required argument: 'ids'"),
        ((IMAGE, [IDS, IDS]), "input ids of net.py:build is a list"),
        ((IMAGE.half(), IDS), "input image of net.py:build is float16"),
        ({"image": 1, "ids": 2}, "hold no tensor"),
        (3, "returned a int beside its model"),
    ],
)
def test_what_no_artifact_takes_is_refused(inputs, said):
    with pytest.raises(ModelSourceError) as caught:
        taken(Mixed(), inputs)
    assert said in str(caught.value)


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(UsageError) as caught:
        taken(Plain(), (IMAGE,), resolution=224)
    assert caught.value.hint == "--resolution 8"


def test_specifications():
    assert parse_inputs("ids=1x6:int64:50, mask=1x6") == {"ids": "1x6:int64:50", "mask": "1x6"}


@pytest.mark.parametrize("text", ["ids", "1x6", "ids=1xN", "ids=1x6:int64:0", "a b=1", "ids="])
def test_what_is_no_specification_is_refused(text):
    with pytest.raises(UsageError):
        parse_inputs(text)


@pytest.mark.parametrize("spec", ["1x0", "99999x99999x99999", "1x6:float8"])
def test_what_no_input_can_be_is_refused(spec):
    with pytest.raises(UsageError):
        taken(Mixed(), {"image": IMAGE, "ids": spec})
