"""Policies, batches and branches, on a network whose logits are what the test says."""

import math

import pytest
import torch
from torch import nn

from edgekit.errors import BadInputError, ModelSourceError, UsageError
from edgekit.ops.early_exit import EarlyExitNetwork, all_logits, stages_of
from edgekit.ops.exit_batches import leave_in_turn
from edgekit.ops.exit_branches import ExitBranches
from edgekit.ops.exit_policy import LeaveAt, PatiencePolicy, ThresholdPolicy

SURE, UNSURE = 0.95, 0.6


class Script(nn.Module):
    """A stage that reads its logits off the front of its features."""

    def __init__(self, last):
        super().__init__()
        self.last = last

    def forward(self, features):
        (script,) = features  # (B, exits left, classes)
        return script[:, 0] * 1, () if self.last else (script[:, 1:] * 1,)


class Scripted(nn.Module):
    def __init__(self, exits):
        super().__init__()
        self.stages = nn.ModuleList(Script(k == exits - 1) for k in range(exits))

    def exit_stages(self):
        return tuple(self.stages)


def script(*rows):
    """Logits of two classes, one row a sample: at each exit the probability of class 0."""
    return torch.tensor([[(math.log(p / (1 - p)) if 0 < p < 1 else p, 0.0) for p in row] for row in rows])


def exits_of(policy, *rows):
    network = Scripted(len(rows[0]))
    images = script(*rows)
    batches = [[] for _ in network.stages]
    for stage, seen in zip(network.stages, batches, strict=True):
        stage.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0][0].shape[0]))
    answer = leave_in_turn(stages_of(network), images, policy)
    assert answer.logits.shape == (len(rows), 2)
    assert answer.exit.dtype == torch.int64
    chosen = images[torch.arange(len(rows)), answer.exit - 1]
    assert torch.equal(answer.logits.nan_to_num(7), chosen.nan_to_num(7))
    reached = [int((answer.exit > k).sum()) for k in range(len(rows[0]))]
    assert batches == [[count] if count else [] for count in reached]
    return answer.exit.tolist()


def test_samples_leave_in_turn_and_come_back_in_order():
    rows = [(UNSURE, UNSURE, SURE), (SURE, UNSURE, UNSURE), (UNSURE, SURE, SURE), (UNSURE, UNSURE, UNSURE), (SURE, SURE, SURE)]
    assert exits_of(ThresholdPolicy(thresholds=(0.9, 0.9)), *rows) == [3, 1, 2, 3, 1]


def test_nothing_runs_behind_the_last_to_leave():
    assert exits_of(ThresholdPolicy(thresholds=(0.9, 0.9)), (SURE, SURE, SURE), (UNSURE, SURE, SURE)) == [1, 2]


def test_a_confidence_equal_to_the_threshold_leaves():
    assert exits_of(ThresholdPolicy(thresholds=(0.5,)), (0.5, 0.5), (0.5, 0.5)) == [1, 1]


def test_thresholds_are_compared_as_float32():
    policy = ThresholdPolicy(thresholds=(0.1, 1 / 3))
    assert policy.thresholds == (torch.tensor(0.1).item(), torch.tensor(1 / 3).item())
    assert ThresholdPolicy(thresholds=policy.thresholds) == policy


def test_infinite_thresholds_keep_all_and_let_all_go():
    rows = [(SURE, SURE, SURE), (UNSURE, UNSURE, UNSURE)]
    assert exits_of(ThresholdPolicy(thresholds=(math.inf, math.inf)), *rows) == [3, 3]
    assert exits_of(ThresholdPolicy(thresholds=(math.inf, -math.inf)), *rows) == [2, 2]


@pytest.mark.parametrize("confidence", ["max_softmax", "entropy", "margin"])
def test_what_is_not_a_number_never_leaves_early(confidence):
    rows = [(math.nan, math.nan, math.nan), (SURE, SURE, SURE)]
    assert exits_of(ThresholdPolicy(thresholds=(-math.inf, -math.inf), confidence=confidence), *rows) == [3, 1]


def test_the_confidence_is_the_policys():
    rows = [(0.8, 0.5), (0.7, 0.5)]
    assert exits_of(ThresholdPolicy(thresholds=(0.75,)), *rows) == [1, 2]
    assert exits_of(ThresholdPolicy(thresholds=(0.5,), confidence="margin"), *rows) == [1, 2]  # 0.6 and 0.4
    assert exits_of(ThresholdPolicy(thresholds=(0.2,), confidence="entropy"), *rows) == [1, 2]  # 0.278 and 0.119


