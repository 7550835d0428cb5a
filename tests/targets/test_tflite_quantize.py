"""Quantized TFLite files of small networks: what becomes integers, what stays, and that they compute."""

import attrs
import pytest
import torch
from torch import nn

from edgekit.capabilities import target_facts
from edgekit.interface import MethodSpec, TensorSpec
from edgekit.programs import rewritten_program
from edgekit.quantization.job import Quantization
from edgekit.quantization.scheme import SCHEMES
from edgekit.recipe import Recipe
from edgekit.targets.base import LoweringJob, Metadata
from edgekit.targets.tflite import TARGET
from edgekit.targets.tflite.graph import read_graphs
from edgekit.targets.tflite.integers import following
from edgekit.verification.parity import sqnr_db


class Net(nn.Module):
    def __init__(self, channels):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.stem = nn.Conv2d(channels, 16, 3, 2, 1)
        self.depth = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.point = nn.Conv2d(16, 48, 1)
        self.head = nn.Linear(48, 10)
        for parameter in self.parameters():
            parameter.data.normal_(0, 0.2, generator=generator)

    def forward(self, image):
        x = torch.relu(self.stem(image))
        x = x + torch.relu(self.depth(x))
        return self.head(torch.relu(self.point(x)).mean((2, 3)))


SIDE = 16
METADATA = Metadata(description="a test", author="", license="", edgekit_version="", preprocessing=None)


def _inputs(channels, count=8):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(1, channels, SIDE, SIDE, generator=generator) for _ in range(count)]


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A job of two methods with nodes of equal names and different values."""
    facts = target_facts("tflite")
    programs, methods = {}, []
    for name, channels in (("one", 3), ("two", 4)):
        programs[name], _ = rewritten_program(name, Net(channels).eval(), facts, (_inputs(channels)[0],))
        image = TensorSpec(name="image", dtype="float32", shape=(1, SIDE, SIDE, channels), layout="NHWC")
        methods.append(MethodSpec(name=name, inputs=(image,), outputs=(TensorSpec(name="logits", dtype="float32", shape=(1, 10), layout="NC"),)))
    recipe = Recipe(model="emov2-1m", target="tflite")
    place = tmp_path_factory.mktemp("quantized")
    return LoweringJob(programs=programs, methods=tuple(methods), recipe=recipe, metadata=METADATA, destination=place / "net.tflite")


@pytest.fixture
def lowered(job):
    def run(precision, kept=frozenset()):
        calibration = {
            name: tuple({"image": value.numpy().transpose(0, 2, 3, 1).copy() * scale} for value in _inputs(channels))
            for name, channels, scale in (("one", 3, 1.0), ("two", 4, 5.0))
        }
        scheme = SCHEMES[precision]
        quantization = Quantization(
            scheme=scheme, kept_float={name: frozenset(kept) for name in job.programs}, calibration=calibration if scheme.calibrated else {}
        )
        place = job.destination.with_name(f"{precision}-{len(kept)}.tflite")
        TARGET.lower(attrs.evolve(job, quantization=quantization, destination=place))
        return place

    return run


@pytest.mark.parametrize(
    ("precision", "least_db", "kind"), [("w8a8", 28, "int8"), ("w8a8-dynamic", 28, "int8"), ("w8a32", 38, "int8"), ("w4a32", 12, "int4")]
)
def test_each_scheme_computes_in_floats_outside_and_stores_integers(job, lowered, precision, least_db, kind):
    place = lowered(precision)
    executable = TARGET.open(place)
    for method, channels, scale in (("one", 3, 1.0), ("two", 4, 5.0)):
        spec = next(spec for spec in executable.methods if spec.name == method)
        assert spec.inputs[0].dtype == spec.outputs[0].dtype == "float32"
        for value in _inputs(channels, 3):
            with torch.no_grad():
                expected = job.programs[method].module()(value * scale).numpy()
            got = executable.run(method, {"image": value.numpy().transpose(0, 2, 3, 1).copy() * scale})["logits"]
            assert sqnr_db(expected, got) > least_db
    kinds = {
        tensor.dtype for graph in read_graphs(place) for row in graph.operators for tensor in row.operands if tensor is not None and tensor.stored
    }
    assert kind in kinds


def test_static_integers_compute_as_integers_and_are_delegated(lowered):
    for graph in read_graphs(lowered("w8a8")):
        kinds = [row.kind for row in graph.operators]
        assert (kinds.count("QUANTIZE"), kinds.count("DEQUANTIZE")) == (1, 1)
        assert all(row.delegated for row in graph.operators)
        assert graph.delegates == 1


def test_what_goes_in_and_comes_out_may_be_integers(job):
    """Given by the calibrated scale, answered by that of the logits; the network's own file in floats at its edges computes nothing else."""
    calibration = {name: tuple({"image": value.numpy().transpose(0, 2, 3, 1).copy()} for value in _inputs(channels)) for name, channels in EDGES}
    place = job.destination.with_name("integers.tflite")
    quantization = Quantization(scheme=SCHEMES["w8a8"], calibration=calibration)
    recipe = Recipe(model="emov2-1m", target="tflite", precision="w8a8", io="int8")
    TARGET.lower(attrs.evolve(job, recipe=recipe, quantization=quantization, destination=place))
    executable = TARGET.open(place)
    for name, channels in EDGES:
        spec = next(spec for spec in executable.methods if spec.name == name)
        ((image,), (logits,)) = spec.inputs, spec.outputs
        assert (image.dtype, logits.dtype) == ("int8", "int8")
        for value in _inputs(channels, 3):
            with torch.no_grad():
                expected = job.programs[name].module()(value).numpy()
            got = executable.run(name, {"image": image.stored(value.numpy().transpose(0, 2, 3, 1).copy())})["logits"]
            assert got.dtype == "int8"
            assert sqnr_db(expected, logits.real(got)) > 25
    for graph in read_graphs(place):
        assert {row.kind for row in graph.operators}.isdisjoint(("QUANTIZE", "DEQUANTIZE"))


