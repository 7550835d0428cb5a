"""Modules that ask for full precision: their operators are marked, and computed in float32 by targets in half precision."""

import json

import pytest
import torch
from torch import nn

import edgekit
from edgekit.capture import capture
from edgekit.full_precision import in_full_precision
from edgekit.rewrites.graph import ProgramEditor
from edgekit.targets.registry import get_target


class Scoring(nn.Module):
    full_precision = True

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(256, 64)

    def forward(self, x):
        return self.inner(x).sigmoid()


class Network(nn.Module):
    """Returns the scores of 16 tokens and which are above the mean, through a reshape outside the module."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 256, 8, 8)
        self.score = Scoring()
        self.above = Above()

    def forward(self, image):
        scores = self.score(self.embed(image).flatten(2).transpose(1, 2))
        return {"logits": self.above(scores.reshape(1, -1)), "doubled": scores * 2.0}


class Above(nn.Module):
    full_precision = True

    def forward(self, scores):
        return scores - scores.mean(dim=-1, keepdim=True)


def build(resolution=32):
    del resolution
    torch.manual_seed(0)
    return Network().eval()


@pytest.fixture(scope="module")
def program():
    return capture("network", build(), (torch.randn(1, 3, 32, 32),))


def marked(program):
    return [node.name for node in program.graph.nodes if in_full_precision(node)]


def test_what_asks_is_marked_and_what_only_moves_its_values(program):
    assert marked(program) == ["linear", "sigmoid", "reshape", "mean", "sub"]


def test_decompositions_keep_marks(program):
    names = marked(program.run_decompositions())
    assert {"sigmoid", "mean", "sub"} <= set(names)
    assert not any(name.startswith(("convolution", "mul")) for name in names)


def test_what_a_rewrite_inserts_has_the_precision_of_what_it_replaces(program):
    editor = ProgramEditor(program)
    nodes = {node.name: node for node in editor.graph.nodes}
    before = editor.call(torch.ops.aten.neg.default, nodes["linear"], before=nodes["sigmoid"])
    behind = editor.call(torch.ops.aten.neg.default, nodes["conv2d"], before=nodes["flatten"])
    assert in_full_precision(before)
    assert not in_full_precision(behind)


def test_plain_modules_are_not_marked():
    model = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid())
    assert marked(capture("plain", model.eval(), (torch.randn(1, 4),))) == []


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    (artifact,) = edgekit.export(
        f"{__file__}:build", targets=["coreml"], precision="fp16", resolution=32, output_dir=tmp_path_factory.mktemp("coreml")
    ).artifacts
    return artifact


def test_core_ml_computes_it_in_float32_and_stores_its_weights_in_half(package):
    types = {}
    executable = get_target("coreml").open(package.path)
    (function,) = executable._program.functions.values()
    for operator in function.block.walk():
        types.setdefault(operator.kind, set()).update(output.type.dtype for output in operator.outputs)
    assert types["linear"] == types["sigmoid"] == types["reduce_mean"] == {"fp32"}
    assert types["conv"] == types["mul"] == {"fp16"}
    assert types["constexpr_cast"] == {"fp32"}
    parameters = sum(parameter.numel() for parameter in build().parameters())
    assert get_target("coreml").inspect(package.path).sections["weights"] <= 2 * parameters + 1024


def test_core_ml_is_right_to_the_last_digits(package):
    numerics = json.loads(package.manifest.read_text())["parity"]["numerics"]
    assert numerics["fp32"]["against"] == "the lowered program with its weights in half precision"
    assert numerics["fp32"]["sqnr_db"] > 100


def test_core_ai_computes_it_in_float32(tmp_path):
    (artifact,) = edgekit.export(f"{__file__}:build", targets=["coreai"], precision="fp16", resolution=32, output_dir=tmp_path).artifacts
    from edgekit.targets.coreai.graphs import graphs_in, is_method, load_program, operations_in

    types = {}
    for graph in filter(is_method, graphs_in(load_program(artifact.path))):
        for operation in operations_in(graph):
            types.setdefault(operation.name, set()).update(str(result.type.element_type) for result in operation.results)
    assert types["coreai.sigmoid"] == {"f32"}
    assert types["coreai.conv2d"] == {"f16"}
