"""Networks that were written with torch.cond, cut at their exits."""

import pytest
import torch
from exit_styles import EXITS, IMAGES, STYLES, Entropy, Gated, InARow, Nested, Parts, Swapped, captured, filled, median, sure

from edgekit.capture import capture
from edgekit.conditions.source import unconditional
from edgekit.macs import eager_macs
from edgekit.methods import method_sources
from edgekit.models.source import load_source
from edgekit.ops.early_exit import DecidingNetwork, EarlyExitNetwork
from edgekit.ops.exit_branches import ExitBranches
from edgekit.ops.exit_policy import ThresholdPolicy

EACH = pytest.mark.parametrize("style", STYLES)


def split(kind, thresholds=(0.5, 0.5)):
    network, reports = unconditional("net.py:build", captured(kind, tuple(thresholds)), IMAGES[:2])
    assert isinstance(network, DecidingNetwork)
    return network, reports


def answers(network, picture):
    """Logits, confidence and features of every stage, whatever the confidence says."""
    features, rows = (picture,), []
    with torch.no_grad():
        for stage in network.exit_stages():
            logits, confidence, features = stage.decided(features)
            rows.append((logits, confidence, features))
    return rows


def with_thresholds_between(kind):
    """A network of that style of whose images every exit takes some: each threshold lies amid the confidences that reach it."""
    thresholds, left = [0.5, 0.6 if kind is Gated else 0.5], list(range(len(IMAGES)))
    for number in range(1 if kind is Gated else EXITS[kind.__name__] - 1):  # the gated style's second decision is no comparison
        network, _ = split(kind, thresholds)
        confidences = {index: float(answers(network, IMAGES[index])[number][1]) for index in left}
        middle = median(confidences.values())
        thresholds[number] = -middle if kind is Entropy else middle
        left = [index for index in left if confidences[index] < middle]
    return split(kind, thresholds)[0], captured(kind, tuple(thresholds))


def logits_of(outputs):
    return outputs["logits"] if isinstance(outputs, dict) else outputs


@EACH
def test_the_stages_leave_where_the_program_leaves(style):
    network, program = with_thresholds_between(STYLES[style])
    taken = []
    for picture in IMAGES:
        with torch.no_grad():
            expected, found = logits_of(program.module()(picture)), network(picture)
        assert torch.equal(found, expected)
        taken.append(next(number for number, row in enumerate(answers(network, picture)) if torch.equal(row[0], expected)))
    assert set(taken) == set(range(EXITS[style]))


def test_the_model_as_it_was_written_answers_alike():
    network, program = with_thresholds_between(Nested)
    del program
    eager = filled(Nested())
    eager.thresholds = [network.own_thresholds[0], network.own_thresholds[1]]
    with torch.no_grad():
        assert all(torch.equal(eager(picture), network(picture)) for picture in IMAGES)


@EACH
def test_no_operator_is_computed_twice_and_every_weight_belongs_to_one_stage(style):
    network, _ = split(STYLES[style])
    stages = network.exit_stages()
    owners = [{id(parameter) for parameter in stage.parameters()} for stage in stages]
    used = set.union(*owners)
    assert sum(map(len, owners)) == len(used)
    original = dict(filled(STYLES[style]()).named_parameters())
    names = {name.removeprefix("part.") for stage in stages for name, _ in stage.named_parameters()}
    assert names <= original.keys()
    left_out = original.keys() - names
    assert {name.partition(".")[0] for name in left_out} <= {"gate", "heads"}  # those that this style does not call
    operators = [node.target for stage in stages for node in stage.part.graph.nodes if node.op == "call_function"]
    convolutions = sum(target == torch.ops.aten.conv2d.default for target in operators)
    assert convolutions == 4
    assert sum(target == torch.ops.aten.linear.default for target in operators) == len([name for name in names if name.endswith("weight")]) - 8


@pytest.mark.parametrize(
    ("kind", "shapes"),
    [
        (Nested, [[(1, 8, 16, 16)], [(1, 8, 8, 8)], []]),
        (Swapped, [[(1, 8, 16, 16)], []]),
        # The first logits are answer and feature, and so are the second; x and the first logits go through the second stage.
        (Entropy, [[(1, 8, 16, 16), (1, 1, 5)], [(1, 1, 2048), (1, 5), (1, 8, 8, 8), (1, 1, 5)], []]),
        (Gated, [[(1, 8, 16, 16)], [(1, 8, 8, 8)], []]),
        (InARow, [[(1, 8, 16, 16)], [(1, 8, 8, 8)], []]),
    ],
)
def test_what_is_handed_on_is_what_later_stages_read(kind, shapes):
    network, _ = split(kind)
    assert [[tuple(feature.shape) for feature in live] for _, _, live in answers(network, IMAGES[0])] == shapes


@EACH
def test_no_output_is_another_one_or_an_input(style):
    network, _ = split(STYLES[style])
    for stage in network.exit_stages():
        (output,) = stage.part.graph.find_nodes(op="output")
        values = list(output.args[0])
        assert len(set(values)) == len(values)
        assert all(value.op == "call_function" for value in values)


