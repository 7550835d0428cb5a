"""Registered models: every row says of its model what is the case."""

import pytest
import torch

from edgekit.errors import UsageError
from edgekit.macs import eager_macs
from edgekit.models.build import build_model
from edgekit.models.registry import MODELS, model_entry

SMALL = [entry.name for entry in MODELS if entry.parameters < 10e6]


@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry.name)
def test_rows_have_the_parameters_of_their_model(entry):
    with torch.device("meta"):  # sizes, not values
        model = _constructed(entry)
    assert sum(parameter.numel() for parameter in model.parameters()) == entry.parameters


@pytest.mark.parametrize("name", [entry.name for entry in MODELS if entry.name.endswith("-nano")])
def test_the_small_networks_cost_what_their_rows_say(name):
    entry = model_entry(name)
    counted = eager_macs(build_model(name), (torch.zeros(1, 3, entry.resolution, entry.resolution),))
    assert counted.total == entry.macs


def _constructed(entry):
    from edgekit.models.build import _FAMILIES

    family, _, size = entry.name.partition("-")
    return _FAMILIES[family](size, entry.resolution, entry.num_classes)


@pytest.mark.parametrize("name", SMALL)
def test_builds_in_eval_mode_and_runs_at_its_resolution(name):
    entry = model_entry(name)
    model = build_model(name)
    assert not model.training
    with torch.no_grad():
        answer = model(torch.zeros(1, 3, entry.resolution, entry.resolution))
    logits = answer if isinstance(answer, torch.Tensor) else answer.logits
    assert logits.shape == (1, entry.num_classes)
    assert logits.isfinite().all()


def test_classes_and_resolution_are_the_callers():
    model = build_model("imcnet-cifar10", resolution=16, num_classes=3)
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 16, 16)).shape == (1, 3)


@pytest.mark.parametrize(("name", "resolution", "multiple"), [("imcnet-ti16", 200, 16), ("imcnet-cifar10", 30, 4), ("chase-tiny", 12, 8)])
def test_a_resolution_that_cannot_be_cut_is_refused(name, resolution, multiple):
    with pytest.raises(UsageError, match=f"{name} cannot run at resolution {resolution}") as raised:
        build_model(name, resolution=resolution)
    assert f"a multiple of {multiple}" in raised.value.why