def test_a_temperature_cools_each_exits_logits():
    row = (0.9, 0.9, 0.5)  # odds of 9; of 3 at temperature 2: 0.75
    assert exits_of(ThresholdPolicy(thresholds=(0.8, 0.8), temperatures=(2, 1)), row) == [2]
    assert exits_of(ThresholdPolicy(thresholds=(0.7, 0.8), temperatures=(2, 1)), row) == [1]


def test_patience_waits_for_agreement():
    rows = [(0.6, 0.7, 0.4, 0.5), (0.6, 0.4, 0.3, 0.5), (0.6, 0.4, 0.6, 0.4), (0.6, math.nan, 0.6, 0.6)]
    assert exits_of(PatiencePolicy(patience=2), *rows) == [2, 3, 4, 4]
    assert exits_of(PatiencePolicy(patience=9), *rows[:3]) == [4, 4, 4]


def test_leave_at_is_the_same_for_all():
    rows = [(SURE, UNSURE, SURE), (UNSURE, math.nan, SURE)]
    for k in (1, 2, 3):
        assert exits_of(LeaveAt(exit=k), *rows) == [k, k]


def test_a_policy_for_another_network_is_refused():
    with pytest.raises(BadInputError, match="does not fit a network with 3 exits") as caught:
        ThresholdPolicy(thresholds=(0.5,)).check(3)
    assert caught.value.what == "1 thresholds"
    with pytest.raises(BadInputError, match="there is no exit 4"):
        LeaveAt(exit=4).check(3)
    PatiencePolicy(patience=9).check(3)
    with pytest.raises(BadInputError, match="does not fit"):
        ExitBranches(stages_of(Scripted(3)), ThresholdPolicy(thresholds=(0.5, 0.5, 0.5)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ThresholdPolicy(thresholds=(0.5, math.nan)), "the threshold of exit 2 is not a number"),
        (lambda: ThresholdPolicy(thresholds=(0.5, 0.5), temperatures=(1,)), "1 temperatures for 2 thresholds"),
        (lambda: ThresholdPolicy(thresholds=(0.5,), temperatures=(0,)), "the temperature of exit 1 is 0.0"),
        (lambda: ThresholdPolicy(thresholds=(0.5,), temperatures=(math.nan,)), "the temperature of exit 1 is nan"),
        (lambda: LeaveAt(exit=0), "there is no exit 0"),
        (lambda: PatiencePolicy(patience=1), "a patience of 1 is none"),
    ],
)
def test_policies_that_make_no_sense_are_refused(make, message):
    with pytest.raises(BadInputError, match=message):
        make()


def test_an_unknown_confidence_is_refused():
    with pytest.raises(UsageError, match="unknown confidence 'softmax'") as caught:
        ThresholdPolicy(thresholds=(0.5,), confidence="softmax")
    assert "max_softmax" in caught.value.what


def test_all_logits_are_every_exits():
    images = script((0.9, 0.8, 0.7), (0.6, 0.5, 0.4))
    found = all_logits(stages_of(Scripted(3)), images)
    assert [torch.equal(logits, images[:, k]) for k, logits in enumerate(found)] == [True] * 3


def test_any_module_with_the_method_declares_stages():
    network = Scripted(2)
    assert isinstance(network, EarlyExitNetwork)
    assert stages_of(network) == tuple(network.stages)


@pytest.mark.parametrize(
    ("returned", "what"), [((), "no stage at all"), ((nn.Identity(), nn.functional.relu), "a builtin_function_or_method|a function")]
)
def test_what_declares_no_stages_is_refused(returned, what):
    class Wrong(nn.Module):
        def exit_stages(self):
            return returned

    with pytest.raises(ModelSourceError, match=r"Wrong.exit_stages\(\) does not return stages") as caught:
        stages_of(Wrong())
    assert caught.value.what in what.split("|")
    with pytest.raises(ModelSourceError, match="Linear declares no exits"):
        stages_of(nn.Linear(1, 1))


@pytest.mark.parametrize("temperatures", [(), (2.0, 0.5)])
def test_branches_decide_as_python_does(temperatures):
    stages = stages_of(Scripted(3))
    policy = ThresholdPolicy(thresholds=(0.8, 0.8), temperatures=temperatures)
    rows = [(SURE, UNSURE, UNSURE), (UNSURE, SURE, UNSURE), (UNSURE, UNSURE, UNSURE), (math.nan, math.nan, SURE), (0.8, 0.8, 0.5)]
    captured = torch.export.export(ExitBranches(stages, policy).eval(), (script(rows[0]),)).module()
    for row in rows:
        expected = leave_in_turn(stages, script(row), policy)
        logits, exit_number = captured(script(row))
        assert exit_number.tolist() == expected.exit.tolist()
        assert torch.equal(logits, expected.logits)
    assert {exits_of(policy, row)[0] for row in rows} == {1, 2, 3}