@EACH
def test_methods_and_other_forms_come_from_the_stages(style):
    network, _ = split(STYLES[style])
    assert isinstance(network, EarlyExitNetwork)
    exits = EXITS[style]
    rows = answers(network, IMAGES[1])
    methods = method_sources(network, None)
    assert [method.name for method in methods] == [f"exit_{number}" for number in range(1, exits + 1)]
    given = (IMAGES[1],)
    with torch.no_grad():
        for method, (logits, confidence, live) in zip(methods, rows, strict=True):
            outputs = method.module(*given)
            assert torch.equal(outputs["logits"], logits)
            assert torch.equal(outputs["confidence"], confidence)
            assert (outputs["confidence"].shape, outputs["confidence"].dtype) == ((1,), torch.float32)
            given = live
        (together,) = method_sources(network, "all")
        found = together.module(IMAGES[1])
        assert all(torch.equal(found[f"confidence_{number}"], row[1]) for number, row in enumerate(rows, 1))
        (selecting,) = method_sources(network, "select")
        for number in range(1, exits + 1):
            thresholds = torch.tensor([float("inf")] * (number - 1) + [-float("inf")] * (exits - number))
            chosen = selecting.module(IMAGES[1], thresholds)
            assert (int(chosen["exit"]), torch.equal(chosen["logits"], rows[number - 1][0])) == (number, True)
        (last,) = method_sources(network, "last")
        assert torch.equal(last.module(IMAGES[1]), rows[-1][0])


@EACH
def test_the_report_names_each_exit_the_line_and_its_threshold(style):
    network, (exits, selections) = split(STYLES[style])
    assert (exits.name, selections.name, selections.sites, exits.skips) == ("split_exits", "select_branches", (), ())
    assert len(exits.sites) == EXITS[style] - 1
    for number, (site, threshold) in enumerate(zip(exits.sites, network.own_thresholds, strict=True), 1):
        assert site.startswith(f"exit_{number} (exit_styles.py:")
        assert site.endswith(f"leaves where confidence >= {threshold:.9g}")


@pytest.mark.parametrize(("kind", "confidence"), [(Nested, "max_softmax"), (InARow, None), (Entropy, None), (Gated, None), (Swapped, "max_softmax")])
def test_a_known_confidence_is_called_by_its_name(kind, confidence):
    """In a row, logits are doubled behind the exits: what is compared is the confidence of something else than the answer."""
    assert split(kind)[0].own_confidence == confidence


def test_source_lines_and_modules_stay_with_the_operators():
    network, _ = split(Nested)
    program = capture("stage", method_sources(network, None)[0].module.eval(), (IMAGES[0],))
    convolution = next(node for node in program.graph.nodes if node.target == torch.ops.aten.conv2d.default)
    assert [path for path, _ in convolution.meta["nn_module_stack"].values()][-1] == "stem.0"
    assert "exit_styles.py" in convolution.meta["stack_trace"]


def test_a_decision_asks_for_full_precision_and_nothing_else_does():
    from edgekit.full_precision import in_full_precision

    network, _ = split(Entropy)
    program = capture("stage", method_sources(network, None)[0].module.eval(), (IMAGES[0],))
    operators = {str(node.target) for node in program.graph.nodes if node.op == "call_function" and in_full_precision(node)}
    assert operators == {
        f"aten.{name}" for name in ("softmax.int", "log_softmax.int", "mul.Tensor", "sum.dim_IntList", "neg.default", "reshape.default")
    }


@pytest.fixture(scope="module")
def declared():
    return load_source("chase-tiny").module


def test_conditions_give_what_declared_stages_give(declared):
    policy = ThresholdPolicy(thresholds=(0.2, 0.3, 0.4))
    program = capture("chase.py:build", ExitBranches(declared.exit_stages(), policy).eval(), (IMAGES[0],))
    network, _ = unconditional("chase.py:build", program, IMAGES[:1])
    assert (network.own_thresholds, network.own_confidence) == (policy.thresholds, "max_softmax")
    given, expected = (IMAGES[1],), (IMAGES[1],)
    for ours, theirs in zip(network.exit_stages(), declared.exit_stages(), strict=True):
        assert sum(part.numel() for part in ours.parameters()) == sum(part.numel() for part in theirs.parameters())
        with torch.no_grad():
            assert eager_macs(Flat(ours), given).total == eager_macs(Flat(theirs), expected).total
            logits, given = ours(given)
            reference, expected = theirs(expected)
        assert torch.equal(logits, reference)
        assert sorted(tuple(feature.shape) for feature in given) == sorted(tuple(feature.shape) for feature in expected)


class Flat(torch.nn.Module):
    def __init__(self, stage):
        super().__init__()
        self.stage = stage

    def forward(self, *features):
        return self.stage(features)


def test_a_stage_that_computes_something_else_is_noticed(monkeypatch):
    from edgekit.conditions import source
    from edgekit.errors import RewriteError

    honest = source.cut

    def swapping(chain, returned, decisions):
        parts = honest(chain, returned, decisions)
        for node in parts[1].module.graph.find_nodes(op="call_function", target=torch.ops.aten.relu.default):
            node.target = torch.ops.aten.sigmoid.default
        return parts

    monkeypatch.setattr(source, "cut", swapping)
    with pytest.raises(RewriteError, match="changed exit 2"):
        unconditional("net.py:build", captured(Nested), IMAGES[:1])


def test_an_operator_that_only_going_on_reads_stays_where_it_was_written():
    class Early(Parts):
        def forward(self, image):
            x = self.stem(image)
            y = x.mean((2, 3), keepdim=True) * x
            return torch.cond(sure(self.head(0, x)) > 0.5, lambda x, y: self.head(0, x), lambda x, y: self.head(2, self.end(self.middle(y))), (x, y))

    network, _ = unconditional("net.py:build", capture("net", filled(Early()), (IMAGES[0],)), IMAGES[:1])
    assert [tuple(feature.shape) for feature in answers(network, IMAGES[0])[0][2]] == [(1, 8, 16, 16)]
    assert not [node for node in network.exit_stages()[1].part.graph.nodes if node.target == torch.ops.aten.mul.Tensor]
