"""One temperature an exit."""

import math

import numpy as np
import pytest

from edgekit.errors import BadInputError
from edgekit.policy.temperature import LEAST, MOST, fit_temperature


def loss(logits, labels, temperature):
    scaled = logits / temperature
    return float((np.log(np.exp(scaled - scaled.max(1, keepdims=True)).sum(1)) + scaled.max(1) - scaled[np.arange(len(labels)), labels]).mean())


def drawn(samples=4000, classes=10, scale=1.0, seed=0):
    """Logits, and labels that really come with their probabilities; then the logits are stretched by ``scale``."""
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((samples, classes)) * 2
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(1)
    return logits * scale, labels


@pytest.mark.parametrize("scale", [0.2, 1.0, 3.7])
def test_finds_how_much_logits_were_stretched(scale):
    assert fit_temperature(*drawn(scale=scale)) == pytest.approx(scale, rel=0.06)


def test_two_classes_by_hand():
    # 3 of 4 labels have the larger of (0, 2): sigmoid(2 / T) = 3/4, so T = 2 / log 3
    logits, labels = np.tile([0.0, 2.0], (4, 1)), np.array([1, 1, 1, 0])
    assert fit_temperature(logits, labels) == pytest.approx(2 / math.log(3), abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_no_other_temperature_has_a_smaller_loss(seed):
    logits, labels = drawn(samples=200, classes=5, scale=2.3, seed=seed)
    best = loss(logits, labels, fit_temperature(logits, labels))
    assert all(best <= loss(logits, labels, t) + 1e-9 for t in np.geomspace(LEAST, MOST, 400))


def test_all_right_gives_next_to_no_loss_and_worse_than_chance_the_most():
    logits = np.eye(3) * 5
    sure = fit_temperature(logits, np.array([0, 1, 2]))
    assert LEAST <= sure < 0.2
    assert loss(logits, np.array([0, 1, 2]), sure) < 1e-9
    assert fit_temperature(logits / 100, np.array([0, 1, 2])) == LEAST
    assert fit_temperature(logits, np.array([1, 2, 0])) == pytest.approx(MOST)


def test_samples_that_are_not_finite_are_left_out():
    logits, labels = drawn(samples=300)
    holes = logits.copy()
    holes[:3] = [[math.nan] * 10, [math.inf] * 10, [-math.inf] * 10]
    assert fit_temperature(holes, labels) == fit_temperature(logits[3:], labels[3:])
    with pytest.raises(BadInputError, match="finite"):
        fit_temperature(np.full((2, 3), math.nan), np.array([0, 1]))
