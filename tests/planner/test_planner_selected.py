"""What a rounded network selects, read from its program."""

import pytest
from attrs import evolve

from edgekit.capabilities import target_facts
from edgekit.full_precision import in_full_precision
from edgekit.methods import MethodSource
from edgekit.models.imcnet import CONFIGS, IMCNet
from edgekit.models.source import load_source
from edgekit.models.untrained import fill_untrained
from edgekit.planner.groups import groups_of
from edgekit.planner.plan import Decision, Plan
from edgekit.planner.selected import compare_selected
from edgekit.programs import rewritten_program
from edgekit.verification.cases import eager_cases
from edgekit.verification.samples import verification_samples


@pytest.fixture(scope="module")
def made():
    """A small network as LiteRT gets it: its program and what eager answers."""
    model = IMCNet(evolve(CONFIGS["nano"], dim=32, heads=2, mlp_dim=64), resolution=32, num_classes=10)
    fill_untrained(model)
    model.eval()
    source = load_source("imcnet-nano", resolution=32, num_classes=10)
    samples = verification_samples(source.preprocessing)
    case = eager_cases(source, (MethodSource(name="forward", module=model),), samples)["forward"]
    program, _ = rewritten_program("net", model, target_facts("tflite"), case.example())
    return program, case, [sample.name for sample in samples]


def _plan(program, quantized):
    full = {node.name for node in program.graph.nodes if node.op == "call_function" and in_full_precision(node)}
    rows = [
        Decision(method=group.method, path=group.path, kind=group.kind, nodes=len(group.nodes), quantized=quantized and full.isdisjoint(group.nodes))
        for group in groups_of({"forward": program})
    ]
    return Plan(model="net", target="tflite", precision="w8a8", groups=tuple(rows))


def test_in_floats_it_takes_eagers_regions(made):
    program, case, names = made
    found = compare_selected(_plan(program, quantized=False), program, case, names)
    assert (found["samples"], found["same"], found["other_regions"]) == (9, 9, 0)


def test_rounded_its_regions_are_counted(made):
    program, case, names = made
    found = compare_selected(_plan(program, quantized=True), program, case, names)
    assert found["samples"] == 9
    assert found["same"] < 9  # this network is untrained: its scores lie close together
    assert found["other_regions"] > 0
    assert found["furthest"] > 0
