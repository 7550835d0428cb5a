"""IMC-Net against the published sizes, and against a dense form of it written from the paper's formulas."""

import importlib.util
import itertools
import math
from pathlib import Path

import attrs
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from edgekit.capture import capture
from edgekit.errors import CaptureError, UnknownNameError, UsageError
from edgekit.interface import Preprocessing
from edgekit.models.imcnet import CONFIGS, IMCNet, IMCNetConfig
from edgekit.models.imcnet_losses import balance_loss, entropy_loss, stabiliser_loss
from edgekit.models.untrained import fill_untrained
from edgekit.ops.percentile_selection import PercentileSelection, kept_count
from edgekit.verification.samples import verification_samples

# Parameters in millions and MACs in billions at 224, as published; and the same exactly.
PUBLISHED = {
    "b16": ("27.502", "7.39", 27_501_544, 7_390_047_744),
    "s16": ("7.263", "1.93", 7_263_208, 1_934_694_144),
    "ti16": ("2.010", "0.53", 2_010_088, 527_264_640),
}
TINY = IMCNetConfig(dim=16, heads=2, mlp_dim=32, patch=4)
SELECTORS = ("mlp", "linear", "shared_phi")
BUDGET = attrs.evolve(TINY, control="budget")


def build(config: IMCNetConfig, *, resolution: int = 24, num_classes: int = 5, dtype: torch.dtype = torch.float64) -> IMCNet:
    """An untrained network, in double so that formulas can be compared to the last digits; 36 regions."""
    model = IMCNet(config, resolution=resolution, num_classes=num_classes)
    fill_untrained(model)
    return model.to(dtype).eval()


def images(batch: int = 3, size: int = 24, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(batch, 3, size, size, dtype=dtype, generator=torch.Generator().manual_seed(7))


def counted(model: nn.Module, x: Tensor) -> dict[str, int]:
    """MACs of every module, by its dotted name, and of all under ``Global``."""
    with FlopCounterMode(display=False, depth=None) as counter, torch.no_grad():
        model(x)
    return {name: sum(counts.values()) // 2 for name, counts in counter.get_flop_counts().items()}


# --- sizes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", PUBLISHED)
def test_parameters_and_macs_are_the_published_ones(size):
    millions, billions, parameters, macs = PUBLISHED[size]
    model = IMCNet(CONFIGS[size])
    fill_untrained(model)
    assert sum(value.numel() for value in model.parameters()) == parameters
    assert f"{parameters / 1e6:.3f}" == millions
    counts = counted(model, images(1, 224, torch.float32))
    assert counts["Global"] == macs
    assert f"{macs / 1e9:.2f}" == billions


def test_macs_with_all_regions_in_every_pass_are_the_published_ones():
    """8.84G: six blocks over 197 tokens each, without the selectors, which have nothing to decide there."""
    model = IMCNet(attrs.evolve(CONFIGS["b16"], betas=(0, 0, 0, 0)))
    counts = counted(model, images(1, 224, torch.float32))
    selectors = 4 * 197 * (768 * 1536 + 1536)
    assert counts["IMCNet.middle.selectors"] == selectors
    assert counts["Global"] - selectors == 8_840_100_864
    assert f"{(counts['Global'] - selectors) / 1e9:.2f}" == "8.84"


def test_the_peer_is_vit_b16():
    spec = importlib.util.spec_from_file_location("vit", Path(__file__).parents[2] / "benchmarks" / "vit.py")
    peer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peer)
    with torch.device("meta"):
        model, x = peer.ViT().eval(), torch.zeros(1, 3, 224, 224)
    assert sum(value.numel() for value in model.parameters()) == 86_567_656
    counts = counted(model, x)
    assert counts["Global"] == 17_563_828_224
    assert f"{counts['Global'] / 1e9:.2f}" == "17.56"


def test_the_cifar_size():
    model = build(CONFIGS["cifar10"], resolution=32, num_classes=10, dtype=torch.float32)
    logits, regions = model.forward_with_regions(images(2, 32, torch.float32))
    assert logits.shape == (2, 10)
    assert [mask.sum(dim=1).tolist() for mask in regions] == [[64, 64], [48, 48], [32, 32], [16, 16]]


def test_names_of_parameters():
    names = {name.rpartition(".")[0] for name in IMCNet(TINY, resolution=24).state_dict()}
    block = {"norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"}
    assert names == (
        {"", "patch_embed", "norm", "head"}
        | {f"{owner}.{part}" for owner in ("head_block", "middle.core", "tail_block") for part in block}
        | {f"middle.selectors.{part}.{index}" for part in ("phi", "w") for index in range(4)}
    )
    shared = IMCNet(attrs.evolve(TINY, selector="shared_phi"), resolution=24).state_dict()
    assert [name for name in shared if ".phi." in name] == ["middle.selectors.phi.0.weight"]
    linear = IMCNet(attrs.evolve(TINY, selector="linear"), resolution=24).state_dict()
    assert linear["middle.selectors.w.3.weight"].shape == (1, 16)
    assert linear["middle.selectors.w.3.bias"].shape == (1,)
    assert {name for name in IMCNet(BUDGET, resolution=24).state_dict() if "router" in name} == {"router.phi.weight", "router.w.weight"}


# --- what it computes -----------------------------------------------------------------------------------


def dense_block(block: nn.Module, x: Tensor, present: Tensor, heads: int) -> Tensor:
    """A transformer block over all tokens in which absent ones are no keys; ``present`` is ``(B, T)``."""
    q, k, v = (
        part.unflatten(-1, (heads, -1)).transpose(1, 2)
        for part in block.attn.qkv(F.layer_norm(x, x.shape[-1:], *block.norm1.parameters(), 1e-6)).chunk(3, -1)
    )
    attended = F.scaled_dot_product_attention(q, k, v, attn_mask=present[:, None, None, :])
    x = x + block.attn.proj(attended.transpose(1, 2).flatten(2))
    hidden = F.linear(F.layer_norm(x, x.shape[-1:], *block.norm2.parameters(), 1e-6), block.mlp.fc1.weight, block.mlp.fc1.bias)
    return x + F.linear(0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2))), block.mlp.fc2.weight, block.mlp.fc2.bias)


