"""Scores that are equal at the threshold, no number, or saturated: what each target's artifact selects then, as its form states.

The network's passes take all of 16 pixels, the upper half by their value, and none. Eager keeps what lies strictly above the median.
"""

import functools
import math
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from edgekit.capabilities import Form, target_facts
from edgekit.declared import metadata_for, method_spec
from edgekit.methods import method_sources
from edgekit.models.source import load_source
from edgekit.programs import rewritten_program
from edgekit.requests import recipes_for
from edgekit.rewrites.questions import QUESTIONS
from edgekit.targets.base import LoweringJob
from edgekit.targets.registry import get_target
from edgekit.verification.cases import eager_cases
from edgekit.verification.samples import Sample

MODEL = f"{Path(__file__).parent / 'data' / 'selecting.py'}:by_pixels"
CASES = [("coreml", "fp32"), ("coreml", "fp16"), ("tflite", "fp32"), ("executorch", "fp32"), ("onnx", "fp32"), ("coreai", "fp32"), ("coreai", "fp16")]
EACH_CASE = pytest.mark.parametrize("case", CASES, ids="-".join)
DISTINCT = (0.1, 0.7, 0.3, 1.1, 0.9, 0.2, 0.6, 1.3, 0.5, 1.4, 0.8, 0.4, 1.2, 1.0, 0.05, 1.5)
(FORMS,) = (question.forms for question in QUESTIONS if question.name == "selected regions")
IN_FORMS = [
    (target, form)
    for target in ("coreml", "tflite", "executorch", "onnx", "coreai")
    for form in FORMS
    if not target_facts(target).limit(f"no_{form}")
]
EACH_FORM = pytest.mark.parametrize("case", IN_FORMS, ids="-".join)
UPPER = [3, 4, 7, 9, 10, 12, 13, 15]


def image_of(values) -> np.ndarray:
    side = math.isqrt(len(values))
    image = np.zeros((1, 3, side, side), np.float32)
    image[0, 0] = np.reshape(values, (side, side))
    return image


class Artifact:
    """The network lowered for a target, without the comparison that would refuse ties."""

    def __init__(self, target: str, precision: str, values, folder: Path, form: str | None = None) -> None:
        facts, side = target_facts(target), math.isqrt(len(values))
        if form is not None:
            others = tuple(row for row in facts.forms if row.rewrite not in FORMS)
            facts = attrs.evolve(facts, forms=(*others, Form(rewrite=form, measured="in a test")))
        (recipe,) = recipes_for(MODEL, [target], precision=precision, input="tensor" if target == "coreml" else None)
        source = load_source(MODEL, resolution=side, num_classes=None, weights=None)
        sample = Sample(name="distinct", pixels=np.zeros((side, side, 3), np.uint8), tensor=image_of(values))
        (method,) = method_sources(source.module, None)
        (case,) = eager_cases(source, (method,), (sample,)).values()
        program, reports = rewritten_program(source.name, method.module, facts, case.example())
        self.forms = {report.name for report in reports if report.sites} & set(FORMS)
        spec = method_spec(attrs.evolve(recipe, resolution=side), facts, case)
        path = folder / f"ties{facts.suffix}"
        job = LoweringJob(programs={method.name: program}, methods=(spec,), recipe=recipe, metadata=metadata_for(source, ()), destination=path)
        get_target(target).lower(job)
        self.executable = get_target(target).open(path)
        self.eager = source.module

    def kept(self, values) -> list[list[int]]:
        """The regions of each pass."""
        (method,) = self.executable.methods
        (given,) = method.inputs
        image = image_of(values)
        image = np.ascontiguousarray(image.transpose(0, 2, 3, 1)) if given.layout == "NHWC" else image
        results = self.executable.run(method.name, {given.name: image})
        return [np.flatnonzero(results[output.name].reshape(-1) > 0.5).tolist() for output in method.outputs]

    def eager_kept(self, values) -> list[list[int]]:
        with torch.no_grad():
            return [mask.reshape(-1).nonzero().flatten().tolist() for mask in self.eager(torch.from_numpy(image_of(values))).values()]


