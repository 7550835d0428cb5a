"""What stops torch.export, provoked one by one: each is put into words, with the line and something to try."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgekit.capture import capture
from edgekit.errors import CaptureError

SCRIPTED = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 1)))


@torch.library.custom_op("edgekit_tests::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def an_exit(x):
    if x.mean().item() > 0:
        return x
    return -x


def a_clamp(x):
    if (x > 3).any():
        x = x.clamp(max=3)
    return x


def an_elif(x):
    if x.shape[0] > 1:
        return x
    elif x.sum() > 0:  # noqa: RET505
        return -x
    return x


def an_assertion(x):
    assert x.min() > -100
    return x


def a_while(x):
    while x.abs().sum() > 1:
        x = x / 2
    return x


def a_range(x):
    for _ in range(int(x.sum().abs())):
        x = x + 1
    return x


def a_comprehension(x):
    return sum(t for t in x[0] if t.sum() > 0)


def an_expression(x):
    return x if bool(x.sum()) else -x


def an_and(x):
    return (x.sum() > 0 and x.mean() < 1) * x


def a_sort(x):
    return torch.stack(sorted(x[0, 0, 0], key=float))


def an_index(x):
    k = int(x.argmax())
    return x.flatten()[:k].sum()


def a_pad(x):
    return F.pad(x, (0, int(x.argmax())))


def a_scale(x):
    return F.interpolate(x, scale_factor=float(x.mean()))


def a_key(x):
    return {0: x, 1: -x}[int(x.argmax()) % 2]


def numpy_sort(x):
    return torch.from_numpy(np.sort(x.numpy()))


def numpy_mean(x):
    return x * np.mean(x)


def another_device(x):
    return x.cuda()


def two_devices(x):
    return x + torch.zeros(8, device="meta")


def gradients(x):
    return torch.autograd.grad((x**2).sum(), x)[0]


def a_deep_copy(x):
    return copy.deepcopy(x) + 1


def tensors_in_a_list(x):
    return x + torch.tensor([x.sum(), 1.0]).sum()


def no_fake(x):
    return twice(x)


def no_operator(x):
    return torch.ops.not_installed.nms(x)


def missing_library(x):
    raise RuntimeError("operator torchvision::nms does not exist")  # as torchvision for another torch says it


def nested(x):
    return torch.nested.nested_tensor([x[0, 0], x[0, 1, :4]]).to_padded_tensor(0.0)


def scripted(x):
    return SCRIPTED(x)


def endless(x):
    return endless(x)


def out_of_bounds(x):
    return x[:, :, :, 99]


def a_text(x):
    return x * float(f"{x.sum():.1f}")


def under_vmap(x):
    return torch.vmap(lambda t: t if t.sum() > 0 else -t)(x)


def no_attribute(x):
    return x.no_such_thing()


def a_number_drawn(x):
    return x + torch.rand_like(x)


def a_dropout(x):
    return F.dropout(x, 0.5, training=True)


def a_sample(x):
    return torch.bernoulli(x.sigmoid())


STOPS = {
    an_exit: ("a Python branch", "torch.cond"),
    a_clamp: ("a Python branch", "torch.where"),
    an_elif: ("a Python branch", "exit_stages()"),
    an_assertion: ("it asserts something", "is_exporting"),
    a_while: ("how often the loop runs", "fixed number of times"),
    a_range: ("how often the loop runs", "at most"),
    a_comprehension: ("which parts a comprehension keeps", "torch.topk"),
    an_expression: ("a Python branch inside an expression", "torch.where"),
    an_and: ("truth value", "torch.logical_and"),
    a_sort: ("Python sorts", "torch.argsort"),
    an_index: ("a size or a place", "index_select"),
    a_pad: ("a size or a place", "index_select"),
    a_scale: ("a size or a place", "do not depend on values"),
    a_key: ("a size or a place", "index_select"),
    numpy_sort: ("NumPy computes outside", "torch.sort"),
    numpy_mean: ("a function of NumPy", "of the same name"),
    another_device: ("a device that is not here", "x.device"),
    two_devices: ("several devices: cpu and meta", "register_buffer"),
    gradients: ("forward takes gradients", "self.training"),
    a_deep_copy: ("reads a tensor's memory", "x.clone()"),
    tensors_in_a_list: ("torch.tensor was given tensors", "torch.stack"),
    no_fake: ("the operator edgekit_tests::twice", "torch's operators"),
    missing_library: ("brings the operator torchvision::nms", "belongs to this torch"),
    nested: ("rows of different lengths", "pad the rows"),
    scripted: ("torch.jit.script", "before torch.jit.script"),
    endless: ("calls itself without end", "in Python"),
    out_of_bounds: ("index 99 is out of bounds", "--resolution"),
    a_text: ("written into a text", "is_exporting"),
    under_vmap: ("under vmap", "torch.where"),
    no_attribute: ("has no no_such_thing", "model.eval()"),
    a_number_drawn: ("another one each time", "register_buffer"),
    a_dropout: ("another one each time", "self.training"),
    a_sample: ("another one each time", "self.training"),
}


class Model(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("function", STOPS, ids=lambda function: function.__name__)
def test_it_is_put_into_words(function):
    said, hint = STOPS[function]
    with pytest.raises(CaptureError) as caught:
        capture("net", Model(function), (torch.rand(1, 3, 8, 8),))
    error = caught.value
    assert said in f"{error.what}\n{error.why}"
    assert hint in error.hint
    assert error.where.startswith("test_capture_texts.py:")
    if "draws" not in error.summary:
        assert f"in {function.__name__} " in error.where or "<" in error.where
        assert error.original
        assert ": " in error.original


def test_an_unknown_text_is_shown_as_it_is():
    with pytest.raises(CaptureError) as caught:
        capture("net", Model(no_operator), (torch.rand(1, 3, 8, 8),))
    assert "not_installed" in caught.value.what
    assert caught.value.original


@pytest.mark.parametrize("module", [nn.Dropout(0.5), nn.Dropout(0.0), nn.RReLU(), nn.LSTM(8, 4, dropout=0.5, num_layers=2)])
def test_what_draws_in_training_only_is_taken(module):
    capture("net", module.eval(), (torch.rand(3, 8),))


def test_attention_draws_only_where_it_drops():
    capture("net", Model(lambda x: F.scaled_dot_product_attention(x, x, x)), (torch.rand(1, 3, 8, 8),))
    with pytest.raises(CaptureError):
        capture("net", Model(lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.1)), (torch.rand(1, 3, 8, 8),))