EDGES = (("one", 3), ("two", 4))


def test_nodes_that_are_kept_compute_in_floats(job, lowered):
    kept = [node.name for node in job.programs["one"].graph.nodes if "depth" in str(node.meta.get("nn_module_stack")) and "conv" in node.name]
    assert len(kept) == 1
    for graph in read_graphs(lowered("w8a8", frozenset(kept))):
        results = {row.kind: row.results[0].dtype for row in graph.operators}
        assert results["DEPTHWISE_CONV_2D"] == "float32"
        assert results["CONV_2D"] == "int8"


def test_operators_are_called_by_their_modules(lowered):
    names = {row.name for graph in read_graphs(lowered("w8a8")) for row in graph.operators}
    assert [name for name in names if "/" in name or name[0].isdigit()] == []
    assert any("stem" in name.split(";") for name in names)  # fused with the activation behind it, which comes first
    assert "logits" in names


def test_the_same_request_gives_the_same_bytes(job, lowered):
    first = lowered("w8a8").read_bytes()
    lowered("w8a8").unlink()
    assert lowered("w8a8").read_bytes() == first


@attrs.frozen
class Row:
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def test_what_moves_data_follows_the_smaller_conversion():
    rows = [Row("CONV_2D", (0,), (1,)), Row("SLICE", (1,), (2,)), Row("RESHAPE", (2,), (3,)), Row("SOFTMAX", (3,), (4,))]
    sizes = {0: 100, 1: 100, 2: 10, 3: 10, 4: 10}
    assert following(rows, {0: True, 3: False}, sizes) == {0, 1, 2}
    # Nothing is gained by a slice in integers between floats.
    assert following(rows, {0: False, 3: False}, sizes) == frozenset()


def test_an_operator_without_a_kernel_in_integers_stays():
    rows = [Row("CONV_2D", (0,), (1,)), Row("CUMSUM", (1,), (2,)), Row("CONV_2D", (2,), (3,))]
    assert following(rows, {0: True, 2: True}, dict.fromkeys(range(4), 10)) == {0, 2}


