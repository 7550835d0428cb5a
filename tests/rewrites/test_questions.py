"""What can be spelled in several ways: every form is a rewrite, and belongs to one question."""

from edgekit.capabilities import TARGETS
from edgekit.rewrites.questions import QUESTIONS
from edgekit.rewrites.registry import GRAPH_REWRITES, MODULE_REWRITES

FORMS = [form for question in QUESTIONS for form in question.forms]


def test_every_form_is_a_rewrite_of_one_question():
    assert set(FORMS) <= {rewrite.name for rewrite in (*MODULE_REWRITES, *GRAPH_REWRITES)}
    assert len(set(FORMS)) == len(FORMS)
    assert len({question.name for question in QUESTIONS}) == len(QUESTIONS)


def test_forms_of_a_question_are_all_of_modules_or_all_of_programs():
    # One is tried before the others, which it can only be among its own kind.
    modules = {rewrite.name for rewrite in MODULE_REWRITES}
    assert all(len({form in modules for form in question.forms}) == 1 for question in QUESTIONS)


def test_rewrites_that_targets_disagree_about_are_forms_if_they_exclude_each_other():
    """Names that differ in a suffix spell the same: a new spelling that is in no question would not be shown."""
    names = {rewrite.name for rewrite in (*MODULE_REWRITES, *GRAPH_REWRITES)}
    beside_each_other = {name for name in names if any(name != other and name.startswith(f"{other}_") for other in names)}
    assert beside_each_other - set(FORMS) == {"fold_batch_norm_forward", "merge_shared_projections_sliced"}  # other places; an option of one form


def test_every_target_gets_a_form_of_what_depends_on_the_picture():
    for name in ("selected regions", "assigned depths", "boolean mask", "quantile"):
        question = next(question for question in QUESTIONS if question.name == name)
        for facts in TARGETS:
            assert any(facts.wants(form) for form in question.forms), (name, facts.name)
