"""Conditions that are no exits: both branches are computed, and one is selected; and conditions that are refused."""

import pytest
import torch
from exit_styles import IMAGES, Parts, filled, sure
from torch import nn

from edgekit.capture import capture
from edgekit.conditions.network import SelectedNetwork, SplitNetwork
from edgekit.conditions.source import unconditional
from edgekit.errors import CaptureError


def taken_out(kind):
    program = capture("net", filled(kind()), (IMAGES[0],))
    network, reports = unconditional("net", program, IMAGES[:2])
    return program, network, reports


def assert_same_answers(program, network):
    with torch.no_grad():
        pairs = [(program.module()(picture), network(picture)) for picture in IMAGES]
    for expected, found in pairs:
        assert torch.utils._pytree.tree_structure(expected) == torch.utils._pytree.tree_structure(found)
        ours, theirs = torch.utils._pytree.tree_leaves(expected), torch.utils._pytree.tree_leaves(found)
        assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


class Experts(Parts):
    """Two ways to go on; which is taken depends on the image."""

    def forward(self, image):
        x = self.stem(image)
        gate = self.gate(image.mean((2, 3)) @ image.new_ones(3, 8)).sum()
        x = torch.cond(gate > self.gate.bias.sum(), self.end, lambda x: self.end(x.flip(-1)), (x,))
        return {"logits": self.head(2, x), "gate": gate}


class Skipping(Parts):
    """Blocks that may be skipped, one after the other; the last end is the same for all."""

    def forward(self, image):
        x = self.stem(image)
        for threshold in (0.3, 0.6, 0.9):
            x = torch.cond(x.mean() > threshold, lambda x: x.clone(), lambda x: x + self.middle(x).mean(), (x,))
        return self.head(2, self.end(x))


class Mixed(Parts):
    """An exit, and behind it a choice that is none."""

    def forward(self, image):
        x = self.stem(image)
        first = self.head(0, x)

        def go_on(x, first):
            y = torch.cond(first.sum() > 0, self.middle, lambda x: self.middle(x * x), (x,))
            return self.head(2, self.end(y))

        return torch.cond(sure(first) > 0.4, lambda x, first: first.clone(), go_on, (x, first))


class Binary(Parts):
    """An exit whose answer is one number."""

    def forward(self, image):
        x = self.stem(image)
        odds = self.gate(x.mean((2, 3)))
        return torch.cond(odds.abs().sum() > 0.1, lambda _, odds: odds.clone(), lambda x, _: self.gate(self.middle(x).mean((2, 3))), (x, odds))


class TwoAnswers(Parts):
    """An exit that returns its features, too."""

    def forward(self, image):
        x = self.stem(image)
        first = self.head(0, x)

        def go_on(x, _):
            y = self.middle(x)
            return self.head(2, self.end(y)), y.mean((2, 3))

        return torch.cond(sure(first) > 0.4, lambda x, first: (first.clone(), x.mean((2, 3))), go_on, (x, first))


class Mirrored(Parts):
    """Several rows for one image, decided together."""

    def forward(self, image):
        x = self.stem(torch.cat([image, image.flip(-1)]))
        first = self.head(0, x)
        return torch.cond(
            (first.softmax(-1).amax(-1) > 0.4).all(), lambda _, first: first.clone(), lambda x, _: self.head(2, self.end(x)), (x, first)
        )


COMPUTES = "multiply-adds; an exit costs at most a tenth of going on; both of its branches are computed, and one is selected"


@pytest.mark.parametrize(
    ("kind", "conditions", "reason"),
    [
        (Experts, 1, COMPUTES),
        (Skipping, 3, "neither side of it ends the forward"),
        (Binary, 1, "what an exit returns is (1, 1) and not logits of one image, (1, classes)"),
        (TwoAnswers, 1, "has to be its logits alone, and numbers that do not depend on the image; here it is output_0, output_1"),
        (Mirrored, 1, "what an exit returns is (2, 5) and not logits of one image, (1, classes)"),
    ],
)
def test_what_is_no_exit_is_selected_and_the_report_says_why(kind, conditions, reason):
    program, network, (exits, selections) = taken_out(kind)
    assert isinstance(network, SelectedNetwork)
    assert_same_answers(program, network)
    assert exits.sites == ()
    assert len(selections.sites) == len(exits.skips) == conditions
    assert all(site.startswith("test_condition_selections.py:") for site in selections.sites)
    assert reason in exits.skips[0].reason
    assert exits.skips[0].reason.endswith("; both of its branches are computed, and one is selected")
    recaptured = capture("again", network.eval(), (IMAGES[0],))
    assert not [node for node in recaptured.graph.nodes if "cond" in str(node.target)]


