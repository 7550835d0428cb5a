import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.verification.parity import combine, compare, sqnr_db
from edgekit.verification.tolerances import Tolerance

NONE = Tolerance()
floats = st.floats(-100, 100, width=32)
pairs = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6).flatmap(
    lambda shape: st.tuples(hnp.arrays(np.float32, shape, elements=floats), hnp.arrays(np.float32, shape, elements=floats))
)


def one(want, got, tolerance=NONE):
    return compare({"logits": [want]}, {"logits": [got]}, ["a"], tolerance, "someone")


@given(pairs)
def test_metrics_are_those_of_the_formulas(pair):
    want, got = pair
    parity = one(want, got)
    w, g = [float(v) for v in want.flat], [float(v) for v in got.flat]
    errors = [abs(a - b) for a, b in zip(w, g, strict=True)]
    assert parity.max_abs_error == pytest.approx(max(errors), rel=1e-12, abs=0)
    assert parity.max_rel_error == pytest.approx(max(errors) / (max(map(abs, w)) or 1.0), rel=1e-12, abs=0)
    noise, signal = math.fsum(e * e for e in errors), math.fsum(a * a for a in w)
    if noise > 1e-30 and signal > 1e-30:
        expected = min(200.0, 10 * math.log10(signal / noise))
        assert parity.sqnr_db == pytest.approx(expected, rel=0, abs=1e-6)
        assert sqnr_db(want, got) == parity.sqnr_db
    agrees = all(row[int(np.argmax(chosen))] == max(row) for row, chosen in zip(want.tolist(), got, strict=True))
    assert parity.top1_agreement == float(agrees)


@given(hnp.arrays(np.float32, (1, 4), elements=floats))
def test_equal_outputs_have_no_error(want):
    parity = one(want, want.copy(), Tolerance(max_abs_error=0, max_rel_error=0, min_sqnr_db=200, min_top1_agreement=1))
    assert (parity.verdict, parity.max_abs_error, parity.sqnr_db, parity.top1_agreement, parity.reason) == ("pass", 0.0, 200.0, 1.0, None)


def test_the_worst_sample_is_named_and_all_are_counted():
    want = [np.ones((1, 3), np.float32) * np.float32([1, 2, 3]) for _ in range(4)]
    got = [array + np.float32(error) for array, error in zip(want, (0.0, 1e-3, 5e-2, 1e-4), strict=True)]
    parity = compare({"logits": want}, {"logits": got}, ["a", "b", "c", "d"], NONE, "someone")
    assert (parity.samples, parity.worst_sample, parity.executed_by) == (4, "c", "someone")
    assert parity.max_abs_error == pytest.approx(5e-2, rel=1e-5)


def test_each_sample_keeps_its_own_sqnr():
    want = [np.float32([[1, 2]])] * 3
    got = [np.float32([[1, 2]]), np.float32([[1, 2.1]]), np.float32([[1, 3]])]
    parity = compare({"logits": want, "other": want}, {"logits": got, "other": want}, list("abc"), NONE, "someone")
    assert parity.sample_sqnr_db == (200.0, 26.99, 6.99)  # 10 log10(5 / 0.01), 10 log10(5 / 1)
    other = compare({"logits": want}, {"logits": got[::-1]}, list("abc"), NONE, "someone")
    assert combine({"exit_1": parity, "exit_2": other}, {}).sample_sqnr_db == (6.99, 26.99, 6.99)


def test_top1_counts_samples():
    want = [np.float32([[1, 2]]), np.float32([[1, 2]]), np.float32([[2, 1]]), np.float32([[2, 1]])]
    got = [np.float32([[1, 2]]), np.float32([[2, 1]]), np.float32([[2, 1]]), np.float32([[2, 1]])]
    parity = compare({"logits": want}, {"logits": got}, list("abcd"), Tolerance(min_top1_agreement=0.8), "someone")
    assert parity.top1_agreement == 0.75
    assert parity.verdict == "fail"
    assert "top-1 agrees on 75% of the samples, less than 80%" in parity.reason


