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


@pytest.fixture
def cases():
    return json.loads((HERE / "vectors" / "exit_policy.json").read_text())["cases"]


def ran(script, *arguments):
    return subprocess.run([sys.executable, HERE / script, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_python_passes_every_case(cases):
    found = ran("runner.py")
    assert (found.returncode, found.stdout) == (0, f"{len(cases)} passed, 0 failed\n")


def test_the_files_are_what_the_generator_writes():
    found = ran("gen.py", "--check")
    assert found.returncode == 0, found.stderr


def test_cases_have_unique_names_and_one_outcome_each_and_no_floats(cases):
    assert len(cases) >= 25
    assert len({case["name"] for case in cases}) == len(cases)
    for case in cases:
        assert case.keys() in ({"name", "input", "expect"}, {"name", "input", "error"})
        assert "." not in json.dumps({key: value for key, value in case.items() if key != "name"})


def test_cases_checked_by_hand(cases):
    found = {case["name"]: {key: case[key] for key in ("expect", "error") if key in case} for case in cases}
    assert {name: found[name] for name in BY_HAND} == BY_HAND


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
