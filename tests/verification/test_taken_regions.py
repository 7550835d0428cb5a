"""The regions that a package takes, read from the values inside it, are those of eager; what is no selection is not read as one."""

import numpy as np
import pytest
import torch
from attrs import evolve
from torch import nn

from edgekit.capabilities import target_facts
from edgekit.declared import metadata_for, method_spec
from edgekit.methods import MethodSource
from edgekit.models.imcnet import CONFIGS, IMCNet
from edgekit.models.source import load_source
from edgekit.models.untrained import fill_untrained
from edgekit.ops.percentile_selection import PercentileSelection
from edgekit.ops.selective_passes import HierarchicalPasses
from edgekit.programs import rewritten_program
from edgekit.requests import recipes_for
from edgekit.targets.base import LoweringJob
from edgekit.targets.registry import get_target
from edgekit.verification.cases import eager_cases
from edgekit.verification.samples import verification_samples
from edgekit.verification.selections import selected
from edgekit.verification.taken_regions import watched


class Lowered:
    """A small network as a package in float32, and what is needed to look into it."""

    def __init__(self, folder, betas=(0.0, 0.25, 0.5, 0.75)) -> None:
        self.model = IMCNet(evolve(CONFIGS["nano"], dim=32, heads=2, mlp_dim=64, betas=betas), resolution=32, num_classes=10)
        fill_untrained(self.model)
        self.model.eval()
        source = load_source("imcnet-nano", resolution=32, num_classes=10, weights=None)
        self.samples = verification_samples(source.preprocessing)
        case = eager_cases(source, (MethodSource(name="forward", module=self.model),), self.samples)["forward"]
        self.example = case.example()
        (recipe,) = recipes_for("imcnet-nano", ["coreml"], precision="fp32", input="tensor")
        program, _ = rewritten_program(source.name, self.model, target_facts("coreml"), self.example)
        spec, path = method_spec(evolve(recipe, resolution=32), target_facts("coreml"), case), folder / "net.mlpackage"
        metadata = metadata_for(source, ())
        job = LoweringJob(programs={"forward": program}, methods=(spec,), recipe=recipe, metadata=metadata, destination=path)
        self.program = get_target("coreml").lower(job)["forward"]
        self.executable = get_target("coreml").open(path)

    def inputs(self, sample):
        return {self.executable.methods[0].inputs[0].name: sample.tensor}


@pytest.fixture(scope="module")
def lowered(tmp_path_factory):
    return Lowered(tmp_path_factory.mktemp("coreml"))


def assert_read(lowered):
    inner = watched(lowered.executable, lowered.program, lowered.model, lowered.example)
    for sample in lowered.samples:
        results = inner.run("forward", lowered.inputs(sample))
        assert results.keys() == lowered.executable.run("forward", lowered.inputs(sample)).keys()
    assert len(inner.taken) == len(lowered.samples)
    for taken, eager in zip(inner.taken, selected(lowered.model, lowered.samples), strict=True):
        assert len(taken["middle"]) == len(eager["middle"].regions)
        for ours, theirs in zip(taken["middle"], eager["middle"].regions, strict=True):
            assert torch.equal(ours, theirs[0])


def test_the_regions_are_eagers(lowered):
    assert_read(lowered)


def test_passes_that_take_all_or_none(tmp_path):
    assert_read(Lowered(tmp_path, betas=(0.0, 0.0, 0.5, 1.0)))


class Tampered:
    """Shows other values than there are."""

    def __init__(self, executable, change) -> None:
        self.methods, self.halves, self._executable, self._change = executable.methods, executable.halves, executable, change

    def trace(self, method, inputs, observe):
        return self._executable.trace(method, inputs, lambda traced: observe(evolve(traced, value=self._change(traced.value.copy()))))


def doubled(value):
    return value * 2 if value.ndim == 3 and set(np.unique(value)) == {0, 1} else value


def the_same_twice(value):
    if value.ndim == 3 and value.shape[2] > 1 and set(np.unique(value)) == {0, 1}:
        value[0, 2] = value[0, 1]
    return value


def class_token_last(value):
    return value[:, ::-1] if value.ndim == 3 and value.shape[2] > 1 and set(np.unique(value)) == {0, 1} else value


def one_row_short(value):
    return value[:, 1:] if value.ndim == 3 and value.shape[2] > 1 else value


@pytest.mark.parametrize("change", [doubled, the_same_twice, class_token_last, one_row_short])
def test_what_is_no_selection_is_not_read_as_one(lowered, change):
    inner = watched(Tampered(lowered.executable, change), lowered.program, lowered.model, lowered.example)
    inner.run("forward", lowered.inputs(lowered.samples[0]))
    assert inner.taken == [None]


def test_without_the_program_nothing_is_read(lowered):
    assert watched(lowered.executable, None, lowered.model, lowered.example) is None


def test_a_network_that_selects_nothing(lowered):
    plain = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    assert watched(lowered.executable, lowered.program, plain, lowered.example) is None


def test_a_program_in_which_the_selection_is_not_found(lowered):
    """The same network one module deeper: its values are under other paths."""
    assert watched(lowered.executable, lowered.program, nn.Sequential(lowered.model), lowered.example) is None


def test_a_module_that_is_called_twice(lowered):
    renamed = lowered.program
    nodes = [node for node in renamed.graph.nodes if any(path == "middle.moves.1" for path, _ in (node.meta.get("nn_module_stack") or {}).values())]
    before = nodes[-1].meta["nn_module_stack"]
    nodes[-1].meta["nn_module_stack"] = {"again": ("middle.moves.1@1", before[next(iter(before))][1])}
    try:
        assert watched(lowered.executable, renamed, lowered.model, lowered.example) is None
    finally:
        nodes[-1].meta["nn_module_stack"] = before


def test_percentiles_that_do_not_tell_how_many_are_kept(lowered):
    """(101 - 1) * 0.29 falls on a score but for rounding."""

    class Uncertain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.middle = HierarchicalPasses(nn.Identity(), lambda tokens, _: tokens[..., 0], [PercentileSelection(0.29)], alpha=0.0)

        def forward(self, image):
            del image
            return self.middle(torch.linspace(-1, 1, 102).reshape(1, -1, 1)).tokens

    assert watched(lowered.executable, lowered.program, Uncertain(), lowered.example) is None
