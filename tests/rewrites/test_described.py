"""What rewrites say of themselves: all of them the same parts, so that inspect and the documentation can show them."""

import pytest

from edgekit.rewrites.described import _exact, described

DESCRIBED = described()


@pytest.mark.parametrize("name", DESCRIBED)
def test_each_says_what_becomes_of_what_and_when_that_is_exact(name):
    said = DESCRIBED[name]
    assert "->" in said.title
    assert "before" in said.picture
    assert "after" in said.picture or "joint" in said.picture
    assert said.exact is not None
    assert said.text


def test_the_parts_are_those_of_the_docstring():
    said = DESCRIBED["fold_batch_norm_forward"]
    assert said.exact.startswith("Exact when none of the convolutions pads: a padded zero comes after")
    assert said.exact.endswith("turn it into something else")
    assert said.picture.startswith("before")
    assert not said.on_modules
    assert DESCRIBED["static_router"].on_modules
    # Two kinds of a rewrite have one docstring; an operator that is written by others has its function's.
    assert DESCRIBED["quantile_by_counting"].text == DESCRIBED["quantile_by_counting_compared"].text
    assert DESCRIBED["cdist_apart"].text.startswith("Roots of sums of squared differences")
    assert DESCRIBED["cdist_apart"].exact == "Exact but for the order of sums"


def test_a_full_stop_inside_of_a_number_ends_nothing():
    assert _exact("Some words. Exact above 2.5 of them, as in section 3.2. More.") == "Exact above 2.5 of them, as in section 3.2"
    assert _exact("Nothing of the kind.") is None
