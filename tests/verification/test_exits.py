"""Where samples leave: thresholds between eager's confidences, and what may and may not differ."""

import json

import numpy as np
import pytest
from attrs import evolve

from edgekit.verification.exits import Answers, answers_of, compare_exits, thresholds_between, with_exits
from edgekit.verification.parity import Parity
from edgekit.verification.tolerances import TOLERANCES, Tolerance

NAMES = tuple(f"sample {number}" for number in range(60))
LIMITS = Tolerance(exit_tie=1e-3)


def drawn(seed=0, samples=60, exits=4):
    rng = np.random.default_rng(seed)
    logits = tuple([row[None] for row in rng.standard_normal((samples, 10)).astype(np.float32)] for _ in range(exits))
    return Answers(logits=logits, confidence=rng.random((exits, samples), dtype=np.float32))


def leaving(confidence, thresholds):
    """Where each sample leaves, one after the other, from 0."""
    found = []
    for column in confidence.T:
        sure = [k for k, threshold in enumerate(thresholds) if threshold is not None and float(column[k]) >= threshold / 1e6]
        found.append(sure[0] if sure else len(thresholds))
    return found


@pytest.mark.parametrize(("samples", "exits"), [(9, 4), (9, 7), (256, 4), (60, 2)])
def test_samples_leave_at_every_exit(samples, exits):
    eager = drawn(1, samples, exits)
    found = compare_exits(eager, eager, [str(number) for number in range(samples)], LIMITS)
    assert min(found.counts) >= 1
    assert max(found.counts) <= 0.5 * samples + 1
    assert np.bincount(leaving(eager.confidence, found.thresholds_micro), minlength=exits).tolist() == list(found.counts)
    assert (found.differing, found.other_class, found.reason()) == ((), (), None)


def test_a_threshold_lies_in_the_widest_gap_near_equal_shares():
    (threshold,) = thresholds_between(np.float32([[0.1, 0.2, 0.3, 0.31, 0.5, 0.51, 0.52, 0.9], [0] * 8]))
    assert threshold == pytest.approx(405_000, abs=1)  # four of eight leave; the gap to 0.9 is wider and too far away


@pytest.mark.parametrize("row", [[0.5] * 9, [0.5, 0.5 + 1e-7] * 4, [0.1, 0.9, np.nan, 0.3, 0.2]])
def test_without_a_gap_nobody_leaves(row):
    assert thresholds_between(np.float32([row, row])) == (None,)


def test_distances_are_those_that_were_asked_for():
    eager = drawn()
    found = compare_exits(eager, eager, NAMES, LIMITS)
    left = leaving(eager.confidence, found.thresholds_micro)
    distances = [
        abs(float(eager.confidence[k, i]) - found.thresholds_micro[k] / 1e6) for i, exit_ in enumerate(left) for k in range(min(exit_, 2) + 1)
    ]
    assert found.closest == pytest.approx(min(distances))


def moved(eager, sample, k, to):
    confidence = eager.confidence.copy()
    confidence[k, sample] = to
    return evolve(eager, confidence=confidence)


def test_another_exit_is_a_failure():
    eager = drawn()
    left = leaving(eager.confidence, compare_exits(eager, eager, NAMES, LIMITS).thresholds_micro)
    sample = left.index(2)
    found = compare_exits(eager, moved(eager, sample, 0, 1.0), NAMES, evolve(LIMITS, exit_tie=1e-9))
    assert (found.differing, found.near) == ((NAMES[sample],), ())
    assert found.reason() == f"1 of 60 samples leave at another exit than eager's, the first {NAMES[sample]!r}"
    later = compare_exits(eager, moved(eager, left.index(1), 1, 0.0), NAMES, LIMITS)
    assert later.differing == (NAMES[left.index(1)],)