def embed(model: IMCNet, image: Tensor) -> Tensor:
    side = model.config.patch
    pixels = image.unfold(2, side, side).unfold(3, side, side).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
    patches = pixels @ model.patch_embed.weight.flatten(1).T + model.patch_embed.bias
    return torch.cat([model.cls_token.expand(len(image), 1, -1), patches], dim=1) + model.pos_embed


def hierarchical_by_top_k(model: IMCNet, x: Tensor, index: int, active: Tensor) -> tuple[Tensor, Tensor]:
    """Scores of all tokens and the regions kept, by sorting rather than by a quantile."""
    selectors, kind = model.middle.selectors, model.config.selector
    if kind != "linear":
        phi = selectors.phi[0 if kind == "shared_phi" else index].weight
        scores = torch.sigmoid(F.gelu(x @ phi.T) @ selectors.w[index].weight[0])
    else:
        scores = torch.sigmoid(x @ selectors.w[index].weight[0] + selectors.w[index].bias)
    count = kept_count(int(active[0].sum()), model.config.pass_betas[index])
    best = scores[:, 1:].masked_fill(~active, -1).topk(count, dim=1).indices
    return scores, torch.zeros_like(active).scatter(1, best, True)


def by_budget(model: IMCNet, embeddings: Tensor, index: int) -> tuple[Tensor, Tensor]:
    """Gates of all tokens and the regions whose depth reaches this pass."""
    router = model.router
    features = F.gelu(embeddings @ router.phi.weight.T) if model.config.selector == "mlp" else embeddings
    shares = F.linear(features, router.w.weight, router.w.bias).softmax(dim=-1)
    scores = torch.cat([shares[:, :1, -1], shares[:, 1:].amax(dim=-1)], dim=1)
    return scores, shares[:, 1:].argmax(dim=-1) >= index


def dense(model: IMCNet, image: Tensor) -> tuple[Tensor, list[Tensor]]:
    """IMC-Net without gathering: all tokens through every block, with masks."""
    heads = model.config.heads
    embeddings = embed(model, image)
    everything = torch.ones(embeddings.shape[:2], dtype=torch.bool)
    x = dense_block(model.head_block, embeddings, everything, heads)
    active, regions = everything[:, 1:], []
    for index in range(model.config.passes):
        if model.config.control == "budget":
            scores, active = by_budget(model, embeddings, index)
        else:
            scores, active = hierarchical_by_top_k(model, x, index, active)
        regions.append(active)
        present = torch.cat([everything[:, :1], active], dim=1)
        passed = x + model.config.alpha * scores[..., None] * dense_block(model.middle.core, x, present, heads)
        x = torch.where(present[..., None], passed, x)
    x = dense_block(model.tail_block, x, everything, heads)
    return model.head(F.layer_norm(x[:, 0], x.shape[-1:], *model.norm.parameters(), 1e-6)), regions


