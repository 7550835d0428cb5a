"""Quantized ONNX graphs: what onnxruntime runs in integers, what stays floats, what the file computes."""

from collections import Counter

import attrs
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from edgekit.errors import LoweringError
from edgekit.interface import MethodSpec, Preprocessing, TensorSpec
from edgekit.quantization.job import Quantization
from edgekit.quantization.scheme import SCHEMES
from edgekit.recipe import Recipe
from edgekit.targets.base import LoweringJob, Metadata
from edgekit.targets.onnx import TARGET

IMAGE = (1, 3, 16, 16)
FORWARD = MethodSpec(
    name="forward",
    inputs=(TensorSpec(name="image", dtype="float32", shape=IMAGE, layout="NCHW"),),
    outputs=(TensorSpec(name="logits", dtype="float32", shape=(1, 5), layout="NC"),),
)
SAMPLES = np.random.default_rng(1).normal(size=(8, *IMAGE)).astype(np.float32)


class Mobile(nn.Module):
    """A block of a mobile network: everything onnxruntime has 8-bit kernels for, and a gelu, which it has not."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.wide = nn.Conv2d(16, 32, 1)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.narrow = nn.Conv2d(32, 16, 1)
        self.head = nn.Linear(16, 5)

    def forward(self, image):
        x = nn.functional.relu6(self.stem(image))
        y = nn.functional.silu(self.depthwise(nn.functional.gelu(self.wide(x))))
        return self.head((x + self.narrow(y)).mean((2, 3), keepdim=True).flatten(1))


class Tokens(nn.Module):
    """Linear layers over tokens, with and without a bias, a norm, and attention without a mask."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, stride=4)
        self.norm = nn.LayerNorm(16)
        self.query = nn.Linear(16, 16)
        self.key = nn.Linear(16, 16, bias=False)
        self.head = nn.Linear(16, 5)

    def forward(self, image):
        x = self.norm(self.patches(image).flatten(2).transpose(1, 2))
        return self.head((torch.softmax(self.query(x) @ self.key(x).transpose(1, 2), -1) @ x)[:, 0])


def quantization(scheme="w8a8", kept=()):
    return Quantization(
        scheme=SCHEMES[scheme],
        kept_float={"forward": frozenset(kept)},
        calibration={"forward": tuple({"image": sample} for sample in SAMPLES)},
    )


def lowered(module, path, given):
    job = LoweringJob(
        programs={"forward": torch.export.export(module, (torch.zeros(IMAGE),), strict=False)},
        methods=(FORWARD,),
        recipe=Recipe(model="small", target="onnx"),
        metadata=Metadata(
            description="a test", author="tests", license="none", edgekit_version="0", preprocessing=Preprocessing(resolution=16), labels=()
        ),
        destination=path,
        quantization=given,
    )
    TARGET.lower(job)
    return path


def decibels(module, path):
    executable = TARGET.open(path)
    with torch.no_grad():
        expected = np.concatenate([module(torch.from_numpy(sample)).numpy() for sample in SAMPLES])
    found = np.concatenate([executable.run("forward", {"image": sample})["logits"] for sample in SAMPLES])
    return 10 * np.log10((expected**2).sum() / ((found - expected) ** 2).sum())


def run_by_onnxruntime(path):
    """Return the operators that a session makes of a file, counted."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path.with_suffix(".optimized.onnx"))
    options.log_severity_level = 4
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)


def quantized_weights(path):
    return sum(tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1 for tensor in onnx.load(path).graph.initializer)


@pytest.fixture(scope="module")
def mobile():
    torch.manual_seed(0)
    return Mobile().eval()


@pytest.fixture(scope="module")
def tokens():
    torch.manual_seed(0)
    return Tokens().eval()


def test_onnxruntime_runs_a_mobile_network_in_integers(mobile, tmp_path):
    path = lowered(mobile, tmp_path / "a.onnx", quantization())
    found = run_by_onnxruntime(path)
    assert found["QLinearConv"] == 4
    assert {name: found[name] for name in ("QLinearSigmoid", "QLinearMul", "QLinearAdd", "QLinearGlobalAveragePool", "QGemm")} == {
        "QLinearSigmoid": 1,
        "QLinearMul": 1,
        "QLinearAdd": 1,
        "QLinearGlobalAveragePool": 1,
        "QGemm": 1,
    }
    assert found["Clip"] == 0
    assert (found["QuantizeLinear"], found["DequantizeLinear"]) == (2, 1)  # the image, and around the gelu; the last layer gives floats
    assert decibels(mobile, path) > 30


def test_a_bias_of_tokens_is_added_inside_the_product(tokens, tmp_path):
    path = lowered(tokens, tmp_path / "a.onnx", quantization())
    found = run_by_onnxruntime(path)
    assert found["Add"] == found["QLinearAdd"] == 0
    assert found["QGemm"] == 2
    assert found["QLinearConv"] == found["MatMulIntegerToFloat"] == 1
    assert found["DequantizeLinear"] == 1  # before the norm: all products give floats to the operators that take them
    assert decibels(tokens, path) > 25


def test_the_same_request_gives_the_same_bytes(mobile, tmp_path):
    first = lowered(mobile, tmp_path / "a.onnx", quantization()).read_bytes()
    assert lowered(mobile, tmp_path / "b.onnx", quantization()).read_bytes() == first


def test_names_shapes_and_metadata_are_those_of_the_float_file(mobile, tmp_path):
    assert TARGET.open(lowered(mobile, tmp_path / "a.onnx", quantization())).methods == (FORWARD,)
    assert onnx.load(tmp_path / "a.onnx").producer_name == "edgekit"


@pytest.mark.parametrize("scheme", ["w8a8", "w8a32"])
def test_what_is_kept_stays_floats(mobile, tmp_path, scheme):
    def count(kept):
        return quantized_weights(lowered(mobile, tmp_path / "a.onnx", quantization(scheme, kept)))

    assert count(()) == 5
    assert count({"conv2d_1", "linear"}) == 3
    assert count({"conv2d", "conv2d_1", "conv2d_2", "conv2d_3", "linear"}) == 0


def test_a_clamp_goes_with_its_product_whatever_is_kept(mobile, tmp_path):
    def clips(kept):
        graph = onnx.load(lowered(mobile, tmp_path / "a.onnx", quantization(kept=kept))).graph
        return Counter(node.op_type for node in graph.node)["Clip"]

    assert clips({"relu6"}) == 0
    assert clips({"conv2d"}) == 1


def test_weights_alone_need_no_samples(tokens, tmp_path):
    path = lowered(tokens, tmp_path / "a.onnx", attrs.evolve(quantization("w8a32"), calibration={}))
    assert quantized_weights(path) == 4
    assert run_by_onnxruntime(path)["QuantizeLinear"] == 0
    assert decibels(tokens, path) > 35


def test_static_ranges_need_samples(mobile, tmp_path):
    with pytest.raises(LoweringError, match="no samples to calibrate method forward"):
        lowered(mobile, tmp_path / "a.onnx", attrs.evolve(quantization(), calibration={}))


@pytest.mark.parametrize("module", [Mobile, Tokens])
def test_nothing_is_read_before_it_is_written(module, tmp_path):
    """Loaders sort a graph themselves, but not one in a branch of an If, where the later exits of an early-exit network end up."""
    torch.manual_seed(0)
    graph = onnx.load(lowered(module().eval(), tmp_path / "net.onnx", quantization())).graph
    known = {"", *(value.name for value in graph.input), *(tensor.name for tensor in graph.initializer)}
    for node in graph.node:
        assert set(node.input) <= known, node.name
        known.update(node.output)
