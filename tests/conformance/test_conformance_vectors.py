"""The vectors are what gen.py writes, Python passes them, and some of them are checked by hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BY_HAND = {
    "sure at the second exit": {"expect": {"exit": 2}},
    "sure nowhere: the last stage must exit": {"expect": {"exit": 3}},
    "the last exit asks for no confidence": {"expect": {"exit": 3}},
    "a tie with the threshold leaves": {"expect": {"exit": 1}},
    "one micro-unit below stays": {"expect": {"exit": 2}},
    "a tie at one leaves": {"expect": {"exit": 1}},
    "not a number never leaves early": {"expect": {"exit": 3}},
    "a threshold of zero takes a confidence of zero": {"expect": {"exit": 1}},
    "a threshold of zero does not take what is not a number": {"expect": {"exit": 2}},
    "null takes nobody, however sure": {"expect": {"exit": 2}},
    "error: the sample went on and its values end": {"error": "stage_missing"},
    "error: too few thresholds": {"error": "thresholds_length"},
    "agreement that begins later": {"expect": {"exit": 3}},
    "agreement has to be unbroken": {"expect": {"exit": 4}},
    "float32 0.9 is below 900000 micro-units": {"expect": {"exit": 3}},
    "the float32 after 0.9 is not": {"expect": {"exit": 1}},
    "the float32 before 1.0": {"expect": {"exit": 2}},
    "a NaN with any bits never leaves early": {"expect": {"exit": 3}},
}


FILES = {path.stem: json.loads(path.read_text()) for path in sorted((HERE / "vectors").glob("*.json"))}


@pytest.fixture
def cases():
    return FILES["exit_policy"]["cases"]


def ran(script, *arguments):
    return subprocess.run([sys.executable, HERE / script, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_python_passes_every_case():
    found = ran("runner.py")
    count = sum(len(file["cases"]) for file in FILES.values())
    assert (found.returncode, found.stdout) == (0, f"{count} passed, 0 failed\n")
    assert count >= 120


def test_the_files_are_what_the_generator_writes():
    found = ran("gen.py", "--check")
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("kind", FILES)
def test_cases_have_unique_names_and_one_outcome_each_and_no_fractions(kind):
    cases = FILES[kind]["cases"]
    assert FILES[kind]["kind"] == kind
    assert len(cases) >= 7
    assert len({case["name"] for case in cases}) == len(cases)
    for case in cases:
        assert case.keys() in ({"name", "input", "expect"}, {"name", "input", "error"})
        assert case["name"].startswith("error: ") == ("error" in case)
        json.loads(json.dumps(case), parse_float=lambda text: pytest.fail(f"{text} is a fraction"))


def test_cases_checked_by_hand(cases):
    found = {case["name"]: {key: case[key] for key in ("expect", "error") if key in case} for case in cases}
    assert {name: found[name] for name in BY_HAND} == BY_HAND


def test_every_error_code_of_plans_and_reports_has_a_case():
    codes = "schema shape run_id seed processes order cooldown warmup measure thermal variants variant_id engine model sha256 compute threads stages"
    assert {case.get("error") for case in FILES["plan"]["cases"]} - {None} == {*codes.split(), "tensor", "policy", "picture"}
    codes = "schema shape run_id process incomplete env clock variant missing sha256 requested status warmup samples times exits summary memory"
    assert {case.get("error") for case in FILES["validate"]["cases"]} - {None} == {*codes.split(), "operators", "finite", "thermal"}


def test_every_error_code_and_every_kind_has_a_case(cases):
    codes = {case["error"] for case in cases if "error" in case}
    every = "unknown_kind exits rule thresholds_length threshold_range patience_range exit_range stage_missing confidence_range class_range"
    assert codes == set(every.split())
    assert {case["input"]["policy"]["kind"] for case in cases if "expect" in case} == {"max_softmax", "entropy", "margin", "patience", "anytime"}


def test_an_unknown_kind_and_a_wrong_outcome_fail(tmp_path, cases):
    program = "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import runner; print(runner.failures(pathlib.Path(sys.argv[2])))"
    for content, told in (
        ({"schema": "edgekit-vectors/1", "kind": "weather", "cases": []}, "unknown kind 'weather'"),
        ({"schema": "edgekit-vectors/1", "kind": "exit_policy", "cases": [cases[0] | {"expect": {"exit": 3}}]}, "wanted {'expect': {'exit': 3}}"),
        ({"schema": "edgekit-vectors/1", "kind": "exit_policy", "cases": [cases[0] | {"error": "exits"}]}, "wanted"),
    ):
        path = tmp_path / "vectors.json"
        path.write_text(json.dumps(content))
        found = subprocess.run([sys.executable, "-c", program, HERE, path], capture_output=True, text=True, timeout=60, check=True)
        assert told in found.stdout