@pytest.mark.parametrize(
    "changes",
    [
        *({"selector": selector} for selector in SELECTORS),
        {"alpha": 0.7},
        {"betas": (0.25, 0.25, 0.5, 0.9)},
        {"passes": 2, "betas": (0.0, 0.6)},
        {"selector_expansion": 3},
        {"control": "budget"},
        {"control": "budget", "selector": "linear", "passes": 3},
    ],
    ids=str,
)
def test_it_is_what_masks_over_all_tokens_compute(changes):
    model, x = build(attrs.evolve(TINY, **changes)), images()
    with torch.no_grad():
        logits, regions = model.forward_with_regions(x)
        expected, expected_regions = dense(model, x)
    assert len(regions) == model.config.passes
    for ours, theirs in zip(regions, expected_regions, strict=True):
        assert ours.shape == (3, 36)
        assert torch.equal(ours, theirs)
    assert (logits - expected).abs().max() <= 1e-12 * expected.abs().max()


def test_a_pass_counts():
    """The comparison above would see a pass that is left out, an alpha that is ignored and another set of regions."""
    x = images()
    with torch.no_grad():
        plain = build(TINY)(x)
        for changes in (
            {"alpha": 0.11},
            {"betas": (0, 0.25, 0.5, 0.8)},
            {"passes": 3, "betas": (0, 0.25, 0.5)},
            {"gelu": "tanh"},
            {"norm_eps": 1e-2},
        ):
            assert (build(attrs.evolve(TINY, **changes))(x) - plain).abs().max() > 1e-6 * plain.abs().max(), changes


@pytest.mark.parametrize("config", [TINY, BUDGET], ids=["hierarchical", "budget"])
def test_an_image_does_not_depend_on_its_batch(config):
    model, x = build(config), images()
    with torch.no_grad():
        logits, regions = model.forward_with_regions(x)
        assert torch.equal(model(x), logits)
        for index in range(len(x)):
            alone, alone_regions = model.forward_with_regions(x[index : index + 1])
            assert (alone[0] - logits[index]).abs().max() <= 1e-13 * logits.abs().max()
            assert all(torch.equal(one[0], mask[index]) for one, mask in zip(alone_regions, regions, strict=True))
    assert any(not torch.equal(mask[0], mask[1]) for mask in regions)


