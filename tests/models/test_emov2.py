"""EMOv2 against what is published and against golden values of an independent implementation."""

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from edgekit.errors import UnknownNameError, UsageError
from edgekit.models.build import build_model
from edgekit.models.emov2 import CONFIGS, EMOv2, EMOv2Config, window_for
from edgekit.models.registry import MODELS, model_entry
from edgekit.models.untrained import fill_untrained
from edgekit.ops.layer_norm import LayerNorm2d
from edgekit.ops.spanning_attention import SpanningAttention

DATA = Path(__file__).parents[1] / "data"
GOLDEN = np.load(DATA / "emov2_golden.npz")
STAGES = tuple(f"stage{i}" for i in range(5))

# Parameters and MACs at 224 in millions, as the paper's table and the official code give them.
PUBLISHED = {
    "emov2-1m": ("1.461", "279.9"),
    "emov2-2m": ("2.384", "480.8"),
    "emov2-5m": ("5.126", "1025.1"),
    "emov2-20m": ("20.195", "3997"),
    "emov2-50m": ("49.816", "8767"),
}
TINY = EMOv2Config(depths=(1, 1, 2, 2), dims=(8, 8, 16, 16), expansions=(2, 2, 1.5, 2), head_dims=(8, 8, 8, 4))


def reference_fill():
    spec = importlib.util.spec_from_file_location("reference_fill", DATA / "fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = reference_fill()


def image(size: int, seed: int, batch: int = 1) -> Tensor:
    return torch.from_numpy(REFERENCE.image_batch(size, seed, batch))


def on_meta(size: str, resolution: int) -> tuple[nn.Module, Tensor]:
    with torch.device("meta"):
        return EMOv2(CONFIGS[size], window=window_for(resolution)).eval(), torch.zeros(1, 3, resolution, resolution)


def macs_of(model: nn.Module, x: Tensor) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("size", ["1m", "5m"])
def test_names_and_shapes_of_the_official_checkpoints(size):
    official = json.loads((DATA / f"emov2-{size}_state_dict.json").read_text())
    with torch.device("meta"):
        ours = EMOv2(CONFIGS[size]).state_dict()
    assert {name: list(value.shape) for name, value in ours.items()} == official


@pytest.mark.parametrize("size", ["1m", "5m"])
def test_the_untrained_fill_is_the_reference_fill(size):
    model = EMOv2(CONFIGS[size])
    fill_untrained(model)
    for name, value in model.state_dict().items():
        assert np.array_equal(value.numpy(), REFERENCE.fill(name, tuple(value.shape))), name


@pytest.mark.parametrize(("size", "seed"), [("1m", 7), ("5m", 8)])
def test_golden_logits_and_stages(size, seed):
    key = f"emov2-{size}@224#{seed}"
    model = build_model(f"emov2-{size}")
    outputs: dict[str, Tensor] = {}
    for stage in STAGES:
        model.get_submodule(stage).register_forward_hook(lambda _, __, y, stage=stage: outputs.update({stage: y.double()}))
    with torch.no_grad():
        logits = model(image(224, seed, 2)).numpy()
    golden = GOLDEN[f"{key}/logits"]
    assert logits.shape == golden.shape == (2, 1000)
    assert np.abs(logits - golden).max() <= 1e-4 * np.abs(golden).max()
    assert (logits.argmax(1) == golden.argmax(1)).all()
    assert np.abs(golden[0] - golden[1]).max() > 0.01 * np.abs(golden).max()  # the two images do differ
    for stage in STAGES:
        mean, deviation, largest = GOLDEN[f"{key}/{stage}"]
        y = outputs[stage]
        assert y.mean().item() == pytest.approx(mean, abs=1e-4 * deviation)
        assert y.std(correction=0).item() == pytest.approx(deviation, rel=1e-4)
        assert y.abs().max().item() == pytest.approx(largest, rel=1e-4)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_macs_are_the_registrys_and_the_published_ones(name):
    entry = model_entry(name)
    model, x = on_meta(name.removeprefix("emov2-"), 224)
    assert sum(value.numel() for value in model.parameters()) == entry.parameters
    assert macs_of(model, x) == entry.macs
    for published, ours in zip(PUBLISHED[name], (entry.parameters, entry.macs), strict=True):
        decimals = len(published.partition(".")[2])
        assert f"{ours / 1e6:.{decimals}f}" == published


def test_the_registry_lists_the_five_sizes_and_the_small_one():
    assert [entry.name for entry in MODELS if entry.name.startswith("emov2-")] == [*PUBLISHED, "emov2-nano"]
    assert {f"emov2-{size}" for size in CONFIGS} == {*PUBLISHED, "emov2-nano"}


def test_the_small_ones_two_partitions_differ():
    model = EMOv2(CONFIGS["nano"], num_classes=10).eval()
    attention = model.stage3[1].eops[0]
    shapes = []
    attention.register_forward_hook(lambda _, inputs, __: shapes.append(inputs[0].shape[2:]))
    model(torch.zeros(1, 3, 32, 32))
    assert (shapes, attention.window) == ([(4, 4)], 2)  # 2 x 2 windows
    q, k, v = (torch.randn(1, channels, 4, 4, generator=torch.Generator().manual_seed(channels)) for channels in (96, 96, 288))
    assert not torch.allclose(attention.attend(q, k, v, "neighbour"), attention.attend(q, k, v, "distant"), atol=1e-2)


def test_macs_at_512_in_both_conventions():
    model, x = on_meta("5m", 512)
    elements = {nn.BatchNorm2d: 0, LayerNorm2d: 0}

    def count(module, inputs, output):
        elements[type(module)] += output.numel()

    for module in model.modules():
        if type(module) in elements:
            module.register_forward_hook(count)
    macs = macs_of(model, x)
    assert round(macs / 1e6) == 5573
    # The paper counts with fvcore: two operations an element of batch norm, five of layer norm.
    assert round((macs + 2 * elements[nn.BatchNorm2d] + 5 * elements[LayerNorm2d]) / 1e6) == 5627


@pytest.mark.parametrize(("resolution", "window"), [(224, 7), (256, 8), (512, 8), (448, 7), (768, 8), (32, 7), (320, 7), (384, 8), (1792, 7)])
def test_window_for(resolution, window):
    assert window_for(resolution) == window


@pytest.mark.parametrize("resolution", [224, 256, 320, 512])
def test_runs_at_every_resolution(resolution):
    model = EMOv2(TINY, num_classes=5, window=window_for(resolution)).eval()
    fill_untrained(model)
    maps: dict[str, tuple[int, ...]] = {}
    for stage in STAGES:
        model.get_submodule(stage).register_forward_hook(lambda _, __, y, stage=stage: maps.update({stage: tuple(y.shape)}))
    with torch.no_grad():
        logits = model(image(resolution, 0))
    assert logits.shape == (1, 5)
    assert torch.isfinite(logits).all()
    assert logits.std() > 0.01
    widths = (4, *TINY.dims)
    assert maps == {stage: (1, width, resolution >> i, resolution >> i) for i, (stage, width) in enumerate(zip(STAGES, widths, strict=True), 1)}


def test_the_same_parameters_serve_every_resolution():
    shapes = [{name: value.shape for name, value in EMOv2(TINY, window=window).state_dict().items()} for window in (7, 8)]
    assert shapes[0] == shapes[1]


def test_images_of_a_batch_do_not_see_each_other():
    model = EMOv2(TINY, num_classes=5, window=4).eval()
    fill_untrained(model)
    batch = image(96, 0, 3)
    with torch.no_grad():
        together = model(batch)
        alone = torch.cat([model(batch[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5 * float(alone.abs().max()))


# --- spanning attention against loops -------------------------------------------------------------------


def attention_by_loops(module: SpanningAttention, x: Tensor) -> Tensor:
    """Spanning attention token by token: which tokens share a window is asked of each pair of positions."""
    window, dim = module.window, module.head_dim
    batch, _, height, width = x.shape
    rows, columns = math.ceil(height / window), math.ceil(width / window)  # windows along each axis
    high, wide = rows * window, columns * window

    def project(conv: nn.Conv2d, b: int, r: int, c: int) -> Tensor:
        inside = r < height and c < width
        return conv.bias + (conv.weight[:, :, 0, 0] @ x[b, :, r, c] if inside else 0)

    positions = [(r, c) for r in range(high) for c in range(wide)]
    near = {(r, c): (r // window, c // window) for r, c in positions}
    far = {(r, c): (r % rows, c % columns) for r, c in positions}
    value_width = module.v.conv.out_channels // module.heads
    out = torch.zeros(batch, module.v.conv.out_channels, height, width, dtype=x.dtype)
    for b in range(batch):
        qk = {p: project(module.qk.conv, b, *p) for p in positions}
        v = {p: F.gelu(project(module.v.conv, b, *p)) for p in positions}
        channels = qk[0, 0].numel() // 2
        for r in range(height):
            for c in range(width):
                for window_of in (near, far):
                    group = [p for p in positions if window_of[p] == window_of[r, c]]
                    assert len(group) == window**2
                    for head in range(module.heads):
                        q = qk[r, c][head * dim : (head + 1) * dim]
                        k = torch.stack([qk[p][channels + head * dim : channels + (head + 1) * dim] for p in group])
                        values = torch.stack([v[p][head * value_width : (head + 1) * value_width] for p in group])
                        weights = torch.softmax(k @ q / math.sqrt(dim), dim=0)
                        out[b, head * value_width : (head + 1) * value_width, r, c] += weights @ values
    return out


@pytest.mark.parametrize(
    ("batch", "height", "width", "window"),
    [(1, 4, 4, 2), (2, 2, 4, 2), (1, 3, 3, 3), (1, 3, 5, 2), (1, 2, 2, 3), (1, 4, 3, 3)],
    ids=["four windows", "batch, two windows", "one window", "padded both ways", "one padded window", "padded rows"],
)
def test_spanning_attention_is_what_loops_compute(batch, height, width, window):
    module = SpanningAttention(6, 8, head_dim=3, window=window).double()
    fill_untrained(module)
    x = torch.randn(batch, 6, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = attention_by_loops(module, x)
        actual = module(x)
    assert (actual - expected).abs().max() <= 1e-12 * expected.abs().max()


def test_padded_tokens_take_part():
    """On a padded map, attention among the real tokens alone is something else."""
    module = SpanningAttention(6, 6, head_dim=3, window=3).double()
    fill_untrained(module)
    x = torch.randn(1, 6, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    unpadded = SpanningAttention(6, 6, head_dim=3, window=2).double()
    unpadded.load_state_dict(module.state_dict())
    with torch.no_grad():
        assert (module(x) - unpadded(x)).abs().max() > 0.01 * module(x).abs().max()


# --- build_model ----------------------------------------------------------------------------------------


def test_build_model_is_in_inference_mode_and_always_the_same():
    torch.manual_seed(0)
    first = build_model("emov2-1m", num_classes=7)
    torch.manual_seed(1)
    second = build_model("emov2-1m", num_classes=7)
    assert not any(module.training for module in first.modules())
    assert first.head.out_features == 7
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True))


def test_build_model_defaults_and_windows():
    assert build_model("emov2-1m").head.out_features == 1000
    for resolution, window in ((None, 7), (224, 7), (256, 8)):
        model = build_model("emov2-1m", resolution=resolution, num_classes=2)
        assert {module.window for module in model.modules() if isinstance(module, SpanningAttention)} == {window}


@pytest.mark.parametrize(("name", "near"), [("emov2-5", "emov2-5m"), ("emo2-20m", "emov2-20m"), ("EMOv2-1m", "emov2-1m")])
def test_an_unknown_model_is_answered_with_the_nearest(name, near):
    with pytest.raises(UnknownNameError, match=f"unknown model '{name}'") as caught:
        build_model(name)
    assert caught.value.hint == f"did you mean {near!r}?"
    assert "emov2-50m" in caught.value.what
    assert caught.value.exit_code == 2


def test_a_model_nothing_like_any_has_no_suggestion():
    with pytest.raises(UnknownNameError) as caught:
        build_model("xyz")
    assert caught.value.hint is None


@pytest.mark.parametrize(
    ("resolution", "hint"), [(225, "224 or 256"), (223, "192 or 224"), (240, "224 or 256"), (16, "32 or 64"), (0, "32 or 64"), (-32, "32 or 64")]
)
def test_a_resolution_that_cannot_be_halved_five_times_is_refused(resolution, hint):
    with pytest.raises(UsageError, match=f"emov2-5m cannot run at resolution {resolution}") as caught:
        build_model("emov2-5m", resolution=resolution)
    assert "multiple of 32" in caught.value.why
    assert hint in caught.value.hint
