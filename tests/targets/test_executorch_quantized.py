"""Quantized programs for XNNPACK: what becomes integers, what stays floats, what the file computes."""

import attrs
import numpy as np
import pytest
import torch
from torch import nn

from edgekit.errors import LoweringError
from edgekit.interface import MethodSpec, Preprocessing, TensorSpec
from edgekit.quantization.job import Quantization
from edgekit.quantization.scheme import SCHEMES
from edgekit.recipe import Recipe
from edgekit.targets.base import LoweringJob, Metadata
from edgekit.targets.executorch import TARGET
from edgekit.targets.executorch.quantize import quantized
from edgekit.targets.executorch.roles import integer_nodes

IMAGE = (1, 3, 16, 16)
FORWARD = MethodSpec(
    name="forward",
    inputs=(TensorSpec(name="image", dtype="float32", shape=IMAGE, layout="NCHW"),),
    outputs=(TensorSpec(name="logits", dtype="float32", shape=(1, 5), layout="NC"),),
)
SAMPLES = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(1))


class Mobile(nn.Module):
    """A block of a mobile network with everything that has 8-bit kernels: every activation, a pad, a sum, a mean."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2)
        self.wide = nn.Conv2d(16, 32, 1)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.narrow = nn.Conv2d(32, 16, 1)
        self.head = nn.Linear(16, 5)

    def forward(self, image):
        x = nn.functional.relu6(self.stem(nn.functional.pad(image, (0, 1, 0, 1))))
        y = nn.functional.silu(self.depthwise(nn.functional.gelu(self.wide(x))))
        return self.head((x + self.narrow(y)).mean((2, 3), keepdim=True).flatten(1))


class Attention(nn.Module):
    """Two linear layers around what stays floats: a norm's statistics and products of two values."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, stride=4)
        self.project = nn.Linear(16, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, image):
        x = self.patches(image).flatten(2).transpose(1, 2)
        centred = x - nn.functional.linear(x, torch.full((1, 16), 1 / 16))
        normed = centred * torch.rsqrt(nn.functional.linear(centred * centred, torch.full((1, 16), 1 / 16)) + 1e-6)
        values = self.project(normed)
        return self.head((torch.softmax(values @ values.transpose(1, 2), -1) @ values)[:, 0])


def program_of(module):
    return torch.export.export(module.eval(), (torch.zeros(IMAGE),), strict=False)


def quantization(scheme="w8a8", kept=()):
    samples = tuple({"image": sample[None].numpy()} for sample in SAMPLES)
    return Quantization(scheme=SCHEMES[scheme], kept_float={"forward": frozenset(kept)}, calibration={"forward": samples})


def job(module, destination, given, backend=None):
    return LoweringJob(
        programs={"forward": program_of(module)},
        methods=(FORWARD,),
        recipe=Recipe(model="small", target="executorch", backend=backend),
        metadata=Metadata(
            description="a test", author="tests", license="none", edgekit_version="0", preprocessing=Preprocessing(resolution=16), labels=()
        ),
        destination=destination,
        quantization=given,
    )


def lowered(module, path, given):
    TARGET.lower(job(module, path, given))
    return path


def decibels(module, path):
    executable = TARGET.open(path)
    noise = signal = 0.0
    for sample in SAMPLES:
        with torch.no_grad():
            expected = module(sample[None]).numpy()
        noise += float(((executable.run("forward", {"image": sample[None].numpy()})["logits"] - expected) ** 2).sum())
        signal += float((expected**2).sum())
    return 10 * np.log10(signal / noise)


def integers_in(program):
    """Return the names of what quantize_per_tensor is applied to, and of what each dequantized weight goes to."""
    nodes = [node for node in program.graph.nodes if node.op == "call_function"]
    values = {str(node.args[0].target) for node in nodes if "quantize_per_tensor" in str(node.target) and "dequantize" not in str(node.target)}
    weights = [str(user.target) for node in nodes if "dequantize_per_channel" in str(node.target) for user in node.users]
    return values, weights


@pytest.fixture(scope="module")
def mobile():
    torch.manual_seed(0)
    return Mobile().eval()


@pytest.fixture(scope="module")
def attention():
    torch.manual_seed(0)
    return Attention().eval()


def test_a_mobile_network_is_integers_from_end_to_end(mobile, tmp_path):
    path = lowered(mobile, tmp_path / "a.pte", quantization())
    found = TARGET.inspect(path)
    assert found.delegation.share == 1
    assert found.delegation.subgraphs == 1
    assert found.operators["xnnpack::Convert"] == 3  # the image; to floats before the last layer, which measures what comes
    assert found.operators["xnnpack::Gelu"] == found.operators["xnnpack::Sigmoid"] == 1
    assert decibels(mobile, path) > 30


