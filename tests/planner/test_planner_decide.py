import math

import attrs
import numpy as np
import pytest
import torch
from torch import nn

from edgekit.capabilities import TARGETS, target_facts
from edgekit.capture import capture
from edgekit.interface import MethodSpec, TensorSpec
from edgekit.planner import decide as module
from edgekit.planner.costs import CostTable, cost_table
from edgekit.planner.decide import decibels_for, decide
from edgekit.planner.groups import KINDS
from edgekit.recipe import Recipe

METHOD = MethodSpec(
    name="forward",
    inputs=(TensorSpec(name="image", dtype="float32", shape=(1, 3, 16, 16)),),
    outputs=(TensorSpec(name="logits", dtype="float32", shape=(1, 10)),),
)
ROW = {"per": "value", "fp32": 2.0, "w8a8": 1.0}
TABLE = CostTable(
    target="tflite",
    ns={**dict.fromkeys(KINDS, ROW), "conv": {"per": "mac", "fp32": 2.0, "w8a8": 1.0}, "softmax": {**ROW, "w8a8": None}, "convert": {"ns": 0.1}},
    provenance={"cpu": "none"},
)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3)
        self.body = nn.Conv2d(8, 8, 3)
        self.head = nn.Linear(8, 10)
        for parameter in self.parameters():
            parameter.data.normal_(0, 0.3, generator=generator)

    def forward(self, image):
        x = self.stem(image)
        x = self.body(x * x.softmax(1))
        return self.head(x.mean((2, 3)))


@pytest.fixture(scope="module")
def start():
    generator = np.random.default_rng(0)
    rows = [{"image": generator.standard_normal((1, 3, 16, 16)).astype(np.float32)} for _ in range(4)]
    return {"forward": capture("net", Net().eval(), (torch.from_numpy(rows[0]["image"]),))}, {"forward": rows}


@pytest.fixture
def planned(start, monkeypatch):
    def run(table=TABLE, *, trained=True, **options):
        monkeypatch.setattr(module, "cost_table", lambda *_: table)
        recipe = Recipe(model="net.py:build", target="tflite", precision="w8a8", **options)
        programs, inputs = start
        return decide(recipe, target_facts("tflite"), "net.py:build", programs, (METHOD,), inputs, trained=trained)

    return run


def _kept(plan):
    return {(row.path, row.kind) for row in plan.blame}


def test_what_the_runtime_cannot_do_stays_in_floats_and_says_so(planned):
    plan = planned(sqnr=10.0)
    assert {row.kind: row.why for row in plan.blame} == {"softmax": "the runtime has no such operator in integers"}
    assert plan.expected_sqnr_db > 10


def test_dear_conversions_leave_no_islands(planned):
    dear = attrs.evolve(TABLE, ns={**TABLE.ns, "convert": {"ns": 1e6}})
    assert all(not row.quantized for row in planned(dear, sqnr=10.0).groups)


def test_a_higher_limit_keeps_more_in_floats(planned):
    loose, strict = planned(sqnr=20.0), planned(sqnr=60.0)
    assert _kept(loose) < _kept(strict)
    assert strict.expected_sqnr_db >= 60
    dropped = [row for row in strict.blame if row.why.startswith("alone")]
    assert dropped
    assert all(row.cost_ms >= 0 for row in dropped)


def test_a_limit_that_nothing_keeps_leaves_floats(planned):
    assert all(not row.quantized for row in planned(sqnr=150.0).groups)


def test_points_become_decibels(planned):
    few, many = planned(accuracy_budget=0.1), planned(accuracy_budget=20.0)
    assert few.limit["kind"] == many.limit["kind"] == "points"
    assert few.limit["sqnr_db"] > many.limit["sqnr_db"]


def test_of_an_untrained_network_no_points_are_counted(planned):
    assert planned(trained=False).limit["kind"] == "sqnr_db"
    assert planned(trained=None).limit["kind"] == "points"


def test_without_a_table_sensitivity_decides_alone(planned):
    plan = planned(None, sqnr=10.0)
    assert all(row.quantized for row in plan.groups)
    assert plan.costs is None


def test_the_same_request_gives_the_same_plan(planned):
    assert planned(sqnr=30.0) == planned(sqnr=30.0)


def test_noise_of_the_decibels_changes_about_the_share():
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((2000, 10))
    share = 0.05
    decibels = decibels_for(logits, share)
    noisy = logits + generator.standard_normal(logits.shape) * math.sqrt(np.square(logits).mean() * 10 ** (-decibels / 10))
    assert abs(float((noisy.argmax(1) != logits.argmax(1)).mean()) - share) < 0.015


def test_stored_tables_name_kinds_that_there_are():
    for facts in TARGETS:
        if (table := cost_table(facts.name)) is not None:
            assert {"conv", "depthwise", "linear", "add", "convert"} <= table.ns.keys()
            assert table.conversion_ns > 0
            assert table.provenance["versions"]


@pytest.mark.parametrize("target", ["coreml", "coreai"])
def test_without_a_table_the_targets_row_says_what_may_be_integers(target, start):
    programs, inputs = start
    recipe = Recipe(model="net.py:build", target=target, precision="w8a8", sqnr=5.0)
    plan = decide(recipe, target_facts(target), "net.py:build", programs, (METHOD,), inputs, trained=True)
    assert {row.kind for row in plan.groups if row.quantized} == {"conv", "linear"}
    assert {row.why for row in plan.groups if not row.quantized} == {"the runtime has no such operator in integers"}
