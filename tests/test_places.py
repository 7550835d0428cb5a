"""What becomes of a place for each target: put together from the rewrites' reports."""

from edgekit.capabilities import target_facts
from edgekit.places import place_reports
from edgekit.rewrites.report import Place, RewriteReport, Skip

SORT, NORM = Place(operator="aten.sort.stable", line="net.py:3, in forward"), Place(operator="aten.batch_norm.default", line="net.py:9, in forward")
FACTS = {name: target_facts(name) for name in ("onnx", "executorch")}


def test_targets_that_take_a_place_are_told_together_with_their_rows():
    taken = {
        "onnx": (RewriteReport(name="stable_sorts_by_counting", sites=("sort", "sort_1"), places=(SORT, SORT), max_error=2e-7),),
        "executorch": (RewriteReport(name="sorts_by_counting", skips=(Skip(site="sort", reason="its axis is too long", place=SORT),)),),
    }
    (found,) = place_reports(taken, FACTS)
    assert (found.operator, found.line) == (SORT.operator, SORT.line)
    ours, theirs = found.taken
    measured = next(form.measured for form in FACTS["onnx"].forms if form.rewrite == "stable_sorts_by_counting")
    assert (ours.target, ours.count, ours.why, ours.max_error, ours.question) == ("onnx", 2, measured, 2e-7, "sort")
    assert (theirs.target, theirs.count, theirs.why, theirs.max_error) == ("executorch", 0, "its axis is too long", None)


def test_what_one_rewrite_leaves_and_another_takes_is_not_left():
    skips = tuple(Skip(site=site, reason="it has running statistics", place=NORM) for site in ("a.norm", "b.norm"))
    reports = (
        RewriteReport(name="batch_statistics_apart", skips=skips),
        RewriteReport(name="fold_batch_norm", sites=("a.norm",), places=(NORM,), max_error=0.0),
    )
    (found,) = place_reports({"executorch": reports}, FACTS)
    assert [(taken.rewrite, taken.count) for taken in found.taken] == [("batch_statistics_apart", 0), ("fold_batch_norm", 1)]
    (found,) = place_reports({"executorch": (RewriteReport(name="batch_statistics_apart", skips=skips[:1]), reports[1])}, FACTS)
    assert [taken.rewrite for taken in found.taken] == ["fold_batch_norm"]


def test_reports_that_were_read_back_have_no_places():
    assert place_reports({"onnx": (RewriteReport(name="fold_batch_norm", sites=("a",)),)}, FACTS) == ()