def test_the_same_request_gives_the_same_bytes(mobile, tmp_path):
    first = lowered(mobile, tmp_path / "a.pte", quantization()).read_bytes()
    assert lowered(mobile, tmp_path / "b.pte", quantization()).read_bytes() == first


def test_what_is_kept_stays_floats(mobile):
    def weights(kept):
        return integers_in(quantized(program_of(mobile), FORWARD, quantization(kept=kept)))[1]

    assert len(weights(())) == 5
    assert sorted(weights({"conv2d_1", "linear"})) == ["aten.conv2d.default"] * 3
    assert weights({"conv2d", "conv2d_1", "conv2d_2", "conv2d_3", "linear"}) == []


def test_a_kept_silu_is_neither_a_table_nor_a_product_of_integers(mobile):
    values, _ = integers_in(quantized(program_of(mobile), FORWARD, quantization(kept={"silu"})))
    assert "aten.sigmoid.default" not in values
    assert "aten.sigmoid.default" in integers_in(quantized(program_of(mobile), FORWARD, quantization()))[0]


def test_statistics_and_products_of_values_stay_floats(attention, tmp_path):
    values, weights = integers_in(quantized(program_of(attention), FORWARD, quantization()))
    assert sorted(weights) == ["aten.conv2d.default", "aten.linear.default", "aten.linear.default"]
    assert not values & {"aten.rsqrt.default", "aten.sub.Tensor", "aten._softmax.default"}
    assert decibels(attention, lowered(attention, tmp_path / "a.pte", quantization())) > 25


def test_dynamic_ranges_need_no_samples_and_leave_depthwise_and_padded_convolutions(mobile, tmp_path):
    given = attrs.evolve(quantization("w8a8-dynamic"), calibration={})
    _, weights = integers_in(quantized(program_of(mobile), FORWARD, given))
    assert sorted(weights) == ["aten.conv2d.default"] * 2 + ["aten.linear.default"]
    path = lowered(mobile, tmp_path / "a.pte", given)
    assert TARGET.inspect(path).delegation.share == 1
    assert decibels(mobile, path) > 30


def test_static_ranges_need_samples(mobile, tmp_path):
    with pytest.raises(LoweringError, match="no samples to calibrate method forward"):
        lowered(mobile, tmp_path / "a.pte", attrs.evolve(quantization(), calibration={}))


def test_other_backends_are_refused(mobile, tmp_path):
    with pytest.raises(LoweringError, match="cannot write w8a8 for the portable backend"):
        TARGET.lower(job(mobile, tmp_path / "a.pte", quantization(), backend="portable"))


def test_a_sum_of_values_of_very_different_size_still_loads(mobile, tmp_path):
    class Scaled(Mobile):
        def forward(self, image):
            x = nn.functional.relu6(self.stem(nn.functional.pad(image, (0, 1, 0, 1))))
            return self.head((x + self.narrow(self.wide(x))).mean((2, 3), keepdim=True).flatten(1))

    torch.manual_seed(0)
    model = Scaled().eval()
    with torch.no_grad():
        model.narrow.weight *= 1e-7
        model.narrow.bias *= 1e-7
    assert decibels(model, lowered(model, tmp_path / "a.pte", quantization())) > 30


class Joined(nn.Module):
    """Values of different size, joined, and joined again with what was joined."""

    def __init__(self):
        super().__init__()
        self.small, self.large = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
        self.last = nn.Conv2d(12, 4, 1)
        self.head = nn.Linear(4, 5)

    def forward(self, image):
        small, large = nn.functional.gelu(self.small(image)), nn.functional.gelu(4 * self.large(image))
        joined = torch.cat([small, torch.cat([large, small], 1)], 1)
        return self.head(self.last(joined).mean((2, 3), keepdim=True).flatten(1))


@pytest.mark.parametrize("kept", [(), ("cat", "cat_1")])
def test_what_is_joined_has_the_scale_of_the_result_whatever_the_plan_keeps(kept, tmp_path):
    torch.manual_seed(0)
    model = Joined().eval()
    assert decibels(model, lowered(model, tmp_path / "a.pte", quantization(kept=kept))) > 25


def test_a_join_of_joins_is_not_in_integers_of_one_scale():
    program = program_of(Joined().eval()).module(check_guards=False)
    names = {node.name for node in integer_nodes(program.graph, ())}
    assert "cat" in names
    assert "cat_1" not in names
