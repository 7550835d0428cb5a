"""The regions that the eager model and its lowered form select, compared as sets."""

import copy

import pytest
import torch
from torch import nn

from edgekit.capabilities import target_facts
from edgekit.interface import Preprocessing
from edgekit.models.build import build_model
from edgekit.models.imcnet import CONFIGS, IMCNet
from edgekit.models.untrained import fill_untrained
from edgekit.rewrites.apply import rewrite_modules
from edgekit.rewrites.registry import MODULE_REWRITES
from edgekit.verification.samples import verification_samples
from edgekit.verification.selections import SAMPLES, Selections, compare_selections, samples_for, selected, selects

PREPROCESSING = Preprocessing(resolution=32)


@pytest.fixture(scope="module")
def eager():
    return build_model("imcnet-cifar10")


@pytest.fixture(scope="module")
def samples():
    return verification_samples(PREPROCESSING, 16)


def compared(eager, lowered, samples) -> Selections:
    return compare_selections(selected(eager, samples), selected(lowered, samples), samples)


def lowered(model, target):
    example = (torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)),)
    return rewrite_modules(model, MODULE_REWRITES, target_facts(target), example)[0]


@pytest.mark.parametrize("target", ["coreml", "tflite", "executorch", "onnx", "coreai"])
def test_every_targets_form_selects_the_same_regions(eager, samples, target):
    found = compared(eager, lowered(eager, target), samples)
    assert (found.sites, found.passes, found.samples) == (("middle",), 4, 16)
    assert found.differing == ()
    assert found.regions == {"middle": ((64, 64), (48, 48), (32, 32), (16, 16))}
    assert found.closest > 1e-6


def test_another_selection_is_found(eager, samples):
    other = copy.deepcopy(lowered(eager, "onnx"))
    with torch.no_grad():
        other.middle.selectors.w[2].weight[0, 0] += 0.5
    found = compared(eager, other, samples)
    assert found.differing
    assert set(found.differing) <= {sample.name for sample in samples}


def test_near_ties_are_counted(samples):
    model = IMCNet(CONFIGS["cifar10"], resolution=32, num_classes=10)
    fill_untrained(model)
    with torch.no_grad():
        model.middle.selectors.w[1].weight.mul_(1e-6)  # all scores of the second pass within a millionth
    found = compared(model.eval(), model, samples)
    assert set(found.near_ties) == {sample.name for sample in samples}
    assert 0 <= found.closest < 1e-5


def test_networks_that_select_nothing(samples):
    plain = nn.Sequential(nn.Flatten(), nn.Linear(3072, 2))
    assert compared(plain, plain, samples) is None
    assert not selects(plain)
    assert len(samples_for(plain, PREPROCESSING)) == 9


def test_networks_that_select_are_compared_on_more_inputs(eager):
    assert selects(eager)
    inputs = samples_for(eager, PREPROCESSING)
    assert len(inputs) == SAMPLES == 64
    assert sum(sample.name.startswith("photograph") for sample in inputs) == 60


def test_a_budget():
    from attrs import evolve

    model = IMCNet(evolve(CONFIGS["cifar10"], control="budget"), resolution=32, num_classes=10)
    fill_untrained(model)
    inputs = verification_samples(PREPROCESSING)
    found = compared(model.eval(), lowered(model.eval(), "tflite"), inputs)
    assert found.differing == ()
    fewest, most = zip(*found.regions["middle"], strict=True)
    assert fewest[0] == most[0] == 64
    assert fewest[-1] < 64