def test_a_sample_at_a_threshold_may_leave_on_either_side_and_is_counted():
    eager = drawn()
    plain = compare_exits(eager, eager, NAMES, LIMITS)
    (k, sample) = min(
        ((k, i) for i, exit_ in enumerate(leaving(eager.confidence, plain.thresholds_micro)) for k in range(min(exit_, 2) + 1)),
        key=lambda place: abs(float(eager.confidence[place]) - plain.thresholds_micro[place[0]] / 1e6),
    )
    threshold = plain.thresholds_micro[k] / 1e6
    other = moved(eager, sample, k, 2 * threshold - float(eager.confidence[k, sample]))
    for limit, excused in ((plain.closest * 1.01, 1), (plain.closest * 0.99, 0), (None, 1)):
        found = compare_exits(eager, other, NAMES, Tolerance(exit_tie=limit))
        assert (len(found.differing), len(found.near), found.reason() is None) == (1, excused, bool(excused))


def test_another_class_at_the_same_exit_is_a_failure_but_for_a_tie():
    eager = drawn()
    logits = [list(rows) for rows in eager.logits]
    sample = leaving(eager.confidence, compare_exits(eager, eager, NAMES, LIMITS).thresholds_micro).index(1)
    logits[1][sample] = -logits[1][sample]
    logits[0][sample] = -logits[0][sample]  # not asked: the sample does not leave there
    found = compare_exits(eager, evolve(eager, logits=tuple(logits)), NAMES, LIMITS)
    assert found.other_class == (NAMES[sample],)
    assert "another class" in found.reason()
    assert compare_exits(eager, evolve(eager, logits=tuple(logits)), NAMES, evolve(LIMITS, tie=2.0)).reason() is None


def test_what_is_not_a_number_leaves_last():
    eager = drawn()
    sample = leaving(eager.confidence, compare_exits(eager, eager, NAMES, LIMITS).thresholds_micro).index(0)
    actual = moved(eager, sample, slice(None), np.nan)
    assert compare_exits(eager, actual, NAMES, LIMITS).differing == (NAMES[sample],)


def test_the_answers_of_methods_and_of_one_graph():
    eager = drawn(exits=2, samples=3)
    scalars = [[np.float32([value]) for value in row] for row in eager.confidence]
    methods = {f"exit_{k + 1}": {"logits": eager.logits[k], "confidence": scalars[k]} for k in range(2)}
    single = {"forward": {f"{name}_{k + 1}": row for k in range(2) for name, row in (("logits", eager.logits[k]), ("confidence", scalars[k]))}}
    for outputs in (methods, methods | {"forward": {"logits": eager.logits[0]}}, single):
        found = answers_of(outputs)
        assert np.array_equal(found.confidence, eager.confidence)
        assert found.logits == eager.logits
    assert answers_of({"forward": {"logits": eager.logits[0]}}) is None
    assert answers_of({"exit_1": methods["exit_1"]}) is None
    assert answers_of({}) is None


def test_a_failure_is_the_artifacts():
    eager = drawn()
    passed = Parity(verdict="pass", executed_by="someone")
    found = with_exits(passed, compare_exits(eager, evolve(eager, confidence=1 - eager.confidence), NAMES, LIMITS))
    assert (found.verdict, found.reason) == ("fail", compare_exits(eager, evolve(eager, confidence=1 - eager.confidence), NAMES, LIMITS).reason())
    assert json.loads(json.dumps(found.to_json()))["early_exit"]["samples"] == 60
    same = with_exits(passed, compare_exits(eager, eager, NAMES, LIMITS))
    assert (same.verdict, same.early_exit["differing"]) == ("pass", ())
    failed = Parity(verdict="fail", executed_by="someone", reason="logits")
    assert with_exits(failed, compare_exits(eager, evolve(eager, confidence=1 - eager.confidence), NAMES, LIMITS)).reason == "logits"


def test_a_precision_says_what_is_at_a_threshold():
    assert TOLERANCES["fp32"].exit_tie < TOLERANCES["fp16"].exit_tie < 0.01
