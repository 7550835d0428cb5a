"""What the tests of rewrites share: models filled with weights that matter, one rewrite run, and comparisons.

No comparison has a default tolerance.
"""

from typing import Any

import attrs
import pytest
import torch
from attrs import frozen
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from edgekit.capabilities import Form, Limit, TargetFacts, target_facts
from edgekit.capture import capture
from edgekit.models.untrained import fill_untrained
from edgekit.rewrites.apply import rewrite_modules, rewrite_program
from edgekit.rewrites.base import GraphRewrite, ModuleRewrite
from edgekit.rewrites.report import RewriteReport

CONV = torch.ops.aten.conv2d.default
LINEAR = torch.ops.aten.linear.default
BATCH_NORM = torch.ops.aten.batch_norm.default
LAYER_NORM = torch.ops.aten.layer_norm.default
PERMUTE = torch.ops.aten.permute.default
MUL = torch.ops.aten.mul.Tensor
ADD = torch.ops.aten.add.Tensor
BMM = torch.ops.aten.bmm.default

PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [
        pytest.param(torch.float32, 1e-5, id="float32"),  # the sums are added up in another order
        pytest.param(torch.float64, 1e-12, id="float64"),  # only a wrong term is larger: the algebra is exact
    ],
)


def wanting(*names: str, max_rank: int | None = None) -> TargetFacts:
    """A target that wants these rewrites and holds tensors up to ``max_rank``."""
    limits = () if max_rank is None else (Limit(rule="max_rank", value=max_rank, verified="test", source="test", breaks="test"),)
    return attrs.evolve(target_facts("onnx"), forms=tuple(Form(rewrite=name, measured="test") for name in names), limits=limits)


def filled(model: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The model in eval mode, with weights and statistics of which every one shows in the output."""
    model.to(dtype)
    fill_untrained(model)
    return model.eval()


def noise(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@frozen
class Done:
    """One graph rewrite's run over one captured model."""

    before: ExportedProgram
    after: ExportedProgram
    report: RewriteReport

    @property
    def reasons(self) -> list[str]:
        return [skip.reason for skip in self.report.skips]


def rewrite(rule: GraphRewrite, model: nn.Module, *inputs: Tensor) -> Done:
    """Capture ``model`` as it is (fill it first) and run one rewrite over it."""
    return again(rule, capture("model", model, inputs), *inputs)


def again(rule: GraphRewrite, program: ExportedProgram, *inputs: Tensor) -> Done:
    after, (report,) = rewrite_program(program, [rule], wanting(rule.name), inputs)
    return Done(program, after, report)


def rewrite_one_module(rule: ModuleRewrite, model: nn.Module, x: Tensor, *, max_rank: int | None = None) -> tuple[nn.Module, RewriteReport]:
    after, (report,) = rewrite_modules(model, [rule], wanting(rule.name, max_rank=max_rank), (x,))
    return after, report


def count(program: ExportedProgram, op: Any) -> int:
    """How many nodes call ``op``."""
    return sum(node.op == "call_function" and node.target == op for node in program.graph.nodes)


def ranks(program: ExportedProgram) -> list[int]:
    """The rank of every tensor in the graph."""
    return [node.meta["val"].dim() for node in program.graph.nodes if isinstance(node.meta.get("val"), Tensor)]


def computation(program: ExportedProgram) -> list[tuple[str, ...]]:
    """Every node but the inputs and constants, as text."""
    return [(node.name, str(node.target), str(node.args), str(node.kwargs)) for node in program.graph.nodes if node.op != "placeholder"]


def tensors(tree: Any) -> list[Tensor]:
    return [value for value in torch.utils._pytree.tree_leaves(tree) if isinstance(value, Tensor)]


def relative_error(expected: Any, actual: Any) -> float:
    """The largest difference over all outputs, each relative to that output's largest value."""
    pairs = list(zip(tensors(expected), tensors(actual), strict=True))
    assert pairs
    assert all(e.abs().max() > 0 for e, _ in pairs), "an output of zeros proves nothing"
    return max(float((e - a).abs().max() / e.abs().max()) for e, a in pairs)


def assert_same_numbers(done: Done, *inputs: Tensor, tolerance: float) -> None:
    """Both programs compute the same on ``inputs``; pass others than those the rewrite proved itself on."""
    with torch.no_grad():
        assert relative_error(done.before.module()(*inputs), done.after.module()(*inputs)) <= tolerance


def interface(program: ExportedProgram) -> tuple[Any, ...]:
    """Names, shapes and dtypes of the inputs, shapes and dtypes of the outputs, and how both are nested."""
    nodes = {node.name: node for node in program.graph.nodes}
    inputs = [(spec.arg.name, nodes[spec.arg.name].meta["val"]) for spec in program.graph_signature.input_specs if spec.kind == InputKind.USER_INPUT]
    outputs = [nodes[name].meta["val"] for name in program.graph_signature.user_outputs]
    return (
        [(name, tuple(value.shape), value.dtype) for name, value in inputs],
        [(tuple(value.shape), value.dtype) for value in outputs],
        program.call_spec.in_spec,
        program.call_spec.out_spec,
    )


def assert_untouched(done: Done) -> None:
    """The rewrite changed nothing at all."""
    assert done.report.sites == ()
    assert computation(done.after) == computation(done.before)


def assert_settled(rule: GraphRewrite, done: Done, *inputs: Tensor) -> None:
    """A second run finds nothing to do."""
    assert done.report.sites
    assert computation(done.after) != computation(done.before)
    second = again(rule, done.after, *inputs)
    assert second.report.sites == ()
    assert computation(second.after) == computation(done.after)