def test_a_tie_in_the_reference_may_be_broken_either_way():
    assert one(np.float32([[3, 3, 1]]), np.float32([[2.9999, 3, 1]])).top1_agreement == 1.0
    assert one(np.float32([[3, 3, 1]]), np.float32([[1, 2, 3]])).top1_agreement == 0.0


def test_classes_closer_than_the_precision_tie():
    half = Tolerance(tie=2**-10, min_top1_agreement=1.0)
    near, far = np.float32([[-4.0, 3.9970, 3.9969]]), np.float32([[-4.0, 3.9970, 3.9900]])
    other = np.float32([[-4.0, 3.9, 3.95]])
    assert (one(near, other, half).top1_agreement, one(near, other, half).ties) == (1.0, 1)
    assert (one(far, other, half).top1_agreement, one(far, other, half).ties) == (0.0, 0)
    assert one(near, other, Tolerance(min_top1_agreement=1.0)).verdict == "fail"
    assert one(near, np.float32([[9.0, 3.9, 3.95]]), half).top1_agreement == 0.0  # a class that does not tie is wrong


@pytest.mark.parametrize("shape", [(), (3,), (1, 2, 3), (1, 2, 3, 4)])
def test_an_output_without_classes_is_judged_by_its_error_alone(shape):
    want = np.linspace(1, 1 + 1e-7, math.prod(shape)).astype(np.float32).reshape(shape)
    assert one(want, want[..., ::-1] if shape else want, Tolerance(max_rel_error=1e-4, min_top1_agreement=1)).verdict == "pass"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["artifact", "eager", "both"])
def test_what_is_not_finite_fails_whatever_the_tolerance(value, where):
    fine, broken = np.float32([[1, 2]]), np.float32([[1, value]])
    want, got = (broken if where != "artifact" else fine), (broken if where != "eager" else fine)
    parity = one(want, got)
    assert (parity.verdict, parity.worst_sample, parity.sqnr_db) == ("fail", "a", None)
    assert "output logits is not finite on sample a" in parity.reason
    assert ("of the eager model neither" in parity.reason) is (where != "artifact")


def test_another_shape_or_a_missing_output_fails():
    parity = one(np.zeros((1, 3), np.float32), np.zeros((3,), np.float32))
    assert (parity.verdict, parity.reason) == ("fail", "output logits has shape (3,), eager gives (1, 3)")
    parity = compare({"logits": [np.zeros((1, 3))], "boxes": [np.zeros((1, 4))]}, {"logits": [np.zeros((1, 3))]}, ["a"], NONE, "someone")
    assert (parity.verdict, parity.reason) == ("fail", "outputs are missing: boxes")


def test_every_output_counts():
    want = {"logits": [np.float32([[1, 2]])], "map": [np.ones((1, 2, 2), np.float32)]}
    got = {"map": [np.full((1, 2, 2), 1.5, np.float32)], "logits": [np.float32([[1, 2]])]}
    parity = compare(want, got, ["a"], Tolerance(max_abs_error=0.1), "someone")
    assert (parity.verdict, parity.max_abs_error) == ("fail", 0.5)


def test_small_integers_do_not_overflow():
    parity = one(np.int8([[-128, 127]]), np.int8([[127, -128]]))
    assert (parity.max_abs_error, parity.max_rel_error) == (255.0, 255 / 128)


def test_sqnr_of_a_silent_reference():
    silent = np.zeros((1, 2))
    assert (sqnr_db(silent, silent), sqnr_db(silent, silent + 1)) == (200.0, -200.0)


def test_json_is_plain():
    row = one(np.float32([[1, 2]]), np.float32([[1, 2.1]]), Tolerance(max_abs_error=0.01, evidence="x")).to_json()
    assert row["tolerance"] == {
        "max_rel_error": None,
        "max_abs_error": 0.01,
        "min_sqnr_db": None,
        "min_top1_agreement": None,
        "max_drop_points": None,
        "tie": 0.0,
        "exit_tie": None,
        "region_tie": None,
        "evidence": "x",
    }
    assert type(row["max_abs_error"]) is type(row["sqnr_db"]) is float
    assert row["verdict"] == "fail"