class Tokens(nn.Module):
    """A norm with its epsilon, and a GELU between linear layers and a transpose."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.first, self.last = nn.Conv2d(3, 32, 4, 4), nn.Linear(32, 64), nn.Linear(64, 10)

    def forward(self, image):
        x = self.stem(image).flatten(2).transpose(1, 2)
        centred = x - x.mean(-1, keepdim=True)
        x = centred * torch.rsqrt((centred * centred).mean(-1, keepdim=True) + 1e-6)
        return self.last(nn.functional.gelu(self.first(x)).transpose(1, 2).mean(2))


def test_a_function_that_is_looked_up_lies_between_integers_and_an_epsilon_in_floats(tmp_path):
    facts, (image,) = target_facts("tflite"), _inputs(3, 1)
    program, _ = rewritten_program("tokens", Tokens().eval(), facts, (image,))
    spec = TensorSpec(name="image", dtype="float32", shape=(1, SIDE, SIDE, 3), layout="NHWC")
    method = MethodSpec(name="forward", inputs=(spec,), outputs=(TensorSpec(name="logits", dtype="float32", shape=(1, 10), layout="NC"),))
    calibration = {"forward": tuple({"image": value.numpy().transpose(0, 2, 3, 1).copy()} for value in _inputs(3))}
    job = LoweringJob(
        programs={"forward": program},
        methods=(method,),
        recipe=Recipe(model="tokens", target="tflite", precision="fp32"),
        metadata=METADATA,
        destination=tmp_path / "tokens.tflite",
        quantization=Quantization(scheme=SCHEMES["w8a8"], calibration=calibration),
    )
    TARGET.lower(job)
    (graph,) = read_graphs(job.destination)
    (gelu,) = (row for row in graph.operators if row.kind == "GELU")
    before = [row for row in graph.operators if gelu.operands[0] in row.results]
    after = [row for row in graph.operators if gelu.results[0] in row.operands]
    assert [row.kind for row in (*before, *after)] == ["DEQUANTIZE", "QUANTIZE"]
    (added,) = (row for row in graph.operators if row.kind == "ADD" and any(operand.stored for operand in row.operands))
    assert added.results[0].dtype == "float32"
    assert graph.delegates == 1


class Sure(nn.Module):
    """Logits that are an answer, and that a softmax in floats reads."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head = nn.Conv2d(3, 16, 3, 2), nn.Linear(16, 10)

    def forward(self, image):
        logits = self.head(torch.relu(self.stem(image)).mean((2, 3)))
        return logits, logits.softmax(1).amax(1)


def test_a_result_that_is_read_on_in_floats_is_given_in_floats(tmp_path):
    facts, (image,) = target_facts("tflite"), _inputs(3, 1)
    program, _ = rewritten_program("sure", Sure().eval(), facts, (image,))
    spec = TensorSpec(name="image", dtype="float32", shape=(1, SIDE, SIDE, 3), layout="NHWC")
    outputs = (TensorSpec(name="logits", dtype="float32", shape=(1, 10), layout="NC"), TensorSpec(name="confidence", dtype="float32", shape=(1,)))
    softmax = next(node.name for node in program.graph.nodes if "softmax" in str(node.target))
    given = tuple({"image": value.numpy().transpose(0, 2, 3, 1).copy()} for value in _inputs(3))
    job = LoweringJob(
        programs={"forward": program},
        methods=(MethodSpec(name="forward", inputs=(spec,), outputs=outputs),),
        recipe=Recipe(model="sure", target="tflite", precision="fp32"),
        metadata=METADATA,
        destination=tmp_path / "sure.tflite",
        quantization=Quantization(scheme=SCHEMES["w8a8"], kept_float={"forward": frozenset((softmax,))}, calibration={"forward": given}),
    )
    TARGET.lower(job)  # refuses a file of another interface
    with torch.no_grad():
        expected = program.module()(image)[0].numpy()
    assert sqnr_db(expected, TARGET.open(job.destination).run("forward", given[0])["logits"]) > 28
