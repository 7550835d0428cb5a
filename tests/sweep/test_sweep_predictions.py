"""Parts of an evaluation make the same whole, however it was cut and in whatever order they come."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import EvidenceError
from edgekit.sweep_store.predictions import Predictions, figures, merged, packed, rows_of, unpacked


def _made(labels, logits):
    rows = [[place, label, *rows_of(np.array(row, np.float32), label, None)] for place, (label, row) in enumerate(zip(labels, logits, strict=True))]
    return Predictions(answers=("forward",), rows=np.array(rows, np.int32))


_NUMBERS = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 1.0, np.nan])  # many ties, and what a broken graph gives


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_figures_do_not_depend_on_the_cut(data):
    pictures = data.draw(st.integers(1, 40))
    labels = data.draw(st.lists(st.integers(0, 3), min_size=pictures, max_size=pictures))
    table = st.lists(st.lists(_NUMBERS, min_size=4, max_size=4), min_size=pictures, max_size=pictures)
    ours, eager = _made(labels, data.draw(table)), _made(labels, data.draw(table))
    whole = figures(ours, eager)
    cuts = sorted(data.draw(st.sets(st.integers(1, pictures))) | {0, pictures})
    parts = [Predictions(answers=ours.answers, rows=ours.rows[start:stop]) for start, stop in itertools.pairwise(cuts)]
    shuffled = data.draw(st.permutations(parts))
    assert figures(merged([unpacked(packed(part)) for part in shuffled], pictures), eager) == whole
    assert whole["wins"] - whole["losses"] == round((whole["accuracy"] - whole["eager_accuracy"]) * pictures)
    assert whole["accuracy_top5"] == 1.0  # of four classes


def test_a_label_has_the_rank_of_its_logit():
    logits = np.array([0.5, 2.0, 2.0, -1.0], np.float32)
    assert rows_of(logits, 1, 0.25) == (1, 0, 250_000)
    assert rows_of(logits, 2, None) == (1, 1, -1)
    assert rows_of(logits, 3, float("nan"))[1:] == (3, -1)


def test_a_whole_has_every_picture_once():
    whole = _made([0, 1, 2], np.eye(3))
    with pytest.raises(EvidenceError, match="do not make a whole"):
        merged([whole], 4)
    with pytest.raises(EvidenceError, match="do not make a whole"):
        merged([whole, Predictions(answers=whole.answers, rows=whole.rows[:1])], 3)
    with pytest.raises(EvidenceError, match="do not belong together"):
        merged([whole, Predictions(answers=("exit_1",), rows=whole.rows)], 6)


def test_unreadable_pictures_count_nowhere_and_may_not_be_many():
    rows = _made([0] * 200, np.tile([1.0, 0.0], (200, 1))).rows.copy()
    rows[7, 1:] = -1
    found = merged([Predictions(answers=("forward",), rows=rows)], 200)
    told = figures(found, found)
    assert (told["pictures"], told["unreadable"], told["accuracy"]) == (199, 1, 1.0)
    rows[:3, 1:] = -1
    with pytest.raises(EvidenceError, match="4 of 200 pictures cannot be read"):
        merged([Predictions(answers=("forward",), rows=rows)], 200)


def test_eager_is_asked_for_as_many_pictures_at_least():
    ours = _made([0, 1], np.eye(2))
    with pytest.raises(EvidenceError, match="fewer pictures"):
        figures(ours, Predictions(answers=ours.answers, rows=ours.rows[:1]))


@pytest.mark.parametrize("damage", [lambda c: c[:-8], lambda c: c.replace(b'"count": 2', b'"count": 9'), lambda c: b"{}\n", lambda c: b""])
def test_changed_predictions_are_refused(damage):
    with pytest.raises(EvidenceError):
        unpacked(damage(packed(_made([0, 1], np.eye(2)))))