@pytest.mark.parametrize("resolution", [24, 28, 64])
def test_counts_are_shares_of_all_regions_and_sets_are_nested(resolution):
    model = build(TINY, resolution=resolution)
    with torch.no_grad():
        regions = model.forward_with_regions(images(2, resolution))[1]
    count = (resolution // 4) ** 2
    assert [mask.sum(dim=1).unique().tolist() for mask in regions] == [[kept_count(count, beta)] for beta in (0, 0.25, 0.5, 0.75)]
    for earlier, later in itertools.pairwise(regions):
        assert (later <= earlier).all()


def test_betas_of_all_regions_become_betas_of_active_ones():
    assert TINY.pass_betas == pytest.approx((0, 1 / 4, 1 / 3, 1 / 2))
    assert attrs.evolve(TINY, betas=(0.5, 0.5, 1, 1)).pass_betas == (0.5, 0, 1, 0)
    selections = [module.beta for module in IMCNet(TINY, resolution=24).modules() if isinstance(module, PercentileSelection)]
    assert selections == list(TINY.pass_betas)


def test_beta_one_leaves_the_class_token_alone_and_does_not_run_dry():
    model, x = build(attrs.evolve(TINY, betas=(0, 1, 1, 1))), images(2)
    with torch.no_grad():
        logits, regions = model.forward_with_regions(x)
        expected, _ = dense(model, x)
    assert [int(mask.sum()) for mask in regions] == [72, 0, 0, 0]
    assert (logits - expected).abs().max() <= 1e-12 * expected.abs().max()


def test_one_region():
    model = build(attrs.evolve(TINY, patch=8), resolution=8)
    with torch.no_grad():
        logits, regions = model.forward_with_regions(images(2, 8))
    assert [mask.tolist() for mask in regions] == [[[True], [True]], *[[[False], [False]]] * 3]
    assert logits.isfinite().all()


def test_ties_drop_more_regions_than_the_count():
    """With neither content nor positions every region scores alike: nothing is above the percentile."""
    model = build(TINY)
    with torch.no_grad():
        model.pos_embed.zero_()
        regions = model.forward_with_regions(torch.zeros(1, 3, 24, 24, dtype=torch.float64))[1]
    assert int(regions[0].sum()) == 36
    assert int(regions[1].sum()) < 27


def test_a_nan_in_the_image_reaches_the_logits():
    model, x = build(TINY), images(2)
    x[0, 0, 5, 5] = math.nan
    with torch.no_grad():
        logits, regions = model.forward_with_regions(x)
    assert logits[0].isnan().all()
    assert logits[1].isfinite().all()
    assert [int(mask[0].sum()) for mask in regions] == [36, 0, 0, 0]


def test_equal_depths_of_a_budget_take_the_smaller_one():
    model = build(attrs.evolve(BUDGET, selector="linear"))
    with torch.no_grad():
        model.router.w.weight.zero_()
        model.router.w.bias.copy_(torch.tensor([0.0, 1.0, 1.0, 0.0]))
        trace = model.trace(images(1))
    assert [int(mask.sum()) for mask in trace.regions] == [36, 36, 0, 0]
    shares = model.router.w.bias.softmax(0)
    assert trace.log_odds[0].sigmoid() == pytest.approx(shares[1].item())


# --- training -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [*(attrs.evolve(TINY, selector=selector) for selector in SELECTORS), BUDGET, attrs.evolve(BUDGET, selector="linear")],
    ids=["mlp", "linear", "shared_phi", "budget", "linear budget"],
)
def test_the_loss_reaches_every_parameter(config):
    model = build(config, dtype=torch.float32).train()
    F.cross_entropy(model(images(4, dtype=torch.float32)), torch.tensor([0, 1, 2, 3])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_gradients_are_those_of_finite_differences():
    model, x = build(attrs.evolve(TINY, dim=8, mlp_dim=8), resolution=8), images(1, 8)
    parameter = model.middle.selectors.w[1].weight
    (gradient,) = torch.autograd.grad(model(x).square().sum(), parameter)
    step = torch.zeros_like(parameter)
    step[0, 3] = 1e-6
    with torch.no_grad():
        parameter += step
        above = model(x).square().sum()
        parameter -= 2 * step
        below = model(x).square().sum()
    assert ((above - below) / 2e-6).item() == pytest.approx(gradient[0, 3].item(), rel=1e-5)


def test_regularisers_take_the_trace():
    model = build(TINY)
    trace = model.trace(images())
    active = [torch.ones_like(trace.regions[0]), *trace.regions[:-1]]
    total = torch.zeros((), dtype=torch.float64)
    for log_odds, mask, beta in zip(trace.log_odds, active, TINY.pass_betas, strict=True):
        assert (log_odds[~mask] == 0).all()
        assert (log_odds[mask] != 0).all()
        total = total + stabiliser_loss(log_odds, mask) + balance_loss(log_odds, mask, beta=beta) + entropy_loss(log_odds, mask)
    total.backward()
    assert all(module.weight.grad.abs().max() > 0 for module in model.middle.selectors.w)


# --- untrained weights, capture, refusals ---------------------------------------------------------------


def test_untrained_selections_depend_on_the_photograph_and_not_on_rounding():
    single = build(CONFIGS["ti16"], resolution=224, num_classes=10, dtype=torch.float32)
    double = build(CONFIGS["ti16"], resolution=224, num_classes=10)
    china, flower = (torch.from_numpy(sample.tensor) for sample in verification_samples(Preprocessing(resolution=224))[:2])
    with torch.no_grad():
        regions = single.forward_with_regions(china)[1]
        assert all(torch.equal(a, b) for a, b in zip(regions, double.forward_with_regions(china.double())[1], strict=True))
        others = single.forward_with_regions(flower)[1]
    assert [int((a & ~b).sum()) > 0.15 * int(a.sum()) for a, b in zip(regions, others, strict=True)] == [False, True, True, True]


def test_the_natural_form_cannot_be_captured():
    with pytest.raises(CaptureError, match="its forward depends on a tensor's value"):
        capture("imcnet", build(TINY, dtype=torch.float32), (images(1, dtype=torch.float32),))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, "16 channels cannot be split into 3 heads"),
        ({"dim": 0}, "dim is 0"),
        ({"passes": 0, "betas": ()}, "passes is 0"),
        ({"betas": (0, 0.5)}, "2 betas for 4 passes"),
        ({"betas": (0, 0.5, 0.25, 0.75)}, "betas fall"),
        ({"betas": (0, 0.25, 0.5, 75)}, "beta is 75"),
        ({"betas": (0, 0.25, 0.5, math.nan)}, "beta is nan"),
        ({"alpha": math.inf}, "alpha is inf"),
        ({"control": "budget", "passes": 1}, "a budget of 1 pass"),
        ({"control": "budget", "selector": "shared_phi"}, "a budget has one router"),
    ],
)
def test_contradictions_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        attrs.evolve(TINY, **changes)


@pytest.mark.parametrize(
    ("changes", "hint"),
    [({"selector": "mpl"}, "did you mean 'mlp'?"), ({"control": "hierarchic"}, "did you mean 'hierarchical'?"), ({"gelu": "erf"}, None)],
)
def test_unknown_choices_are_answered_with_the_nearest(changes, hint):
    with pytest.raises(UnknownNameError) as caught:
        attrs.evolve(TINY, **changes)
    assert caught.value.hint == hint


@pytest.mark.parametrize("resolution", [0, 8, 225])
def test_a_resolution_that_is_no_multiple_of_the_patch_is_refused(resolution):
    with pytest.raises(UsageError, match=f"cannot cut {resolution} pixels into patches of 16"):
        IMCNet(CONFIGS["ti16"], resolution=resolution)