def test_both_sides_occur():
    """Otherwise equal answers would prove half of it."""
    model = filled(Experts())
    assert {bool(model(picture)["gate"] > model.gate.bias.sum()) for picture in IMAGES} == {True, False}


def test_an_exit_stays_one_beside_a_condition_that_is_none():
    program, network, (exits, selections) = taken_out(Mixed)
    assert isinstance(network, SplitNetwork)
    assert_same_answers(program, network)
    assert (len(exits.sites), len(exits.skips), len(selections.sites)) == (1, 1, 1)
    assert exits.sites[0].startswith("exit_1 ")
    assert len(network.exit_stages()) == 2


def test_a_selection_takes_no_part_of_the_other_branch():
    class Root(Parts):
        def forward(self, image):
            x = image.mean((1, 2))
            return torch.cond(x.sum() > 0, lambda x: x.abs().sqrt(), lambda x: (x - 1e9).log(), (x,))

    network = taken_out(Root)[1]
    picture = torch.ones(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(network(picture), torch.ones(1, 32))
        assert network(-picture).isnan().all()


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))


class CountingInside(Counting):
    def forward(self, image):
        def count(image):
            self.seen.add_(1)
            return image * self.seen

        return torch.cond(image.sum() > 0, count, lambda image: image.clone(), (image,))


class CountingBefore(Counting):
    def forward(self, image):
        self.seen.add_(1)
        return torch.cond(image.sum() > 0, lambda image: image * 2, lambda image: image.clone(), (image * self.seen,))


@pytest.mark.parametrize("kind", [CountingInside, CountingBefore])
def test_a_buffer_that_is_written_to_is_refused(kind):
    with pytest.raises(CaptureError, match="cannot take the conditions out of net: it writes to seen") as caught:
        taken_out(kind)
    assert caught.value.exit_code == 4
    assert caught.value.where.startswith("test_condition_selections.py")
    assert "self.seen.add_(1)" in caught.value.where or kind is CountingInside  # within a branch a line is that of the condition
    assert "eval mode" in caught.value.hint


def test_an_input_that_is_written_to_is_refused():
    class Centering(Parts):
        def forward(self, image):
            image.sub_(0.5)
            x = self.stem(image)
            first = self.head(0, x)
            return torch.cond(sure(first) > 0.4, lambda x, first: first.clone(), lambda x, _: self.head(2, self.end(x)), (x, first))

    with pytest.raises(CaptureError, match="it writes to its input") as caught:
        taken_out(Centering)
    assert "image.sub_(0.5)" in caught.value.where
    assert "clone()" in caught.value.hint


def test_an_operand_may_be_written_to_inside_a_branch():
    class Inplace(Parts):
        def forward(self, image):
            x = self.stem[0](image)
            first = self.head(0, x)
            return torch.cond(sure(first) > 0.4, lambda x, first: first.clone(), lambda x, _: self.head(2, self.end(x.relu_())), (x, first))

    program, network, _ = taken_out(Inplace)
    assert isinstance(network, SplitNetwork)
    assert_same_answers(program, network)


def test_sizes_that_differ_are_refused():
    class Halves(Parts):
        def forward(self, image):
            rows = image.mean(1).reshape(1, -1)
            return torch.cond(image.sum() > 0, lambda rows: (rows * 2)[:, :8].contiguous(), lambda rows: rows * 3, (rows,))

    with pytest.raises(CaptureError) as caught:
        taken_out(Halves)
    assert caught.value.where.startswith("test_condition_selections.py")
    assert "(1, 8)" in str(caught.value) or "torch.Size" in str(caught.value)


def test_more_paths_than_a_chain_has_are_selected():
    class Many(Parts):
        def forward(self, image):
            x = image.mean((1, 2))
            for threshold in range(12):
                x = torch.cond(x[0, threshold] > threshold / 10, lambda x: x.sin(), lambda x: x.cos(), (x,))
            return x

    program, network, (_, selections) = taken_out(Many)
    assert isinstance(network, SelectedNetwork)
    assert len(selections.sites) == 12
    assert_same_answers(program, network)
