"""What errors tell, and that names from files cannot steer a terminal by it."""

import pytest

from edgekit.errors import EdgekitError, shown


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain, äöü, 模型", "plain, äöü, 模型"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("right\u202eto left", "right\\u202eto left"),
        ("half \ud800", "half \\ud800"),
        ("back\rto the start\x00", "back\\rto the start\\x00"),
    ],
)
def test_signs_that_steer_are_spelled_out(text, seen):
    assert shown(text) == seen
    error = EdgekitError(text, what=text, where=text, why=text, hint=text)
    assert {error.summary, error.what, error.where, error.why, error.hint, *error.args} == {seen}


def test_parts_that_are_not_set_stay_so():
    assert EdgekitError("x").parts == ()
    assert EdgekitError("x", what="").parts == ()
