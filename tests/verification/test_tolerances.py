import math

import pytest

from edgekit.capabilities import TARGETS
from edgekit.verification.tolerances import TOLERANCES, Tolerance, tolerance_for

GOOD = {"max_abs_error": 0.1, "max_rel_error": 0.1, "sqnr_db": 50.0, "top1_agreement": 1.0}
LIMITS = Tolerance(max_abs_error=0.1, max_rel_error=0.1, min_sqnr_db=50, min_top1_agreement=1.0)


def test_every_precision_on_offer_has_a_row():
    assert {precision for target in TARGETS for precision in target.precisions} <= TOLERANCES.keys()


def test_limits_are_inclusive():
    assert LIMITS.exceeded_by(**GOOD) == []


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("max_abs_error", 0.11, "absolute error 1.10e-01 is over 0.1"),
        ("max_rel_error", 0.11, "relative error 1.10e-01 is over 1e-01"),
        ("sqnr_db", 49.9, "SQNR 49.9 dB is under 50 dB"),
        ("top1_agreement", 0.5, "top-1 agrees on 50% of the samples, less than 100%"),
    ],
)
def test_each_limit_has_a_sentence(name, value, sentence):
    assert LIMITS.exceeded_by(**GOOD | {name: value}) == [sentence]
    assert len(LIMITS.exceeded_by(**GOOD | {name: math.nan})) == 1  # what is no number keeps no limit
    assert Tolerance().exceeded_by(**GOOD | {name: value}) == []


def test_atol_replaces_the_error_limits_and_keeps_top1():
    row = tolerance_for("fp32", atol=0.5)
    assert (row.max_abs_error, row.max_rel_error, row.min_sqnr_db) == (0.5, None, None)
    assert row.min_top1_agreement == TOLERANCES["fp32"].min_top1_agreement
    assert row.evidence == "limit given by the user"
    assert tolerance_for("fp32", atol=0.0).max_abs_error == 0.0
    assert tolerance_for("fp32") is TOLERANCES["fp32"]
