"""Exits written as Python branches on what a tensor holds: every way through, put together, cut, and left alone where it is not known."""

import numpy as np
import pytest
import torch
from exit_styles import IMAGES, Nested, Parts, captured, filled, median, sure

from edgekit.conditions.assembled import with_conditions
from edgekit.conditions.network import SelectedNetwork, SplitNetwork
from edgekit.conditions.paths import conditions_in
from edgekit.conditions.python_branches import NotDecidedError, Number, asked_alike, ways_through
from edgekit.conditions.source import unconditional, without_conditions
from edgekit.interface import Preprocessing
from edgekit.models.source import SourceModel


class Branches(Parts):
    """``item()`` at the first exit, a tensor's truth at the second."""

    def forward(self, image):
        x = self.stem(image)
        first = self.head(0, x)
        if sure(first).item() > self.thresholds[0]:
            return first
        y = self.middle(x)
        second = self.head(1, y)
        if sure(second) >= self.thresholds[1]:
            return second
        return self.head(2, self.end(y))


class InALoop(Parts):
    """The same, as a loop over stages."""

    def forward(self, image):
        x = image
        for number, stage in enumerate((self.stem, self.middle, self.end)):
            x = stage(x)
            logits = self.head(number, x)
            if number < 2 and self.thresholds[number] <= sure(logits).item():
                break
        return logits


class Skips(Parts):
    """One of two blocks for each picture: no exit."""

    def forward(self, image):
        x = self.stem(image)
        if x.mean() > 0.1:
            return self.head(2, self.end(x * 2))
        return self.head(2, self.end(x + 1))


KINDS = {"branches": Branches, "in a loop": InALoop}


def split(kind, thresholds=(0.5, 0.5)):
    model = filled(kind())
    model.thresholds = list(thresholds)
    program = with_conditions("net.py:build", model, IMAGES[0])
    network, reports = unconditional("net.py:build", program, IMAGES[:2])
    return model, network, reports


@pytest.mark.parametrize("name", KINDS)
def test_the_stages_leave_where_python_leaves(name):
    kind = KINDS[name]
    thresholds, left = [0.5, 0.5], list(range(len(IMAGES)))
    for number in range(2):
        _, network, _ = split(kind, thresholds)
        confidences = {}
        for index in left:
            features = (IMAGES[index],)
            with torch.no_grad():
                for stage in network.exit_stages()[: number + 1]:
                    _, confidence, features = stage.decided(features)
            confidences[index] = float(confidence)
        thresholds[number] = median(confidences.values())
        left = [index for index in left if confidences[index] < thresholds[number]]
    model, network, reports = split(kind, thresholds)
    assert isinstance(network, SplitNetwork)
    assert network.own_confidence == "max_softmax"
    assert len(reports[0].sites) == 2
    assert "test_python_branches.py:" in reports[0].sites[0]
    with torch.no_grad():
        assert all(torch.equal(model(image), network(image)) for image in IMAGES)
    names = {parameter.removeprefix("part.") for stage in network.exit_stages() for parameter, _ in stage.named_parameters()}
    assert names <= dict(model.named_parameters()).keys()


def test_no_operator_is_computed_twice():
    _, network, _ = split(Branches)
    written_with_conditions, _ = unconditional("net.py:build", captured(Nested, (0.5, 0.5)), IMAGES[:2])
    assert operators(network) == operators(written_with_conditions)


def operators(network):
    convolutions = (torch.ops.aten.conv2d.default, torch.ops.aten.linear.default)
    return [sum(node.target in convolutions for node in stage.part.graph.nodes) for stage in network.exit_stages()]


def test_a_branch_that_is_no_exit_is_selected():
    model, network, reports = split(Skips)
    assert isinstance(network, SelectedNetwork)
    assert reports[0].sites == ()
    with torch.no_grad():
        assert all(torch.equal(model(image), network(image)) for image in IMAGES)


def test_an_export_takes_it():
    model = filled(Branches())
    size = IMAGES[0].shape[-1]
    source = SourceModel(
        name="net.py:build",
        slug="net-build",
        module=model,
        resolution=size,
        preprocessing=Preprocessing(resolution=size),
        trained=None,
        weights_sha256=None,
    )
    found, reports = without_conditions(source, IMAGES)
    assert isinstance(found.module, SplitNetwork)
    assert [report.name for report in reports] == ["split_exits", "select_branches"]


class Floats(Parts):
    def forward(self, image):
        x = self.stem(image)
        return self.head(0, x) if float(x.mean()) > 0.5 else self.head(1, x)


class Arithmetic(Parts):
    def forward(self, image):
        x = self.stem(image)
        return self.head(0, x) if x.mean().item() * 2 > 0.5 else self.head(1, x)


class EndlessLoop(Parts):
    def forward(self, image):
        x = self.stem(image)
        while x.mean() < 0.5:
            x = x + 1
        return self.head(0, x)


class OtherShapes(Parts):
    def forward(self, image):
        x = self.stem(image)
        return self.head(0, x) if x.mean() > 0.5 else x


class Plain(Parts):
    def forward(self, image):
        return self.head(0, self.stem(image))


@pytest.mark.parametrize("kind", [Floats, Arithmetic, EndlessLoop, OtherShapes, Plain])
def test_what_is_not_known_is_left_alone(kind):
    assert with_conditions("net.py:build", filled(kind()), IMAGES[0]) is None


class Both(Parts):
    def forward(self, image):
        x = self.stem(image)
        return self.head(0, x) if x.mean() > 0.1 and not x.amax().item() > 9 else self.head(1, x)


def test_every_way_is_found():
    assert ways_through(filled(Both()), IMAGES[0]) == ((True, True), (True, False), (False,))
    assert asked_alike([(True, True), (True, False), (False,)])
    assert not asked_alike([(True, True), (False,)])
    assert not asked_alike([(), (True,)])


def test_conditions_have_two_sides():
    program = with_conditions("net.py:build", filled(Branches()), IMAGES[0])
    assert len(list(conditions_in(program.graph_module))) == 2
    with torch.no_grad():
        assert all(torch.equal(program.module()(image), filled(Branches())(image)) for image in IMAGES[:2])


@pytest.mark.parametrize("threshold", [0.9, 0.1, 1 / 3, 0.5, -0.7, 1e-46, 1e39, float("inf")])
def test_numbers_are_compared_as_doubles(threshold):
    near = np.float32(threshold)
    values = [np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf)), np.float32("nan")]
    for value in values:
        tensor, number = torch.tensor(value), float(value)
        assert bool(Number(tensor) > threshold) is (number > threshold)
        assert bool(Number(tensor) >= threshold) is (number >= threshold)
        assert bool(threshold > Number(tensor)) is (threshold > number)
        assert bool(threshold >= Number(tensor)) is (threshold >= number)


def test_a_double_is_not_taken_for_a_single():
    with pytest.raises(NotDecidedError):
        Number(torch.tensor(1.0, dtype=torch.float64))
