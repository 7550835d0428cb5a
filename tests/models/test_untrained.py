"""Weights without training: the same everywhere, and such that every tensor matters to the output."""

import hashlib

import pytest
import torch
from torch import Tensor, nn

from edgekit.models.emov2 import CONFIGS, EMOv2
from edgekit.models.untrained import fill_untrained
from edgekit.ops.layer_scale import LayerScale


def filled(module: nn.Module) -> nn.Module:
    fill_untrained(module)
    return module.eval()


class Odd(nn.Module):
    """Parameters that belong to no known layer, and buffers that are part of the architecture."""

    def __init__(self) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(1, 1, 64))
        self.layer_scale_1 = nn.Parameter(torch.full((64,), 1e-6))
        self.weight = nn.Parameter(torch.ones(64))
        self.in_proj_weight = nn.Parameter(torch.zeros(64, 64))
        self.register_buffer("index", torch.arange(4))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]))


@pytest.fixture(scope="module")
def emov2() -> nn.Module:
    return filled(EMOv2(CONFIGS["1m"], num_classes=10))


def digest(model: nn.Module) -> str:
    state = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        state.update(name.encode() + tensor.numpy().tobytes())
    return state.hexdigest()


def test_the_same_bytes_in_every_process():
    """The expected values were written down by another one."""
    layer = filled(nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)))
    assert digest(layer) == "6dd53c6fe393c2c79980892c00241502c410661469d8d83c8b8073be90cf7464"


def test_neither_the_random_state_nor_earlier_values_matter():
    digests = set()
    for seed in (1, 2):
        torch.manual_seed(seed)
        digests.add(digest(filled(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 2)))))
    assert len(digests) == 1


def test_a_tensor_depends_on_its_name():
    model = filled(nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)}))
    assert not torch.equal(model["a"].weight, model["b"].weight)
    assert torch.equal(model["a"].weight, filled(nn.ModuleDict({"a": nn.Linear(4, 4)}))["a"].weight)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(400), nn.LayerNorm(400), nn.GroupNorm(4, 400), nn.RMSNorm(400)])
def test_norms_are_not_the_identity(norm):
    filled(norm)
    assert 0.7 <= norm.weight.min() < 0.75
    assert 1.25 < norm.weight.max() <= 1.3
    if getattr(norm, "bias", None) is not None:
        assert norm.bias.std().item() == pytest.approx(0.05, rel=0.2)


def test_batch_norm_statistics_are_not_the_identity():
    norm = filled(nn.BatchNorm2d(400))
    assert norm.running_mean.std().item() == pytest.approx(0.1, rel=0.2)
    assert 0.5 <= norm.running_var.min() < 0.55
    assert 1.45 < norm.running_var.max() <= 1.5
    assert norm.num_batches_tracked == 0


def test_layer_scale_lets_its_branch_through():
    gamma = filled(LayerScale(400)).gamma
    assert 0.2 <= gamma.min() < 0.25
    assert 0.75 < gamma.max() <= 0.8


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (nn.Linear(50, 40), 50),
        (nn.Conv2d(16, 64, 3), 16 * 9),
        (nn.Conv2d(64, 64, 5, groups=64), 25),
        (nn.ConvTranspose2d(32, 48, 2, groups=2), 16 * 4),
        (nn.Conv1d(32, 48, 3), 32 * 3),
    ],
)
def test_layers_keep_the_size_of_activations(layer, fan_in):
    assert filled(layer).weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.1)


def test_parameters_of_unknown_modules():
    odd = filled(Odd())
    assert odd.class_token.std().item() == pytest.approx(0.2, rel=0.3)
    assert odd.layer_scale_1.min() >= 0.2
    assert 0.7 <= odd.weight.min() < odd.weight.max() <= 1.3
    assert odd.in_proj_weight.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.1)


def test_buffers_that_are_no_statistics_stay():
    odd = filled(Odd())
    assert torch.equal(odd.index, torch.arange(4))
    assert torch.equal(odd.mean, torch.tensor([0.485, 0.456, 0.406]))


def test_tied_parameters_stay_tied_and_dtypes_stay():
    model = nn.ModuleDict({"a": nn.Linear(4, 4).half(), "b": nn.Linear(4, 4).half()})
    model["b"].weight = model["a"].weight
    filled(model)
    assert model["b"].weight is model["a"].weight
    assert model["a"].weight.dtype == torch.float16
    assert model["a"].weight.abs().sum() > 0


def test_empty_layers_and_gradients_are_no_trouble():
    model = filled(nn.ModuleDict({"empty": nn.Linear(0, 3), "plain": nn.Linear(2, 3)}))
    assert model["plain"].weight.requires_grad
    assert model["plain"].weight.grad_fn is None


def test_emov2_activations_stay_sane(emov2):
    sizes: dict[str, float] = {}
    hooks = [
        module.register_forward_hook(lambda _, __, out, name=name: sizes.update({name: float(out.std())}))
        for name, module in emov2.named_modules()
        if name.startswith("stage") or name == "head"
    ]
    with torch.no_grad():
        emov2(torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0)))
    for hook in hooks:
        hook.remove()
    assert len(sizes) > 100
    assert min(sizes.values()) > 0.02
    assert max(sizes.values()) < 50


def relative_effects(model: nn.Module) -> dict[str, float]:
    """How far the logits move, relative to their size, when a tensor moves by 1% of its own: to first order."""
    image = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    model.zero_grad()
    logits: Tensor = model(image)
    direction = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    (logits * direction).sum().backward()
    scale = float((logits.detach() * direction).norm())
    return {name: 0.01 * float(value.grad.norm() * value.detach().norm()) / scale for name, value in model.named_parameters()}


def test_every_parameter_of_emov2_matters(emov2):
    effects = relative_effects(emov2)
    weakest = min(effects, key=effects.get)
    assert effects[weakest] > 1e-4, weakest
    # As constructed, LayerScale hides the blocks: this is what filling is for.
    torch.manual_seed(0)
    as_constructed = relative_effects(EMOv2(CONFIGS["1m"], num_classes=10).eval())
    assert as_constructed["stage3.5.proj.conv.weight"] < 1e-5 < effects["stage3.5.proj.conv.weight"]
