"""CHASE against its published sizes and against a plain spelling; its exits, stages and captured forms."""

import math

import attrs
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from edgekit.capture import capture
from edgekit.errors import BadInputError, CaptureError, UsageError
from edgekit.interface import Preprocessing
from edgekit.models import chase_layers
from edgekit.models.chase import CHASE, CONFIGS, CHASEConfig
from edgekit.models.untrained import fill_untrained
from edgekit.ops.channel_attention import ChannelAttention
from edgekit.ops.confidence import CONFIDENCES
from edgekit.ops.early_exit import EarlyExitNetwork, Exited, all_logits, stages_of
from edgekit.ops.exit_branches import ExitBranches
from edgekit.ops.exit_policy import LeaveAt, PatiencePolicy, ThresholdPolicy
from edgekit.verification.samples import verification_samples

RESOLUTIONS = {"imagenet": 224, "cifar10": 32, "cifar100": 32, "tiny": 32}
PARAMETERS = {"imagenet": 84_578_870, "cifar10": 7_497_244, "cifar100": 7_566_904}
# Cumulative, the classifiers of earlier exits included.
MACS = {
    "imagenet": (291_002_624, 682_522_240, 1_061_875_968, 1_502_168_896, 1_933_965_696, 2_150_991_216, 2_633_650_564),
    "cifar10": (8_351_488, 18_501_120, 26_855_168, 38_002_688, 45_899_520, 83_571_456),
    "cifar100": (8_363_008, 18_524_160, 26_889_728, 38_048_768, 45_957_120, 83_640_576),
}
# In millions. The CIFAR figures are those with 100 classes; with 10 the classifiers are a little cheaper.
PUBLISHED_PARAMETERS = {"imagenet": "84.58", "cifar10": "7.50", "cifar100": "7.57"}
PUBLISHED_MACS = {
    "imagenet": ("291.0", "682.5", "1061.9", "1502.2", "1934.0", "2151.0", "2633.7"),
    "cifar100": ("8.4", "18.5", "26.9", "38.0", "46.0", "83.6"),
}
# What crosses each cut of chase-imagenet: channels and size of every live scale, finest first.
LIVE_IMAGENET = (
    ((88, 56), (176, 28), (352, 14), (352, 7)),
    ((168, 28), (336, 14), (336, 7)),
    ((296, 28), (592, 14), (592, 7)),
    ((488, 14), (488, 7)),
    ((744, 14), (744, 7)),
    ((596, 7),),
    (),
)


