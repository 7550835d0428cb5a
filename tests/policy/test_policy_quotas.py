"""The budgeted-batch rule: worked by hand, against a slow spelling, and its traps."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.policy.quotas import extremes, rank, targets
from edgekit.policy.replay import leave_by_thresholds


def thresholds(micro, quotas):
    found, exits = rank(np.array(micro, dtype=np.int32)).thresholds(quotas)
    return found, exits.tolist()


def test_targets_worked_by_hand():
    assert targets(10, 3, 1.0) == (3, 6)  # thirds: 3.33, 6.67
    assert targets(70, 3, 0.5) == (40, 60)  # 4 : 2 : 1
    assert targets(70, 3, 2.0) == (10, 30)  # 1 : 2 : 4
    assert targets(10, 4, 1.0) == (2, 5, 7)


@given(st.integers(1, 60), st.integers(2, 6), st.integers(1, 9), st.integers(1, 9))
def test_targets_are_the_exact_floors(samples, exits, above, below):
    powers = [Fraction(above, below) ** k for k in range(1, exits + 1)]
    exact = tuple(int(samples * sum(powers[:k]) / sum(powers)) for k in range(1, exits))
    assert targets(samples, exits, above / below) == exact


@given(st.integers(1, 500), st.integers(2, 7), st.floats(-8, 8), st.floats(0, 3))
def test_targets_fall_as_q_grows(samples, exits, log_q, more):
    low, high = targets(samples, exits, float(np.exp(log_q))), targets(samples, exits, float(np.exp(log_q + more)))
    assert all(a >= b for a, b in zip(low, high, strict=True))
    assert all(a <= b for a, b in pairwise(low))


@pytest.mark.parametrize("samples", [1, 7, 50_000])
def test_the_ends_of_the_line(samples):
    first, last = extremes(samples)
    assert targets(samples, 5, first) == (samples,) * 4
    assert targets(samples, 5, last) == (0,) * 4


def test_worked_by_hand():
    # exit 1: two leave, a and c; of b, d, e, f two leave at exit 2, e and b
    first = [900_000, 500_000, 800_000, 100_000, 300_000, 200_000]
    second = [0, 600_000, 999_999, 400_000, 700_000, 500_000]
    found, exits = thresholds([first, second, [0] * 6], (2, 4))
    assert exits == [0, 1, 0, 2, 1, 2]
    assert found == (799_999, 599_999)  # one below 800,000 and 600,000, as nobody waits there


def test_no_room_below_keeps_the_confidence_itself():
    found, exits = thresholds([[5, 4, 3], [0, 0, 0]], (1,))
    assert (found, exits) == ((5,), [0, 1, 1])


def test_a_quota_of_zero_lets_nobody_leave():
    assert thresholds([[1_000_000] * 4, [900_000] * 4, [0] * 4], (0, 4)) == ((None, 899_999), [1, 1, 1, 1])


def test_a_quota_that_was_met_before_lets_nobody_leave():
    assert thresholds([[9, 9, 9, 1], [7, 7, 7, 7], [0] * 4], (2, 3)) == ((8, None), [0, 0, 0, 2])


def test_too_few_left_let_nobody_leave():
    # two of four have a confidence at exit 1, three are asked for; exit 2 makes up for it
    assert thresholds([[-1, -1, 800_000, 700_000], [10, 20, 30, 40], [0] * 4], (3, 3)) == ((None, 19), [2, 1, 1, 1])


def test_a_tie_leaves_whole():
    assert thresholds([[1_000_000, 1_000_000, 1_000_000, 500_000], [0] * 4], (1,)) == ((999_999,), [0, 0, 0, 1])


def test_what_ties_took_too_many_is_made_up_for_behind():
    found, exits = thresholds([[9, 9, 9, 1, 1], [5, 5, 5, 8, 3], [0] * 5], (1, 4))
    assert (found, exits) == ((8, 7), [0, 0, 0, 1, 2])


def test_who_has_no_confidence_never_leaves():
    assert thresholds([[-1, 0, -1], [-1, -1, -1]], (1,)) == ((0,), [1, 0, 1])


def slow(micro, quotas):
    """The rule once more, without a sorted table."""
    samples = len(micro[0])
    exits, found, left = [len(quotas)] * samples, [], 0
    for k, quota in enumerate(quotas):
        waiting = sorted((micro[k][i] for i in range(samples) if exits[i] == len(quotas) and micro[k][i] >= 0), reverse=True)
        missing = quota - left
        if missing <= 0 or missing > len(waiting):
            found.append(None)
            continue
        at = waiting[missing - 1]
        for i in range(samples):
            if exits[i] == len(quotas) and micro[k][i] >= at:
                exits[i] = k
                left += 1
        lower = [value for value in waiting if value < at]
        found.append(at if at == 0 or (lower and lower[0] == at - 1) else at - 1)
    return tuple(found), exits


@given(st.data())
def test_equal_to_the_slow_spelling_and_to_its_own_replay(data):
    exits, samples = data.draw(st.integers(2, 5)), data.draw(st.integers(1, 12))
    values = st.one_of(st.integers(-1, 4), st.integers(-1, 1_000_000))
    micro = [data.draw(st.lists(values, min_size=samples, max_size=samples)) for _ in range(exits)]
    quotas = targets(samples, exits, float(np.exp(data.draw(st.floats(-6, 6)))))
    found, where = thresholds(micro, quotas)
    assert (found, where) == slow(micro, quotas)
    assert leave_by_thresholds(np.array(micro, dtype=np.int32), found).tolist() == where
