"""A part of the zoo that is exported and run with every test; ``make test-zoo`` does all of it."""

import pytest
from zoo_table import entries, export

FAST = {
    "SortedValues": "coreai",
    "DoubleArgsort": "coreai",
    "TopKGather": "onnx",
    "SearchSorted": "coreml",
    "SortedGather": "coreai",
    "ScatterMean": "coreml",
    "ScatterMax": "coreai",
    "IndexAdd": "coreml",
    "TriangularMasks": "coreml",
    "DictOutputs": "coreml",
    "DataclassOutputs": "onnx",
    "two_pictures": "onnx",
    "keywords": "coreai",
    "token_numbers": "coreml",
    "picture_and_text": "onnx",
    "FourierMixer": "coreml",
    "UnfoldFold": "coreai",
    "FlippedAndTurned": "coreml",
    "BranchyInPython": "coreml",
    "AttentivePruning": "coreai",
    "BipartiteMerging": "coreml",
}
"""By module, a target that refused it, or gave something else, before edgekit took it; those whose converters are quick."""


@pytest.mark.parametrize("name", FAST)
def test_it_is_exported_and_equals_eager(name):
    outcome = export(name, dict(entries())[name], FAST[name])
    assert outcome.passed, outcome.said


def test_an_exit_in_python_that_nothing_proves_is_named_with_its_line_and_the_spellings_that_work():
    outcome = export("BranchyByFloats", dict(entries())["BranchyByFloats"], "onnx")
    assert outcome.stage == "CaptureError"
    for part in ("if float(logits.softmax(-1).max()) * 2 > self.threshold", "torch.cond(", "exit_stages()"):
        assert part in outcome.said


def test_names_are_unique():
    names = [name for name, _ in entries()]
    assert len(set(names)) == len(names) >= 40