def image(resolution: int, seed: int, batch: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(batch, 3, resolution, resolution, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def filled(name: str, dtype: torch.dtype = torch.float32) -> CHASE:
    model = CHASE(CONFIGS[name])
    fill_untrained(model)
    return model.to(dtype).eval()


@pytest.fixture(scope="module")
def tiny() -> CHASE:
    return filled("tiny")


@pytest.fixture(scope="module")
def imagenet() -> CHASE:
    return filled("imagenet")


@pytest.fixture(scope="module")
def spread(tiny) -> tuple[ThresholdPolicy, Tensor, list[int]]:
    """A policy, 32 images and their exits, by a computation of all logits: each exit takes some."""
    images = image(32, 0, 32)
    with torch.no_grad():
        logits = all_logits(stages_of(tiny), images)
    sure = torch.stack([CONFIDENCES["max_softmax"](found) for found in logits])
    policy = ThresholdPolicy(thresholds=tuple(torch.quantile(sure[k], 0.7).item() for k in range(3)))
    exits = [next((k + 1 for k in range(3) if sure[k, i] >= policy.thresholds[k]), 4) for i in range(32)]
    assert set(exits) == {1, 2, 3, 4}
    return policy, images, exits


# --- sizes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_and_macs_are_the_published_ones(name):
    with torch.device("meta"):
        model = CHASE(CONFIGS[name]).eval()
        features = (torch.zeros(1, 3, RESOLUTIONS[name], RESOLUTIONS[name]),)
    assert sum(value.numel() for value in model.parameters()) == PARAMETERS[name]
    assert f"{PARAMETERS[name] / 1e6:.2f}" == PUBLISHED_PARAMETERS[name]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        cumulative = []
        for stage in model.exit_stages():
            _, features = stage(features)
            cumulative.append(counter.get_total_flops() // 2)
    assert tuple(cumulative) == MACS[name]
    if name in PUBLISHED_MACS:
        assert tuple(f"{macs / 1e6:.1f}" for macs in cumulative) == PUBLISHED_MACS[name]


def test_most_of_imagenets_parameters_are_classifiers():
    with torch.device("meta"):
        stages = CHASE(CONFIGS["imagenet"]).stages
    assert f"{sum(value.numel() for stage in stages for value in stage.classifier.parameters()) / 1e6:.1f}" == "48.3"


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("imagenet", [(1, 4), (2, 1), (2, 5), (3, 2), (3, 6), (4, 3), (4, 7)]),
        ("cifar10", [(1, 2), (1, 4), (2, 2), (2, 4), (3, 2), (3, 4)]),
    ],
)
def test_exits_stand_where_they_should(name, places):
    with torch.device("meta"):
        stages = CHASE(CONFIGS[name]).stages
    block, layer, found = 1, 0, []
    for stage in stages:
        for unit in stage.body:
            if isinstance(unit, chase_layers.Transition):
                assert layer == CONFIGS[name].layers
                block, layer, entered = block + 1, 0, layer
            else:
                layer += 1
        found.append((block, layer) if layer else (block - 1, entered))  # an exit on a boundary reads after the transition
    assert found == places


def test_what_crosses_the_cuts_of_imagenet_is_the_live_scales():
    with torch.device("meta"):
        model = CHASE(CONFIGS["imagenet"]).eval()
        features = (torch.zeros(1, 3, 224, 224),)
    sizes = []
    for stage, live in zip(model.stages, LIVE_IMAGENET, strict=True):
        logits, features = stage(features)
        assert logits.shape == (1, 1000)
        maps, pooled = [(1, c, size, size) for c, size in live], [(1, c, 1, 1) for c, _ in live]
        assert [tuple(feature.shape) for feature in features] == maps + pooled
        sizes.append(4 * sum(feature.numel() for feature in features))
    assert sizes == [2_004_640, 859_488, 1_514_336, 482_144, 735_072, 119_200, 0]


def test_every_feature_that_is_handed_on_is_read():
    """A feature that no later stage reads would be computed, stored and passed for nothing."""
    for name in ("tiny", "cifar10"):
        model = filled(name)
        features = (image(32, 0),)
        for stage in model.stages:
            features = tuple(feature.detach().requires_grad_() for feature in features)
            logits, handed_on = stage(features)
            total = logits.sum() + sum(feature.square().sum() for feature in handed_on)
            assert all(grad.abs().max() > 0 for grad in torch.autograd.grad(total, features))
            features = handed_on


@pytest.mark.parametrize("num_classes", [None, 7])
def test_num_classes(num_classes):
    with torch.device("meta"):
        model = CHASE(CONFIGS["tiny"], num_classes=num_classes)
    assert {stage.classifier.linear.out_features for stage in model.stages} == {num_classes or 10}


def test_names_are_by_stage():
    with torch.device("meta"):
        names = list(CHASE(CONFIGS["tiny"]).state_dict())
    assert all(name.startswith("stages.") for name in names)
    assert {
        "stages.0.stem.first.conv.weight",
        "stages.0.body.1.scales.1.down.attention.squeeze.weight",
        "stages.1.body.2.scales.0.norm.running_var",
        "stages.3.attention.qkv.weight",
        "stages.2.classifier.linear.bias",
    } <= set(names)


def test_configurations_are_closed_and_checked():
    with pytest.raises(UsageError, match="an exit after every 3 layers does not end with layer 8, the last"):
        attrs.evolve(CONFIGS["tiny"], exit_every=3)
    with pytest.raises(UsageError, match="3 bottleneck factors for 2 scales"):
        attrs.evolve(CONFIGS["tiny"], bottleneck_factors=(1, 2, 4))
    with pytest.raises(TypeError):
        CHASEConfig(7)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        CONFIGS["tiny"].layers = 2
    assert {name: config.exits for name, config in CONFIGS.items()} == {"imagenet": 7, "cifar10": 6, "cifar100": 6, "tiny": 4, "nano": 6}


# --- against a plain spelling ---------------------------------------------------------------------------


class Plain:
    """CHASE from its weights alone, by the formulas: lists of parts, concatenated and pooled anew wherever they are read."""

    def __init__(self, model: CHASE, config: CHASEConfig) -> None:
        self.weights = model.state_dict()
        self.config = config

    def conv(self, name: str, x: Tensor, stride: int = 1, groups: int = 1, act: bool = True) -> Tensor:
        w = self.weights[f"{name}.conv.weight"]
        x = F.conv2d(x, w, stride=stride, padding=w.shape[-1] // 2, groups=groups)
        mean, var, scale, shift = (self.weights[f"{name}.norm.{leaf}"][:, None, None] for leaf in ("running_mean", "running_var", "weight", "bias"))
        x = (x - mean) / (var + 1e-5).sqrt() * scale + shift
        return F.gelu(x) if act else x

    def affine(self, name: str, x: Tensor) -> Tensor:  # channels last
        w = self.weights[f"{name}.weight"]
        return x @ w.reshape(w.shape[0], -1).T + self.weights[f"{name}.bias"]

    def norm(self, name: str, t: Tensor) -> Tensor:
        centred = t - t.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def branch(self, name: str, parts: list[Tensor], stride: int) -> Tensor:
        x = torch.cat(parts, 1)
        gate = torch.sigmoid(self.affine(f"{name}.attention.expand", F.gelu(self.affine(f"{name}.attention.squeeze", x.mean((2, 3))))))
        return self.conv(f"{name}.spatial", self.conv(f"{name}.reduce", x * gate[:, :, None, None]), stride)

    def stem(self, name: str, x: Tensor) -> dict[int, list[Tensor]]:
        x = self.conv(f"{name}.first", x, self.config.stem_stride)
        x = F.gelu(x + self.conv(f"{name}.pointwise", self.conv(f"{name}.depthwise", x, groups=x.shape[1]), act=False))
        parts = {}
        for s in range(self.config.scales):
            x = self.conv(f"{name}.scales.{s}", x, 2)
            parts[s] = [x]
        return parts

    def gal(self, name: str, x: Tensor) -> Tensor:
        x = x + F.conv2d(x, self.weights[f"{name}.position.weight"], self.weights[f"{name}.position.bias"], padding=1, groups=x.shape[1])
        t = x.flatten(2).mT
        q, k, v = self.affine(f"{name}.qkv", self.norm(f"{name}.norm1", t)).chunk(3, -1)
        d = self.config.head_dim
        heads = [slice(h * d, (h + 1) * d) for h in range(self.config.attention_heads)]
        seen = [torch.softmax(q[..., h] @ k[..., h].mT / math.sqrt(d), -1) @ v[..., h] for h in heads]
        t = t + self.affine(f"{name}.proj", torch.cat(seen, -1))
        t = t + self.affine(f"{name}.mlp.2", F.gelu(self.affine(f"{name}.mlp.0", self.norm(f"{name}.norm2", t))))
        return t.mT.reshape(x.shape)

    def classify(self, name: str, x: Tensor) -> Tensor:
        return self.affine(f"{name}.linear", self.conv(f"{name}.convs.1", self.conv(f"{name}.convs.0", x, 2), 2).mean((2, 3)))

    def logits(self, x: Tensor) -> list[Tensor]:
        config, parts, logits, unit = self.config, self.stem("stages.0.stem", x), [], 0
        last = config.layers * config.scales
        for number in range(1, last + 1):
            stage = f"stages.{len(logits)}"
            for i, s in enumerate(sorted(parts)):
                name = f"{stage}.body.{unit}.scales.{i}"
                halves = [self.branch(f"{name}.down", parts[s - 1], 2)] if i else []
                parts[s].append(torch.cat([*halves, self.branch(f"{name}.same", parts[s], 1)], 1))
            unit += 1
            if number % config.layers == 0 and number != last:
                survivors = sorted(parts)[1:]
                parts = {s: [self.conv(f"{stage}.body.{unit}.scales.{i}", torch.cat(parts[s], 1))] for i, s in enumerate(survivors)}
                unit += 1
            if number % config.exit_every == 0:
                x = torch.cat(parts[config.scales - 1], 1)
                logits.append(self.classify(f"{stage}.classifier", self.gal(f"{stage}.attention", x) if number == last else x))
                unit = 0
        return logits


@pytest.mark.parametrize("name", ["tiny", "cifar10"])
def test_is_what_the_formulas_say(name):
    model = filled(name, torch.float64)
    x = image(32, 3, 2, torch.float64)
    with torch.no_grad():
        expected = Plain(model, CONFIGS[name]).logits(x)
        actual = all_logits(model.exit_stages(), x)
    assert len(actual) == len(expected) == CONFIGS[name].exits
    for ours, plain in zip(actual, expected, strict=True):
        assert (ours - plain).abs().max() <= 1e-12 * plain.abs().max()


def test_channel_attention_is_the_plain_one():
    cam = ChannelAttention(6, 3).double()
    fill_untrained(cam)
    x = image(5, 0, 2, torch.float64).repeat(1, 2, 1, 1) * torch.arange(1, 7).reshape(6, 1, 1)
    pooled = torch.cat([part.mean((2, 3), keepdim=True) for part in x.split([1, 2, 3], dim=1)], dim=1)
    weights = [conv.weight[:, :, 0, 0] for conv in (cam.squeeze, cam.expand)]
    with torch.no_grad():
        gate = torch.sigmoid(F.gelu(x.mean((2, 3)) @ weights[0].T + cam.squeeze.bias) @ weights[1].T + cam.expand.bias)
        assert (cam(x, pooled) - x * gate[:, :, None, None]).abs().max() <= 1e-14 * x.abs().max()
    assert gate.std() > 0.01


@pytest.mark.parametrize("name", ["tiny", "imagenet"])
def test_each_dense_part_is_pooled_once(name, monkeypatch):
    pooled: list[Tensor] = []
    original = chase_layers.pool_channels
    monkeypatch.setattr(chase_layers, "pool_channels", lambda x: pooled.append(x) or original(x))
    config = CONFIGS[name]
    with torch.device("meta"):
        model = CHASE(config).eval()
        all_logits(model.exit_stages(), torch.zeros(1, 3, RESOLUTIONS[name], RESOLUTIONS[name]))
    live = range(config.scales, 0, -1)
    assert len(pooled) == sum(live) * config.layers + sum(live)  # a part a layer, and the first parts from stem and transitions
    assert len({id(part) for part in pooled}) == len(pooled)


def test_pooled_channels_that_cross_a_cut_are_the_maps(tiny):
    features = (image(32, 0, 2),)
    with torch.no_grad():
        for stage in tiny.stages:
            _, features = stage(features)
            half = len(features) // 2
            for x, pooled in zip(features[:half], features[half:], strict=True):
                assert torch.equal(x.mean((2, 3), keepdim=True), pooled)


# --- exits ----------------------------------------------------------------------------------------------


def runs_of(model: CHASE) -> list[int]:
    """Count the calls of each stage from now on."""
    counts = [0] * len(model.stages)

    def count(k: int) -> None:
        counts[k] += 1

    for k, stage in enumerate(model.stages):
        stage.register_forward_pre_hook(lambda _, __, k=k: count(k))
    return counts


def test_training_returns_all_logits():
    model = filled("tiny").train()
    logits = model(image(32, 0, 2))
    assert isinstance(logits, tuple)
    assert [tuple(found.shape) for found in logits] == [(2, 10)] * 4
    loss = sum(F.cross_entropy(found, torch.tensor([1, 2])) for found in logits)
    loss.backward()
    assert all(value.grad is not None and value.grad.abs().max() > 0 for value in model.parameters())


def test_without_a_policy_the_last_exit_answers(tiny):
    with torch.no_grad():
        answer = tiny(image(32, 0))
        assert torch.equal(answer.logits, all_logits(tiny.exit_stages(), image(32, 0))[-1])
    assert isinstance(answer, Exited)
    assert answer.exit.tolist() == [4]


@pytest.mark.parametrize("last_run", [1, 2, 3, 4])
def test_what_stands_behind_an_exit_is_not_run(last_run):
    model = filled("tiny")
    counts = runs_of(model)
    with torch.no_grad():
        answer = model(image(32, 0), LeaveAt(exit=last_run))
    assert answer.exit.tolist() == [last_run]
    assert counts == [1] * last_run + [0] * (4 - last_run)


def test_leaving_early_saves_the_macs_behind_the_exit(tiny):
    for k, macs in enumerate((864_832, 1_255_296, 1_563_232, 3_318_848), start=1):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            tiny(image(32, 0), LeaveAt(exit=k))
        assert counter.get_total_flops() // 2 == macs


def test_images_leave_where_they_are_sure(tiny, spread):
    policy, images, exits = spread
    with torch.no_grad():
        answers = [tiny(images[i : i + 1], policy) for i in range(len(images))]
    assert [answer.exit.item() for answer in answers] == exits


def test_a_batch_splits_as_its_images_leave(spread):
    policy, images, exits = spread
    model = filled("tiny")
    seen: list[int] = []
    for stage in model.stages:
        stage.register_forward_pre_hook(lambda _, given: seen.append(given[0][0].shape[0]))
    with torch.no_grad():
        together = model(images, policy)
        assert seen == [sum(k <= left for left in exits) for k in (1, 2, 3, 4)]
        alone = [model(images[i : i + 1], policy) for i in range(len(images))]
    assert together.exit.tolist() == exits
    expected = torch.cat([answer.logits for answer in alone])
    assert (together.logits - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_policies_that_look_back(tiny, spread):
    _, images, _ = spread
    with torch.no_grad():
        named = torch.stack(all_logits(tiny.exit_stages(), images)).argmax(-1)
        found = tiny(images, PatiencePolicy(patience=2)).exit.tolist()
    assert found == [next((k + 1 for k in (1, 2) if named[k, i] == named[k - 1, i]), 4) for i in range(32)]
    assert len(set(found)) > 1


def test_a_policy_for_another_number_of_exits_is_refused(tiny):
    for images in (image(32, 0), image(32, 0, 2)):
        with pytest.raises(BadInputError, match="the policy does not fit a network with 4 exits"):
            tiny(images, ThresholdPolicy(thresholds=(0.5, 0.5)))


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_an_image_that_is_not_a_number_goes_to_the_last_exit(tiny, broken):
    with torch.no_grad():
        assert tiny(torch.full((1, 3, 32, 32), broken), ThresholdPolicy(thresholds=(-math.inf,) * 3)).exit.item() == 4


# --- captured forms -------------------------------------------------------------------------------------


def test_declares_its_stages(tiny):
    assert isinstance(tiny, EarlyExitNetwork)
    assert stages_of(tiny) == tuple(tiny.stages)


def test_the_natural_form_cannot_be_captured_and_the_error_names_the_branch(tiny, spread):
    class WithPolicy(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = tiny

        def forward(self, image):
            return self.network(image, spread[0])

    with pytest.raises(CaptureError, match="its forward depends on a tensor's value") as caught:
        capture("chase-tiny", WithPolicy(), (image(32, 0),))
    assert "torch.cond" in caught.value.hint


def test_branches_can_be_captured_and_decide_as_python_does(tiny, spread):
    policy, images, exits = spread
    program = capture("chase-tiny", ExitBranches(stages_of(tiny), policy), (images[:1],))
    conditions = [
        node for module in program.graph_module.modules() if hasattr(module, "graph") for node in module.graph.nodes if "cond" in str(node.target)
    ]
    assert len(conditions) == 3  # one an exit but the last
    assert set(program.state_dict) == set(tiny.state_dict())
    run = program.module()
    for exit_number in (1, 2, 3, 4):
        x = images[exits.index(exit_number)][None]
        with torch.no_grad():
            expected, (logits, found) = tiny(x, policy), run(x)
        assert found.tolist() == expected.exit.tolist() == [exit_number]
        assert (logits - expected.logits).abs().max() <= 1e-6 * expected.logits.abs().max()


def test_each_stage_can_be_captured_alone(tiny):
    features = (image(32, 5),)
    for k, stage in enumerate(tiny.stages, start=1):
        program = capture(f"exit_{k}", stage, (features,))
        assert not program.range_constraints  # every shape is static
        with torch.no_grad():
            logits, handed_on = stage(features)
            captured_logits, captured_features = program.module()(features)
        assert torch.equal(captured_logits, logits)
        assert len(captured_features) == len(handed_on) == (0 if k == 4 else 2 * (3 - min(k, 2)))
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(captured_features, handed_on, strict=True))
        features = handed_on


# --- the untrained network ------------------------------------------------------------------------------


def test_untrained_activations_stay_sane_and_photographs_differ(imagenet):
    """Through 28 layers nothing vanishes or explodes, and every exit tells two photographs apart."""
    samples = verification_samples(Preprocessing(resolution=224))
    sizes: dict[str, float] = {}
    hooks = [
        module.register_forward_hook(lambda _, __, out, name=name: sizes.update({name: float(out.std())}))
        for name, module in imagenet.named_modules()
        if isinstance(module, (chase_layers.ConvNormAct, chase_layers.Branch, chase_layers.GlobalAttention, ChannelAttention))
    ]
    with torch.no_grad():
        logits = all_logits(imagenet.exit_stages(), torch.cat([torch.from_numpy(sample.tensor) for sample in samples[:2]]))
    for hook in hooks:
        hook.remove()
    assert len(sizes) > 400
    assert min(sizes.values()) > 0.02
    assert max(sizes.values()) < 50
    for found in logits:
        assert found.std() > 0.1
        assert (found[0] - found[1]).std() > 0.2 * found.std()


@pytest.mark.parametrize("name", ["tiny", "cifar10"])
def test_every_parameter_matters(name):
    """By how much the logits move, relative to their size, when a tensor moves by its own: to first order."""
    model = filled(name)
    logits = all_logits(model.exit_stages(), image(32, 0))
    directions = [torch.randn(found.shape, generator=torch.Generator().manual_seed(1)) for found in logits]
    sum((found * by).sum() / (found.detach() * by).norm() for found, by in zip(logits, directions, strict=True)).backward()
    effects = {key: float(value.grad.norm() * value.detach().norm()) for key, value in model.named_parameters()}
    weakest = min(effects, key=effects.get)
    assert effects[weakest] > 5e-4, weakest
