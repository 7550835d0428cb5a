"""Fifty thousand samples, seven exits: from scores to a policy in under two seconds."""

import time

import numpy as np
import pytest

from edgekit.policy.costs import Costs, model_macs
from edgekit.policy.fit import Budget, TargetAccuracy, fit_scores
from edgekit.policy.scores import Scores


@pytest.mark.alone
@pytest.mark.parametrize("objective", [Budget(limit=1e9), TargetAccuracy(accuracy=0.6)])
def test_fifty_thousand_samples_are_fitted_in_under_two_seconds(objective):
    rng = np.random.default_rng(0)
    micro = rng.integers(0, 1_000_001, (7, 50_000), dtype=np.int32)
    right = rng.random((7, 50_000)) < 0.3 + 0.6 * micro / 1e6
    scores = Scores(micro=micro, named=right.astype(np.int32), right=right, classes=1000, temperatures=None, sha256="")
    start = time.process_time()
    policy = fit_scores(scores, objective, Costs(macs=model_macs("chase-imagenet")), kind="max_softmax").policy
    assert time.process_time() - start < 2
    assert policy.expected.macs <= 1e9 or policy.expected.accuracy >= 0.6
