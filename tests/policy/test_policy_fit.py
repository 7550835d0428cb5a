"""Policies are chosen as promised: against brute force on tiny sets, and by properties."""

import math

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import BadInputError, BudgetError, PolicyError, UsageError
from edgekit.policy.apply import apply_policy
from edgekit.policy.costs import Costs
from edgekit.policy.fit import Budget, TargetAccuracy, fit_policy, fit_scores
from edgekit.policy.logits import LogitsArray
from edgekit.policy.quotas import extremes, rank, targets
from edgekit.policy.replay import leave_by_patience, outcome
from edgekit.policy.scores import Scores, scores_of

COSTS = Costs(macs=(100, 300, 700), ms=(1.0, 2.5, 6.0), bytes=(10, 20, 40))


def made(samples=400, exits=3, classes=5, seed=0, sharpness=1.0):
    """Exits that get better one after the other, and surer where they are right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, samples)
    ease = rng.normal(1.0, 1.0, samples)
    values = rng.standard_normal((exits, samples, classes)).astype(np.float32)
    for k in range(exits):
        values[k, np.arange(samples), labels] += ease + 0.8 * k
    return LogitsArray(values=values * np.float32(sharpness), labels=labels)


def scores(micro, named=None, labels=None):
    micro = np.array(micro, dtype=np.int32)
    named = np.zeros_like(micro) if named is None else np.array(named, dtype=np.int32)
    right = None if labels is None else named == np.array(labels)
    return Scores(micro=micro, named=named, right=right, classes=9, temperatures=None, sha256="0")


def test_a_budget_worked_by_hand():
    # Six samples, exits at 10 and 30. Budget 20 a sample, 120 in all: 3 x 10 + 3 x 30.
    micro = [[600_000, 100_000, 500_000, 200_000, 400_000, 300_000], [0] * 6]
    policy = fit_scores(scores(micro), Budget(limit=20), Costs(macs=(10, 30)), kind="max_softmax").policy
    assert policy.thresholds == (399_999,)
    assert policy.expected.counts == (3, 3)
    assert policy.expected.macs == 20
    assert policy.expected.accuracy is None
    just_less = fit_scores(scores(micro), Budget(limit=19.999), Costs(macs=(10, 30)), kind="max_softmax").policy
    assert just_less.expected.counts == (4, 2)


def test_an_accuracy_worked_by_hand():
    # exit 1 is right on the two surest only, exit 2 on all: five of six need four at exit 2 ... or one mistake at exit 1
    micro = [[6, 5, 4, 3, 2, 1], [0] * 6]
    named, labels = [[1, 1, 0, 0, 0, 0], [1] * 6], [1] * 6
    found = fit_scores(scores(micro, named, labels), TargetAccuracy(accuracy=5 / 6), Costs(macs=(10, 30)), kind="margin").policy
    assert (found.expected.counts, found.expected.accuracy) == ((3, 3), 5 / 6)
    assert found.expected.exit_accuracy == (2 / 6, 1.0)
    assert found.expected.leaver_accuracy == (2 / 3, 1.0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(1, 25), st.floats(0, 1))
def test_no_larger_q_fits_where_there_are_no_ties(seed, exits, samples, place):
    rng = np.random.default_rng(seed)
    micro = np.stack([rng.permutation(500)[:samples] * 1999 for _ in range(exits)]).astype(np.int32)
    costs = tuple(int(value) for value in np.cumsum(rng.integers(1, 50, exits)))
    limit = costs[0] + place * (costs[-1] - costs[0])
    policy = fit_scores(scores(micro), Budget(limit=limit), Costs(macs=costs), kind="max_softmax").policy
    assert policy.expected.macs <= limit
    first, last = extremes(samples)
    every = {targets(samples, exits, float(q)) for q in np.geomspace(first, last, 4000)} | {targets(samples, exits, q / 500) for q in range(1, 2000)}
    fitting = []
    for quotas in every:
        _, left = rank(micro).thresholds(quotas)
        total = sum(costs[k] for k in left)
        if total <= limit * samples:
            fitting.append(total / samples)
    assert policy.expected.macs >= max(fitting) - 1e-9


@pytest.mark.parametrize("kind", ["max_softmax", "entropy", "margin"])
@pytest.mark.parametrize("limit", [100, 150, 333.3, 690, 700, 1e9])
def test_budgets_are_kept_and_nearly_used(kind, limit):
    found = fit_policy(made(), Budget(limit=limit), COSTS, kind=kind).policy.expected
    assert found.macs <= limit
    assert found.macs >= min(limit, 700) - 6 * 700 / 400  # a few samples' worth: one step of q can move K-1 of them
    assert sum(found.counts) == 400


def test_costs_more_never_means_an_earlier_exit_for_all():
    points = fit_policy(made(), Budget(limit=300), COSTS).curve
    totals = [point.total for point in points]
    assert totals == sorted(totals)
    assert (points[0].counts, points[-1].counts) == ((400, 0, 0), (0, 0, 400))


@pytest.mark.parametrize("kind", ["max_softmax", "entropy", "margin", "patience", "anytime"])
def test_an_accuracy_is_reached_and_no_cheaper_point_of_the_curve_reaches_it(kind):
    data = made(seed=3)
    reachable = max(point.accuracy for point in fit_policy(data, Budget(limit=700), COSTS, kind=kind).curve)
    fit = fit_policy(data, TargetAccuracy(accuracy=reachable - 0.02), COSTS, kind=kind)
    assert fit.policy.expected.accuracy >= reachable - 0.02
    assert all(point.cost >= fit.policy.expected.macs for point in fit.curve if point.accuracy >= reachable - 0.02)
    if kind in ("max_softmax", "entropy", "margin"):
        assert fit.policy.fitted.q is not None


def test_an_accuracy_out_of_reach_names_the_best():
    with pytest.raises(BudgetError, match=r"the best found is \d+ of 400, 0\.\d{4}, at"):
        fit_policy(made(), TargetAccuracy(accuracy=0.999), COSTS)


@pytest.mark.parametrize(("kind", "least"), [("max_softmax", "100"), ("anytime", "100"), ("patience", r"\d+")])
def test_a_budget_under_the_first_exit_names_the_cheapest(kind, least):
    with pytest.raises(BudgetError, match=rf"the cheapest needs {least}(\.\d+)? MACs"):
        fit_policy(made(), Budget(limit=99), COSTS, kind=kind)


def test_milliseconds_are_a_budget_of_their_own():
    found = fit_policy(made(), Budget(limit=3.0, cost="ms"), COSTS).policy
    assert 2.9 < found.expected.ms <= 3.0
    assert (found.fitted.objective, found.fitted.cost, found.fitted.limit) == ("budget_ms", "ms", 3.0)
    assert found.expected.bytes == pytest.approx(np.dot(found.expected.counts, (10, 20, 40)) / 400)


def test_patience_takes_the_most_that_fits():
    data = made(exits=5)
    costs = Costs(macs=(1, 2, 3, 4, 5))
    every = scores_of(data, "patience")
    means = {p: float(leave_by_patience(every.named, p).mean()) + 1 for p in (2, 3, 4, 5)}
    assert sorted(means.values()) == list(means.values())
    policy = fit_policy(data, Budget(limit=means[3] + 1e-6), costs, kind="patience").policy
    assert (policy.patience, policy.thresholds, policy.exit, policy.fitted.q) == (3, None, None, None)
    assert policy.expected.macs == pytest.approx(means[3])


def test_anytime_is_the_deepest_single_exit():
    policy = fit_policy(made(), Budget(limit=699), COSTS, kind="anytime").policy
    assert (policy.exit, policy.expected.counts, policy.expected.macs) == (2, (0, 400, 0), 300)
    assert policy.expected.accuracy == policy.expected.exit_accuracy[1]


def test_calibration_makes_stretched_exits_comparable():
    sharp = made(samples=2000, sharpness=6.0)
    plain, calibrated = (fit_policy(sharp, Budget(limit=300), COSTS, calibrate=wanted).policy for wanted in (False, True))
    assert plain.temperatures is None
    assert len(calibrated.temperatures) == 2
    assert all(3 < value < 12 for value in calibrated.temperatures)
    assert calibrated.thresholds[0] < plain.thresholds[0]
    assert calibrated.expected.macs <= 300
    replayed = apply_policy(calibrated, sharp)
    assert replayed.outcome == calibrated.expected


def test_ties_at_one_leave_together_and_the_budget_is_kept():
    # 60 of 100 samples are as sure as float32 can tell at exit 1
    values = np.random.default_rng(0).standard_normal((4, 100, 3)).astype(np.float32)
    values[0, :60, 0] = 60
    data = LogitsArray(values=values, labels=None)
    policy = fit_policy(data, Budget(limit=15), Costs(macs=(10, 20, 30, 40))).policy
    assert policy.expected.counts == (100, 0, 0, 0) or policy.expected.macs <= 15
    larger = fit_policy(data, Budget(limit=23), Costs(macs=(10, 20, 30, 40))).policy
    assert larger.expected.counts[0] in (0, 60, *range(61, 101))
    assert larger.expected.macs <= 23


def test_all_alike_everywhere_is_no_error():
    data = LogitsArray(values=np.zeros((3, 50, 4), dtype=np.float32), labels=None)
    for limit in (100, 250, 300, 500, 700):
        assert fit_policy(data, Budget(limit=limit), COSTS).policy.expected.macs <= limit


def test_nothing_but_nan_goes_to_the_last_exit():
    data = LogitsArray(values=np.full((3, 20, 4), math.nan, dtype=np.float32), labels=np.zeros(20, dtype=np.int64))
    policy = fit_policy(data, Budget(limit=700), COSTS).policy
    assert (policy.thresholds, policy.expected.counts, policy.expected.accuracy) == ((None, None), (0, 0, 20), 0.0)
    with pytest.raises(BudgetError, match="the cheapest needs 700"):
        fit_policy(data, Budget(limit=699), COSTS)


def test_one_sample_two_exits():
    data = LogitsArray(values=np.array([[[1.0, 0.0]], [[0.0, 1.0]]]), labels=np.array([1]))
    assert fit_policy(data, Budget(limit=1), Costs(macs=(1, 2))).policy.expected.counts == (1, 0)
    assert fit_policy(data, TargetAccuracy(accuracy=1.0), Costs(macs=(1, 2))).policy.expected.counts == (0, 1)


def test_replay_on_the_same_data_gives_what_was_expected_and_on_other_data_close_to_it():
    policy = fit_policy(made(samples=5000), Budget(limit=300), COSTS).policy
    assert apply_policy(policy, made(samples=5000)).outcome == policy.expected
    other = apply_policy(policy, made(samples=5000, seed=1))
    assert other.outcome != policy.expected
    assert other.outcome.macs == pytest.approx(300, rel=0.05)
    assert other.outcome.accuracy == pytest.approx(policy.expected.accuracy, abs=0.03)


def test_replay_without_labels_or_costs():
    data = made()
    policy = evolve(fit_policy(data, Budget(limit=300), COSTS).policy, costs=Costs())
    found = apply_policy(policy, LogitsArray(values=data.values, labels=None))
    assert (found.outcome.accuracy, found.outcome.macs, found.curve, found.cost) == (None, None, (), None)
    assert found.outcome.counts == policy.expected.counts


def test_equal_requests_give_equal_policies():
    assert fit_policy(made(), Budget(limit=300), COSTS).policy == fit_policy(made(), Budget(limit=300), COSTS).policy


def test_the_digest_is_of_logits_and_labels():
    data = made()
    others = (LogitsArray(values=data.values, labels=None), evolve(data, labels=(data.labels + 1) % 5), evolve(data, values=data.values * 2))
    digests = {scores_of(source, "margin").sha256 for source in (data, *others)}
    assert len(digests) == 4
    assert scores_of(data, "entropy").sha256 in digests


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"kind": "mood"}, UsageError, "unknown kind of policy 'mood'"),
        ({"kind": "patience", "calibrate": True}, UsageError, "is not calibrated"),
        ({"labels": None, "calibrate": True}, UsageError, "calibration needs labels"),
        ({"labels": None, "objective": TargetAccuracy(accuracy=0.5)}, UsageError, "a target accuracy needs labels"),
        ({"costs": Costs()}, UsageError, "the MACs of the exits are not known"),
        ({"costs": Costs(macs=(1, 2, 3)), "objective": Budget(limit=1, cost="ms")}, UsageError, "the ms of the exits are not known"),
        ({"costs": Costs(macs=(1, 2))}, BadInputError, "2 costs in macs for 3 exits"),
    ],
)
def test_what_cannot_be_fitted_is_refused_with_a_sentence(options, kind, told):
    data = made()
    options = {"objective": Budget(limit=300), "costs": COSTS, "labels": data.labels, **options}
    data = LogitsArray(values=data.values, labels=options.pop("labels"))
    with pytest.raises(kind, match=told):
        fit_policy(data, options.pop("objective"), options.pop("costs"), **options)


def test_a_policy_for_another_network_is_refused():
    policy = fit_policy(made(), Budget(limit=300), COSTS, model="a").policy
    for data, told in ((made(exits=4), "4 exits and 5 classes"), (made(classes=6), "3 exits and 6 classes")):
        with pytest.raises(PolicyError, match=told):
            apply_policy(policy, data)
    with pytest.raises(PolicyError, match="it is for a, not b"):
        apply_policy(policy, made(), model="b")


def test_the_outcome_of_leaving_at_given_exits():
    found = outcome(scores([[1] * 4] * 3, [[0, 0, 1, 1], [1] * 4, [1] * 4], [1] * 4), np.array([0, 0, 1, 2], dtype=np.int32), COSTS)
    assert (found.counts, found.shares, found.accuracy) == ((2, 1, 1), (0.5, 0.25, 0.25), 0.5)
    assert (found.macs, found.ms, found.bytes) == ((100 + 100 + 300 + 700) / 4, (1 + 1 + 2.5 + 6) / 4, 20)
    assert (found.exit_accuracy, found.leaver_accuracy) == ((0.5, 1, 1), (0, 1, 1))
