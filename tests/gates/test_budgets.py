"""Files of budgets: what is read, and what is refused with which words."""

import datetime as dt

import pytest

from edgekit.errors import BudgetFileError
from edgekit.gates.budgets import Group, read_budgets

AGREED = 'owner = "tests", date = 2026-11-21, reason = "because"'


def test_a_budget_has_a_limit_an_owner_a_reason_and_a_day(write_budgets):
    (group,) = read_budgets(write_budgets('metric = "size.total", max = 5_000', 'metric = "delegation.share", min = 0.5'))
    assert (group.name, group.tools) == ("net-build_32_fp32.onnx", {"torch": "2.13.0", "onnx": "1.23.2"})
    total, share = group.budgets
    assert (total.metric, total.limit, total.owner, total.reason, total.date) == ("size.total", 5000, "tests", "because", dt.date(2026, 11, 21))
    assert (total.slack(4990), total.slack(5010)) == (10, -10)
    assert (share.slack(0.75), share.slack(0.25)) == (0.25, -0.25)


BAD = [
    ('metric = "size.totl", max = 1', "unknown metric 'size.totl'"),
    ('metric = "size.totl", max = 1', "did you mean 'size.total'?"),
    ('metric = "method.*.operators", max = 1', "unknown metric"),
    ('metric = "size.total", min = 1', "less is better of this metric"),
    ('metric = "delegation.share", max = 1', "more is better of this metric"),
    ('metric = "size.total", max = 1, min = 1', "the limit is not `max`"),
    ('metric = "size.total"', "the limit is not `max`"),
    ('metric = "size.total", maxi = 1', "did you mean 'max'?"),
    ('metric = "size.total", max = "1"', "max is not a number"),
    ('metric = "size.total", max = nan', "max is not a number"),
    ('metric = "size.total", max = true', "max is not a number"),
    ("max = 1", "lacks metric"),
]


@pytest.mark.parametrize(("line", "words"), BAD)
def test_a_budget_that_is_none(write_budgets, line, words):
    with pytest.raises(BudgetFileError) as caught:
        read_budgets(write_budgets(line))
    assert words in str(caught.value)


@pytest.mark.parametrize("missing", ["owner", "reason", "date"])
def test_nobodys_budget_is_none(write_budgets, missing):
    path = write_budgets('metric = "size.total", max = 1')
    path.write_text(path.read_text().replace(f"{missing} = ", f"{missing}_ = "))
    with pytest.raises(BudgetFileError, match=f"unknown key '{missing}_'"):
        read_budgets(path)
    rows = {"owner": 'owner = "tests", ', "reason": ', reason = "because"', "date": "date = 2026-11-21, "}
    path = write_budgets('metric = "size.total", max = 1')
    path.write_text(path.read_text().replace(rows[missing], ""))
    with pytest.raises(BudgetFileError, match=f"lacks {missing}"):
        read_budgets(path)


@pytest.mark.parametrize(("said", "instead"), [("2026-11-21", '"2026-11-21"'), ("2026-11-21", "2026-11-21T10:00:00"), ('"because"', '" "')])
def test_a_day_is_a_day_and_a_reason_says_something(write_budgets, said, instead):
    path = write_budgets('metric = "size.total", max = 1')
    path.write_text(path.read_text().replace(said, instead))
    with pytest.raises(BudgetFileError, match=r"is not a (day|text)"):
        read_budgets(path)


def test_files_that_are_none(tmp_path, write_budgets):
    junk = tmp_path / "junk"
    with pytest.raises(BudgetFileError, match="cannot read the budgets junk"):
        read_budgets(junk)
    for content in (b"\x80\x04junk", b"a = ", b"[" * 100_000):
        junk.write_bytes(content)
        with pytest.raises(BudgetFileError, match="junk is no TOML"):
            read_budgets(junk)
    junk.write_bytes(b"")
    with pytest.raises(BudgetFileError, match="lacks schema_version, artifact"):
        read_budgets(junk)
    with pytest.raises(BudgetFileError, match="schema version 2"):
        read_budgets(write_budgets('metric = "size.total", max = 1', head="schema_version = 2\n"))
    with pytest.raises(BudgetFileError, match="no tools"):
        read_budgets(write_budgets('metric = "size.total", max = 1', tools=""))
    with pytest.raises(BudgetFileError, match="budgets is not a list that is not empty"):
        read_budgets(write_budgets())


def test_nothing_is_said_twice(write_budgets):
    with pytest.raises(BudgetFileError, match=r"two budgets for size\.total"):
        read_budgets(write_budgets('metric = "size.total", max = 1', 'metric = "size.total", max = 2'))
    path = write_budgets('metric = "size.total", max = 1')
    table = path.read_text().partition("[[artifact]]")[2]
    path.write_text(path.read_text() + "[[artifact]]" + table)
    with pytest.raises(BudgetFileError, match=r"two tables for net-build_32_fp32\.onnx with the same tools"):
        read_budgets(path)
    path.write_text(path.read_text().replace("2.13.0", "2.14.0", 1))
    assert [group.tools["torch"] for group in read_budgets(path)] == ["2.14.0", "2.13.0"]


def test_a_builds_local_part_counts_only_where_it_is_named():
    def differing(wanted, found):
        return Group(name="a", tools={"torch": wanted}, budgets=(), position=0).differing_tools({"torch": found})

    assert differing("2.13.0", "2.13.0+cpu") == differing("2.13.0+cpu", "2.13.0+cpu") == []
    assert differing("2.13.0+cu130", "2.13.0+cpu") == ["torch is 2.13.0+cpu, the budgets are for 2.13.0+cu130"]
    assert differing("2.13", "2.13.0")
    assert Group(name="a", tools={"x": "1"}, budgets=(), position=0).differing_tools({}) == ["x is not among its tools, the budgets are for 1"]


@pytest.mark.parametrize("name", ["../a.onnx", "/a.onnx", "a/b.onnx", "a\\\\b.onnx", "..", "a\\u001b[2J.onnx", "a\\u202e.onnx"])
def test_a_name_names_one_file_and_steers_no_terminal(write_budgets, name):
    with pytest.raises(BudgetFileError, match=r"is not (the name of a file|a text that is not empty)") as caught:
        read_budgets(write_budgets('metric = "size.total", max = 1', name=name))
    assert "\x1b" not in str(caught.value)


def test_a_limit_with_more_digits_than_a_number_has_is_none(write_budgets):
    with pytest.raises(BudgetFileError, match="max is not a number"):
        read_budgets(write_budgets(f'metric = "size.total", max = {"9" * 400}'))


def test_the_projects_own_budgets_can_be_read(request):
    groups = read_budgets(request.config.rootpath / "recipes" / "budgets.toml")
    assert {group.name.rpartition(".")[2] for group in groups} == {"mlpackage", "tflite", "pte", "onnx", "aimodel"}
