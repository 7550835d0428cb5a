"""XNNPACK's rules on files that were really partitioned, and the readers that tell what was left outside."""

import attrs
import pytest
import torch
from torch import nn

from edgekit.interface import MethodSpec, Preprocessing, TensorSpec
from edgekit.lint.run import lint_artifact
from edgekit.lint.xnnpack import PTE_RULES, TFLITE_RULES, takes_xnnpack
from edgekit.recipe import Recipe
from edgekit.targets.base import LoweringJob, Metadata
from edgekit.targets.executorch import TARGET as EXECUTORCH
from edgekit.targets.executorch.partition import KernelCall, PteMethod, read_methods
from edgekit.targets.tflite import TARGET as TFLITE
from edgekit.targets.tflite.graph import read_graphs

PLAIN = TensorSpec(name="logits", dtype="float32", shape=(1, 8), layout="NC")


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3)

    def forward(self, image):
        return self.conv(image).mean((2, 3), keepdim=True).flatten(1)


class Between(Plain):
    """Takes indices in the middle, so that the operators around them fall in two parts."""

    def forward(self, image):
        rows = self.conv(image).flatten(2)
        return rows.argmax(2).float() * rows.mean(2)


def lowered(target, name, model, folder):
    nhwc = name == "tflite"
    image = TensorSpec(name="image", dtype="float32", shape=(1, 8, 8, 4) if nhwc else (1, 4, 8, 8), layout="NHWC" if nhwc else "NCHW")
    method = MethodSpec(name="forward", inputs=(image,), outputs=(PLAIN,))
    metadata = Metadata(description="", author="", license="", edgekit_version="0", preprocessing=Preprocessing(resolution=8))
    program = torch.export.export(model.eval(), (torch.zeros(1, 4, 8, 8),), strict=False)
    path = folder / f"{type(model).__name__}.{'tflite' if nhwc else 'pte'}"
    recipe = Recipe(model="small", target=name)
    target.lower(LoweringJob(programs={"forward": program}, methods=(method,), recipe=recipe, metadata=metadata, destination=path))
    return path


@pytest.fixture(scope="module")
def tflite(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lint")
    return {model: lowered(TFLITE, "tflite", model(), folder) for model in (Plain, Between)}


@pytest.fixture(scope="module")
def pte(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lint")
    return {model: lowered(EXECUTORCH, "executorch", model(), folder) for model in (Plain, Between)}


def found(path, rule):
    return [finding for finding in lint_artifact(path).findings if finding.rule == rule]


def test_a_tflite_that_xnnpack_takes_whole(tflite):
    assert found(tflite[Plain], "xnnpack-outside") == found(tflite[Plain], "xnnpack-parts") == []


def test_what_litert_keeps_out_of_xnnpack_is_named(tflite):
    (outside,) = [finding for finding in found(tflite[Between], "xnnpack-outside") if finding.operator == "ARG_MAX"]
    assert (outside.severity, outside.accelerator, outside.method) == ("warning", "XNNPACK", "forward")
    assert "take the largest outside" in outside.hint
    assert outside.source.startswith("https://")
    inspected = TFLITE.inspect(tflite[Between]).delegation
    assert len(found(tflite[Between], "xnnpack-outside")) == sum(inspected.not_delegated.values())
    (parts,) = found(tflite[Between], "xnnpack-parts")
    assert f"in {inspected.subgraphs} parts" in parts.problem
    assert inspected.subgraphs > 1


def test_a_graph_is_read_with_its_tensors(tflite):
    (graph,) = read_graphs(tflite[Plain])
    (conv,) = [operator for operator in graph.operators if operator.kind == "CONV_2D"]
    image, weights, _ = conv.operands
    assert (image.name, image.shape, image.dtype, image.stored) == ("image", (1, 8, 8, 4), "float32", False)
    assert (weights.shape, weights.stored) == ((8, 3, 3, 4), True)
    assert (conv.module, conv.node, conv.delegated) == ("conv", None, True)
    last = graph.operators[-1]
    assert (last.name, last.module, last.node) == ("logits", None, "logits")


def test_a_graph_that_litert_cannot_load_has_no_finding(tflite):
    (graph,) = read_graphs(tflite[Between])
    unknown = attrs.evolve(graph, delegates=None, operators=tuple(attrs.evolve(operator, delegated=None) for operator in graph.operators))
    assert [list(rule.check(unknown)) for rule in TFLITE_RULES] == [[], []]


def test_a_pte_that_xnnpack_takes_whole(pte):
    assert lint_artifact(pte[Plain]).findings == ()


def test_what_executorch_keeps_out_of_xnnpack_is_named(pte):
    outside = found(pte[Between], "xnnpack-outside")
    assert "aten::argmax.out" in {finding.operator for finding in outside}
    (argmax,) = [finding for finding in outside if finding.operator == "aten::argmax.out"]
    assert argmax.name.startswith("instruction ")
    assert "take the largest outside" in argmax.hint
    assert (argmax.module, argmax.line) == (None, None)
    assert lint_artifact(pte[Between]).notes == ("an ExecuTorch program keeps no names: module and line unknown",)
    inspected = EXECUTORCH.inspect(pte[Between]).delegation
    assert len(outside) == sum(inspected.not_delegated.values())
    (method,) = read_methods(pte[Between])
    assert len(method.backends) == inspected.subgraphs


def test_another_backend_is_not_xnnpacks_matter():
    calls = (KernelCall(kernel="aten::add.out", instruction=1),)
    foreign = PteMethod(method="forward", backends=("VulkanBackend", "VulkanBackend"), outside=calls)
    portable = PteMethod(method="forward", backends=(), outside=calls)
    assert not takes_xnnpack(foreign)
    assert [list(rule.check(foreign)) for rule in PTE_RULES] == [[], []]
    assert [len(list(rule.check(portable))) for rule in PTE_RULES] == [1, 0]
