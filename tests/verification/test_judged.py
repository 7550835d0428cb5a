import attrs
import numpy as np
import pytest
from torch import nn

from edgekit.verification.cases import Case
from edgekit.verification.judged import judge, least_drop
from edgekit.verification.samples import Sample
from edgekit.verification.tolerances import TOLERANCES, Tolerance, quantized_tolerance

COUNT = 200
LIMITS = Tolerance(min_sqnr_db=20, min_top1_agreement=0.95, max_drop_points=1.0)
NO_LIMITS = Tolerance()


@pytest.fixture(scope="module")
def logits():
    return np.random.default_rng(0).standard_normal((COUNT, 10)).astype(np.float32) * 3


def _judged(eager, actual, *, tolerance=LIMITS, labels=None, name="logits"):
    samples = [Sample(name=f"picture {index}", tensor=np.zeros(1), pixels=np.zeros(1)) for index in range(len(eager))]
    case = Case(method="forward", module=nn.Identity(), after=None, inputs=({},) * len(eager), outputs={name: [row[None] for row in eager]})
    return judge({"forward": {name: [row[None] for row in actual]}}, {"forward": case}, samples, labels, tolerance)


def test_what_is_nearly_eager_passes(logits):
    found = _judged(logits, logits + np.random.default_rng(1).standard_normal(logits.shape).astype(np.float32) * 0.02)
    assert found.reasons == ()
    assert found.agreement >= 0.98
    assert 40 < found.worst.sqnr_db < 48


def test_chance_does_not_pass(logits):
    found = _judged(logits, np.random.default_rng(1).standard_normal(logits.shape).astype(np.float32) * 3)
    assert found.agreement < 0.3
    assert len(found.reasons) == 2


def test_answers_of_other_pictures_do_not_pass(logits):
    assert _judged(logits, np.roll(logits, 1, axis=0)).reasons


def test_a_constant_answer_does_not_pass(logits):
    assert _judged(logits, np.tile(logits[:1], (COUNT, 1))).reasons


def test_scaled_logits_agree_and_their_sqnr_tells(logits):
    found = _judged(logits, logits * 0.5)
    assert found.agreement == 1.0
    assert found.reasons == ("SQNR 6.0 dB is under 20 dB",)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_does_not_pass(logits, value):
    actual = logits.copy()
    actual[7, 3] = value
    found = _judged(logits, actual, tolerance=Tolerance(min_sqnr_db=0))
    assert found.reasons
    assert found.worst.worst_sample == "picture 7"


def test_wins_and_losses(logits):
    labels = logits.argmax(1).astype(np.int64)
    labels[:20] = (labels[:20] + 1) % 10  # eager has these wrong
    actual = logits.copy()
    actual[np.arange(5), labels[:5]] = 99  # won
    actual[np.arange(50, 60), (labels[50:60] + 1) % 10] = 99  # lost
    row = _judged(logits, actual, tolerance=NO_LIMITS, labels=labels).worst
    assert (row.wins, row.losses) == (5, 10)
    assert row.eager_accuracy == pytest.approx(180 / 200)
    assert row.accuracy == pytest.approx(175 / 200)
    assert row.agreement == pytest.approx(185 / 200)


def test_a_drop_that_may_be_chance_is_not_held_against_it(logits):
    row = attrs.evolve(_judged(logits, logits, tolerance=NO_LIMITS, labels=logits.argmax(1)).worst, wins=0, losses=2)
    assert least_drop(row, COUNT) < 0.5  # 1 point is measured
    row = attrs.evolve(row, losses=20)
    assert 6 < least_drop(row, COUNT) < 10
    assert least_drop(attrs.evolve(row, wins=None, losses=None), COUNT) is None


def test_a_drop_over_the_budget_fails(logits):
    labels = logits.argmax(1)
    actual = logits.copy()
    actual[:20, 0] = np.where(labels[:20] == 0, -99, 99)
    found = _judged(logits, actual, tolerance=Tolerance(max_drop_points=1.0), labels=labels)
    assert "20 of 200 pictures lost and 0 won" in found.reasons[0]


def test_an_output_that_names_no_class_has_no_agreement():
    values = np.random.default_rng(0).standard_normal((4, 3, 5)).astype(np.float32)
    found = _judged(values, values * 1.001, name="features")
    assert found.agreement is None
    assert found.reasons == ()


def test_exits_are_compared_under_eagers_thresholds_and_under_thresholds_fitted_again():
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.1, 0.9, (3, 90)).astype(np.float32)
    logits = generator.standard_normal((3, 90, 4)).astype(np.float32)

    def outputs(shift):
        return {
            f"exit_{k + 1}": {"logits": [row[None] for row in logits[k]], "confidence": [np.array([c - shift]) for c in confidence[k]]}
            for k in range(3)
        }

    samples = [Sample(name=str(index), tensor=np.zeros(1), pixels=np.zeros(1)) for index in range(90)]
    cases = {name: Case(method=name, module=nn.Identity(), after=None, inputs=({},) * 90, outputs=given) for name, given in outputs(0.0).items()}
    same, moved = (judge(outputs(shift), cases, samples, None, NO_LIMITS).exits for shift in (0.0, 0.05))
    assert same["same_exit"] == same["same_exit_refitted"] == 90
    assert moved["same_exit"] < 85  # all are less sure, and go on
    assert moved["same_exit_refitted"] == 90


def test_a_budget_limits_agreement_too():
    row = quantized_tolerance("w8a8", accuracy_budget=0.5)
    assert (row.max_drop_points, row.min_top1_agreement) == (0.5, pytest.approx(0.98))
    assert quantized_tolerance("w8a8", sqnr=33.0).min_sqnr_db == 33.0


def test_an_untrained_network_is_judged_by_its_sqnr_alone():
    row = quantized_tolerance("w8a8", trained=False)
    assert (row.min_top1_agreement, row.max_drop_points) == (None, None)
    assert row.min_sqnr_db == TOLERANCES["w8a8"].min_sqnr_db
