"""Layer norm between two transposes, in packages that were written to disk and computed."""

import numpy as np
import pytest
import torch
from test_coreml import TARGET, TENSOR, lowered
from torch import nn


class Norm(nn.Module):
    """``permute, layer_norm, permute`` and what hides or breaks the pattern."""

    def __init__(self, *, affine=False, after=(0, 3, 1, 2), shared=False, axes=1):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm((8,) if axes == 1 else (8, 8), elementwise_affine=affine)
        self.after, self.shared = after, shared

    def forward(self, x):
        last = self.conv(x).permute(0, 2, 3, 1)
        y = self.norm(last).permute(self.after).exp()
        return (y.mean((2, 3)) + last.mean((1, 2)) if self.shared else y.mean((2, 3)))[:, :5]


def computed(model, folder):
    torch.manual_seed(0)
    for parameter in model.parameters():
        parameter.data.normal_(0.2, 0.3)
    path = lowered(model, folder, methods=(TENSOR,), precision="fp32")
    image = np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32)
    (got,) = TARGET.open(path).run("forward", {"image": image}).values()
    expected = model(torch.from_numpy(image)).detach().numpy()
    assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()
    return TARGET.inspect(path).operators


def test_both_transposes_go(tmp_path):
    operators = computed(Norm(), tmp_path)
    assert operators["layer_norm"] == 1
    assert "transpose" not in operators


def test_the_first_stays_where_others_read_it(tmp_path):
    operators = computed(Norm(shared=True), tmp_path)
    assert (operators["layer_norm"], operators["transpose"]) == (1, 1)


@pytest.mark.parametrize("model", [Norm(affine=True), Norm(after=(0, 3, 2, 1)), Norm(axes=2)], ids=["affine", "another order", "two axes"])
def test_others_are_left_alone(model, tmp_path):
    operators = computed(model, tmp_path)
    assert (operators["layer_norm"], operators["transpose"]) == (1, 2)


def test_the_result_keeps_the_name_it_is_compared_by(tmp_path):
    path = lowered(Norm(), tmp_path, methods=(TENSOR,), precision="fp32")
    seen = {}
    image = np.zeros((1, 3, 16, 16), np.float32)
    TARGET.open(path).trace("forward", {"image": image}, lambda value: seen.update({value.node: value.operator}))
    assert seen["permute_1"] == "layer_norm"