@pytest.fixture(scope="module")
def lowered(tmp_path_factory):
    return functools.cache(lambda target, precision: Artifact(target, precision, DISTINCT, tmp_path_factory.mktemp(target)))


@EACH_CASE
def test_beta_0_one_half_and_1(case, lowered):
    artifact = lowered(*case)
    assert artifact.kept(DISTINCT) == artifact.eager_kept(DISTINCT) == [list(range(16)), UPPER, []]


@EACH_CASE
def test_a_tie_at_the_threshold(case, lowered):
    """Regions 1 and 10 are equal, and the median: eager takes neither, a fixed count one of them, by products the first."""
    artifact, values = lowered(*case), list(DISTINCT)
    values[1] = values[10]
    upper = artifact.kept(values)[1]
    assert artifact.eager_kept(values)[1] == [3, 4, 7, 9, 12, 13, 15]
    if case[0] == "onnx":  # by indices
        assert upper in ([1, 3, 4, 7, 9, 12, 13, 15], UPPER)
    else:
        assert upper == [1, 3, 4, 7, 9, 12, 13, 15]


@EACH_CASE
def test_ties_elsewhere(case, lowered):
    artifact, values = lowered(*case), list(DISTINCT)
    values[0] = values[14] = values[5]
    values[9] = values[15]
    assert artifact.kept(values) == artifact.eager_kept(values) == [list(range(16)), UPPER, []]


@EACH_CASE
def test_saturated_scores_are_told_apart(case, lowered):
    """Log-odds from 8.5 to 13: all of them 1 in half precision, where the selection is computed in float32 all the same."""
    artifact = lowered(*case)
    values = [8.4 + 3 * value for value in DISTINCT]
    assert len(set(torch.tensor(values).sigmoid().half().tolist())) == 1
    assert artifact.kept(values) == artifact.eager_kept(values) == [list(range(16)), UPPER, []]


@EACH_CASE
def test_one_region_is_its_own_percentile(case, tmp_path):
    artifact = Artifact(*case, (0.3,), tmp_path)
    assert artifact.kept((0.3,)) == artifact.eager_kept((0.3,)) == [[0], [], []]


@EACH_CASE
def test_a_score_that_is_no_number(case, lowered):
    """Eager takes no region; onnxruntime's top-k leaves it out; compared it is of rank 0 beside the highest; clipped all ranks are lost."""
    artifact, values = lowered(*case), list(DISTINCT)
    values[2] = math.nan
    upper = artifact.kept(values)[1]
    assert artifact.eager_kept(values)[1] == []
    assert upper == {"onnx": UPPER, "tflite": [], "executorch": []}.get(case[0], [2, *UPPER])


@pytest.fixture(scope="module")
def in_form(tmp_path_factory):
    return functools.cache(lambda target, form: Artifact(target, "fp32", DISTINCT, tmp_path_factory.mktemp(target), form))


@EACH_FORM
def test_every_form_on_distinct_scores(case, in_form):
    artifact = in_form(*case)
    assert artifact.forms == {case[1]}
    assert artifact.kept(DISTINCT) == artifact.eager_kept(DISTINCT) == [list(range(16)), UPPER, []]


@EACH_FORM
def test_every_form_on_a_tie_at_the_threshold(case, in_form):
    """A mask compares as eager does and takes neither of the two; a fixed count takes one, by products the first, by indices either."""
    artifact, values = in_form(*case), list(DISTINCT)
    values[1] = values[10]
    upper, first, neither = artifact.kept(values)[1], [1, 3, 4, 7, 9, 12, 13, 15], [3, 4, 7, 9, 12, 13, 15]
    assert artifact.eager_kept(values)[1] == neither
    taken = {"dense_mask_passes": (neither,), "fixed_count_gather": (first, UPPER)}.get(case[1], (first,))
    assert upper in taken


@EACH_FORM
def test_every_form_on_ties_elsewhere(case, in_form):
    artifact, values = in_form(*case), list(DISTINCT)
    values[0] = values[14] = values[5]
    values[9] = values[15]
    assert artifact.kept(values) == artifact.eager_kept(values) == [list(range(16)), UPPER, []]
