"""A fitted policy drives eager, NumPy and the integer reference, and all three stop at the same exits."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import edgekit
from edgekit.errors import PolicyError
from edgekit.ops.confidence import CONFIDENCES
from edgekit.ops.early_exit import all_logits
from edgekit.policy.apply import apply_policy
from edgekit.policy.confidences import CONFIDENCE_KINDS, confidence, named, to_micro
from edgekit.policy.costs import Costs, model_macs
from edgekit.policy.decide import as_eager_policy, decide, decide_by_confidence, exits_of
from edgekit.policy.fit import Budget, fit_policy
from edgekit.policy.integers import IntegerPolicy
from edgekit.policy.logits import LogitsArray
from edgekit.policy.policy import Policy

KINDS = (*CONFIDENCE_KINDS, "patience", "anytime")


def policy_for(kind, exits=4, classes=5, temperatures=None):
    rule = {"patience": {"patience": 2}, "anytime": {"exit": 2}}.get(kind, {"thresholds": (700_000, None, 400_000)[: exits - 1]})
    return Policy(kind=kind, exits=exits, classes=classes, temperatures=temperatures if "thresholds" in rule else None, **rule)


def odd_logits(samples=3000, exits=4, classes=5):
    """Random logits, with NaN, infinities, equal classes and confidences of exactly one among them."""
    rng = np.random.default_rng(1)
    values = (rng.standard_normal((exits, samples, classes)) * 3).astype(np.float32)
    values[:, :50, 0] = math.nan
    values[1, 50:100, 2] = math.nan
    values[0, 100:120] = math.inf
    values[:, 120:140, 1] = -math.inf
    values[:, 140:200] = values[:, 140:200, :1]
    values[:, 200:300, 3] = 100
    return values


def eager_exits(policy, logits):
    eager = as_eager_policy(policy)
    eager.check(len(logits))
    tensors = [torch.from_numpy(values) for values in logits]
    leaves = torch.stack([*(eager.leaves(tensors[: k + 1]) for k in range(len(tensors) - 1)), torch.ones(logits.shape[1], dtype=torch.bool)])
    return leaves.int().argmax(0).numpy() + 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperatures", [None, (0.5, 1.0, 3.0)])
def test_numpy_stops_where_eager_stops(kind, temperatures):
    policy, logits = policy_for(kind, temperatures=temperatures), odd_logits()
    found = exits_of(policy, logits)
    assert np.array_equal(found, eager_exits(policy, logits))
    if kind != "anytime":
        assert len(set(found.tolist())) > 2
        assert (found[:50] == 4).all()  # not a number at every exit


@pytest.mark.parametrize("kind", KINDS)
def test_the_integer_reference_stops_there_too(kind):
    policy, logits = policy_for(kind), odd_logits(samples=400)
    reference = IntegerPolicy(kind=kind, exits=4, thresholds_micro=policy.thresholds, patience=policy.patience, exit=policy.exit)
    none = lambda value: None if value < 0 else int(value)  # noqa: E731
    micro = [to_micro(confidence(kind, values)) if kind in CONFIDENCE_KINDS else [] for values in logits]
    names = [named(values) for values in logits]
    for i, exit in enumerate(exits_of(policy, logits)):
        seen = [none(values[i]) for values in micro] if kind in CONFIDENCE_KINDS else []
        assert reference.walk(seen, [none(values[i]) for values in names]) == exit


@settings(deadline=None)
@given(st.data())
def test_equal_confidences_are_decided_alike_by_torch_and_numpy(data):
    threshold = data.draw(st.one_of(st.none(), st.integers(0, 1_000_000)))
    policy = Policy(kind="margin", exits=2, classes=2, thresholds=(threshold,))
    near = np.float32(0 if threshold is None else threshold / 1e6)
    for _ in range(data.draw(st.integers(0, 3))):
        near = np.nextafter(near, np.float32(data.draw(st.sampled_from([-1, 2]))))
    values = np.array([near, data.draw(st.floats(0, 1, width=32)), math.nan, 1, 0, -6e-8], dtype=np.float32)
    eager = torch.from_numpy(values) >= as_eager_policy(policy).thresholds[0]
    assert decide_by_confidence(policy, 1, values).tolist() == eager.tolist()
    assert decide_by_confidence(policy, 2, values).all()


@pytest.mark.parametrize("kind", CONFIDENCE_KINDS)
@pytest.mark.parametrize("calibrate", [False, True])
def test_fitted_thresholds_keep_their_samples_in_torchs_rounding(kind, calibrate):
    # Ranks decide, so each threshold sits at a sample: eager has to send that very sample the same way.
    rng = np.random.default_rng(5)
    data = LogitsArray(values=(rng.standard_normal((5, 256, 1000)) * 4).astype(np.float32), labels=rng.integers(0, 1000, 256))
    fit = fit_policy(data, Budget(limit=30), Costs(macs=(10, 20, 30, 40, 50)), kind=kind, calibrate=calibrate)
    found = np.bincount(eager_exits(fit.policy, data.values), minlength=6)[1:]
    assert tuple(found.tolist()) == fit.policy.expected.counts


@pytest.mark.parametrize("kind", KINDS)
def test_a_fitted_policy_drives_the_network(kind):
    model = edgekit.build_model("chase-tiny")
    images = torch.randn(48, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = torch.stack(all_logits(model.exit_stages(), images)).numpy()
        data = LogitsArray(values=logits, labels=logits[-1].argmax(1))
        costs = Costs(macs=model_macs("chase-tiny"))
        policy = fit_policy(data, Budget(limit=3_100_000 if kind == "patience" else 2_400_000), costs, kind=kind, model="chase-tiny").policy
        answer = model(images, as_eager_policy(policy))
    assert np.array_equal(answer.exit.numpy(), exits_of(policy, logits))
    assert tuple(np.bincount(answer.exit.numpy(), minlength=5)[1:].tolist()) == policy.expected.counts
    right = float((answer.logits.argmax(1).numpy() == data.labels).mean())
    assert right == policy.expected.accuracy == apply_policy(policy, data).outcome.accuracy


def test_extreme_thresholds_in_eager():
    eager = as_eager_policy(Policy(kind="entropy", exits=4, classes=2, thresholds=(None, 0, 1)))
    assert eager.thresholds[:2] == (math.inf, -math.inf)
    assert eager.thresholds[2] == pytest.approx(1e-6)
    assert eager.thresholds[2] >= 1e-6
    assert eager.confidence == "entropy"
    assert set(CONFIDENCE_KINDS) == set(CONFIDENCES)


def test_decisions_come_one_exit_at_a_time():
    policy, logits = policy_for("max_softmax"), odd_logits(samples=300)
    assert decide(policy, logits[:2]).sum() == 0  # null: nobody
    assert decide(policy, logits[:4]).all()
    assert 0 < decide(policy, logits[:1]).sum() < 300


@pytest.mark.parametrize(
    ("history", "told"),
    [
        ([], "logits of 0 exits"),
        ([np.zeros((1, 5))] * 5, "logits of 5 exits"),
        ([np.zeros((1, 6))], r"logits of shape \(1, 6\)"),
        ([np.zeros(5)], r"logits of shape \(5,\)"),
        ([np.zeros((1, 5)), np.zeros((2, 5))], "logits of shape"),
    ],
)
def test_logits_of_another_network_are_refused(history, told):
    with pytest.raises(PolicyError, match=told):
        decide(policy_for("max_softmax"), history)


def test_confidences_are_refused_where_they_mean_nothing():
    with pytest.raises(PolicyError, match="asks for no confidence"):
        decide_by_confidence(policy_for("patience"), 1, np.zeros(1, dtype=np.float32))
    with pytest.raises(PolicyError, match="there is no exit 5"):
        decide_by_confidence(policy_for("margin"), 5, np.zeros(1, dtype=np.float32))
    with pytest.raises(PolicyError, match="logits of shape"):
        exits_of(policy_for("margin"), np.zeros((3, 2, 5)))
