"""Running rewrites: who gets which, what is reported, and that a wrong one is caught where it is wrong."""

import attrs
import pytest
import torch
from attrs import frozen
from rewriting import computation, filled, noise, wanting
from torch import nn

from edgekit.capabilities import target_facts
from edgekit.capture import capture
from edgekit.errors import CannotExportError, RewriteError
from edgekit.evaluate import evaluate
from edgekit.ops.spanning_attention import SpanningAttention
from edgekit.rewrites.apply import SITE_TOLERANCE, _prove, rewrite_modules, rewrite_program
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.fold_batch_norm import FoldBatchNorm
from edgekit.rewrites.fold_channel_scale import FoldChannelScale
from edgekit.rewrites.graph import is_call
from edgekit.rewrites.merge_projections import MergeProjections
from edgekit.rewrites.registry import GRAPH_REWRITES, MODULE_REWRITES
from edgekit.rewrites.static_windows import StaticWindows

RELU = torch.ops.aten.relu.default
MUL = torch.ops.aten.mul.Tensor


@frozen
class Swap:
    """Replaces each relu by what ``make`` inserts: a rewrite that is only as right as that."""

    make: object
    name: str = "swap"

    def match(self, node, editor):
        return is_call(node, RELU)

    def check(self, node, editor, target):
        return ()

    def replace(self, node, plan, editor):
        return [(node, self.make(editor, node))]


def call(op, *more):
    return lambda editor, node: editor.call(op, node.args[0], *more, before=node)


def relu_times(factor):
    """A relu again, multiplied."""
    return lambda editor, node: editor.call(MUL, editor.call(RELU, node.args[0], before=node), factor, before=node)


class Hidden(nn.Module):
    """A relu whose share in the output is a millionth: a comparison of outputs could not see it."""

    def __init__(self):
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 3, 1), nn.ReLU()

    def forward(self, x):
        return x + self.act(self.conv(x)) * 1e-6


def run(rule, model, x):
    return rewrite_program(capture("model", filled(model), (x,)), [rule], wanting(rule.name), (x,))


X = noise(1, 3, 4, 4)


def test_a_right_rewrite_passes_and_reports_its_error():
    after, (report,) = run(Swap(relu_times(1.0 + 1e-6)), Hidden(), X)
    assert report.sites == ("act",)
    assert 5e-7 < report.max_error < 2e-6 < SITE_TOLERANCE
    assert sum(is_call(node, MUL) for node in after.graph.nodes) == 2


@pytest.mark.parametrize(
    "make",
    [relu_times(1.001), relu_times(-1.0), call(torch.ops.aten.gelu.default), call(torch.ops.aten.flip.default, [3])],
    ids=["a thousandth off", "sign", "another function", "another axis"],
)
def test_a_wrong_site_is_caught_behind_a_factor_of_a_millionth(make):
    with pytest.raises(RewriteError) as caught:
        run(Swap(make), Hidden(), X)
    assert caught.value.summary == "rewrite swap changed what act computes"
    assert "largest difference" in caught.value.what
    assert f"{SITE_TOLERANCE:.0e}" in caught.value.what
    assert caught.value.hint
    assert isinstance(caught.value, CannotExportError)


@pytest.mark.parametrize("make", [relu_times(float("nan")), relu_times(float("inf"))], ids=["nan", "inf"])
def test_what_is_no_number_is_caught(make):
    with pytest.raises(RewriteError, match="rewrite swap changed what act computes"):
        run(Swap(make), Hidden(), X)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (call(torch.ops.aten.to.dtype, torch.float64), "torch.float64 (1, 3, 4, 4) after, torch.float32 (1, 3, 4, 4) before"),
        (call(torch.ops.aten.unsqueeze.default, 0), "torch.float32 (1, 1, 3, 4, 4) after, torch.float32 (1, 3, 4, 4) before"),
        (call(torch.ops.aten.mean.dim, [0], True), "computes"),
    ],
    ids=["dtype", "rank", "same shape"],
)
def test_a_changed_dtype_or_shape_is_caught(make, words):
    with pytest.raises(RewriteError, match=r"rewrite swap changed .*act") as caught:
        run(Swap(make), Hidden(), X)
    assert words in str(caught.value)


def test_without_a_proof_sites_are_reported_and_nothing_is_compared():
    program = capture("model", filled(Hidden()), (X,))
    after, (report,) = rewrite_program(program, [Swap(relu_times(2.0))], wanting("swap"), (X,), prove=False)
    assert (report.sites, report.max_error) == (("act",), None)
    assert any(is_call(node, MUL) and node.args[1] == 2.0 for node in after.graph.nodes)


def test_the_last_of_several_sites_is_named():
    class Counting(Swap):
        def replace(self, node, plan, editor):
            wrong = node.name.endswith("_1")
            return [(node, relu_times(2.0 if wrong else 1.0)(editor, node))]

    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1), nn.ReLU())
    with pytest.raises(RewriteError, match="rewrite swap changed what 3 computes"):
        run(Counting(None), model, X)


def test_a_wrong_rewrite_is_caught_where_a_later_one_builds_on_it():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

        def forward(self, x):
            return x.mean() + 1e-6 * (self.norm(self.conv(x)) * 0.5)

    class Wrong(FoldBatchNorm):
        name = "wrong"

        def check(self, node, editor, target):
            plan = super().check(node, editor, target)
            return attrs.evolve(plan, shift=-plan.shift)

    program = capture("model", filled(Scaled()), (X,))
    with pytest.raises(RewriteError, match="changed what"):
        rewrite_program(program, [Wrong(), FoldChannelScale()], wanting("wrong", "fold_channel_scale"), (X,))
    _, reports = rewrite_program(program, [FoldBatchNorm(), FoldChannelScale()], wanting("fold_batch_norm", "fold_channel_scale"), (X,))
    # The second swallowed the first, and proves it.
    assert [len(report.sites) for report in reports] == [1, 2]
    assert reports[0].max_error is None
    assert reports[1].max_error <= 1e-5


def test_a_wrong_rewrite_of_what_an_earlier_one_made_is_caught():
    class Tail(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.norm = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4)

        def forward(self, x):
            return x.mean() + 1e-6 * self.norm(self.second(self.first(x)))

    class Wrong(MergeProjections):
        name = "wrong"

        def check(self, node, editor, target):
            plan = super().check(node, editor, target)
            return attrs.evolve(plan, first=attrs.evolve(plan.first, bias=None))

    program = capture("model", filled(Tail()), (X,))
    with pytest.raises(RewriteError, match="rewrite wrong changed what norm computes"):
        rewrite_program(program, [FoldBatchNorm(), Wrong()], wanting("fold_batch_norm", "wrong"), (X,))
    after, _ = rewrite_program(program, [FoldBatchNorm(), MergeProjections()], wanting("fold_batch_norm", "merge_projections"), (X,))
    assert sum(is_call(node, torch.ops.aten.conv2d.default) for node in after.graph.nodes) == 1


def test_refusals_are_reported_and_leave_the_place_alone():
    class Shy(Swap):
        def check(self, node, editor, target):
            return Refusal(f"{node.name} is shy on {target.name}")

    program = capture("model", filled(Hidden()), (X,))
    after, (report,) = rewrite_program(program, [Shy(relu_times(2.0))], wanting("swap"), (X,))
    assert report.sites == ()
    assert report.max_error is None
    assert [(skip.site, skip.reason) for skip in report.skips] == [("act", "relu is shy on onnx")]
    assert computation(after) == computation(program)


def test_a_target_gets_the_graph_rewrites_it_wants_and_no_other():
    model = filled(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)))
    program = capture("model", model, (X,))
    after, reports = rewrite_program(program, GRAPH_REWRITES, wanting(), (X,))
    assert reports == ()
    assert computation(after) == computation(program)
    after, (report,) = rewrite_program(program, GRAPH_REWRITES, wanting("merge_projections"), (X,))
    assert (report.name, report.sites, report.skips) == ("merge_projections", (), ())
    after, reports = rewrite_program(program, GRAPH_REWRITES, wanting("merge_projections", "fold_batch_norm"), (X,))
    assert [report.name for report in reports] == ["fold_batch_norm", "merge_projections"]  # the registry's order, not the target's
    assert len(computation(after)) == 2


def test_a_target_gets_the_module_rewrites_it_wants_and_no_other():
    eager = filled(SpanningAttention(6, 6, head_dim=3, window=2))
    x = noise(1, 6, 4, 4)
    same, reports = rewrite_modules(eager, MODULE_REWRITES, wanting("fold_attention_scale"), (x,))
    assert [(report.name, report.sites) for report in reports] == [("fold_attention_scale", ())]
    assert type(same) is SpanningAttention
    _, reports = rewrite_modules(eager, MODULE_REWRITES, wanting("fold_attention_scale", "static_windows_rank4_channels_first"), (x,))
    assert [(report.name, report.sites) for report in reports] == [("static_windows_rank4_channels_first", ("",)), ("fold_attention_scale", ("",))]


def test_names_of_rewrites_are_unique_and_every_target_asks_for_existing_ones():
    names = [rule.name for rule in (*MODULE_REWRITES, *GRAPH_REWRITES)]
    assert len(set(names)) == len(names)
    for target in ("coreml", "tflite", "executorch", "onnx"):
        assert {form.rewrite for form in target_facts(target).forms} <= set(names)


def test_a_rewrite_does_not_visit_what_it_added_and_so_ends():
    # The relu that takes the place of a relu would match again, for ever.
    model = nn.Sequential(nn.ReLU(), nn.ReLU())
    after, (report,) = run(Swap(relu_times(1.0)), model, X)
    assert report.sites == ("0", "1")
    assert sum(is_call(node, RELU) for node in after.graph.nodes) == 2


class Backwards:
    """Takes the last of several relus in a row away: each one that goes makes another the last."""

    name = "backwards"

    def match(self, node, editor):
        return is_call(node, RELU) and is_call(node.args[0], RELU)

    def check(self, node, editor, target):
        return Refusal("not the last") if any(is_call(user, RELU) for user in node.users) else ()

    def replace(self, node, plan, editor):
        return [(node, node.args[0])]


def test_sweeps_until_nothing_is_left_to_do_and_reports_the_last_refusals():
    after, (report,) = run(Backwards(), nn.Sequential(*(nn.ReLU() for _ in range(4))), X)
    assert report.sites == ("3", "2", "1")
    assert report.skips == ()
    assert sum(is_call(node, RELU) for node in after.graph.nodes) == 1


class Replace:
    """A module rewrite: each ReLU by ``module``."""

    name = "replace"

    def __init__(self, module):
        self.module = module

    def match(self, module):
        return isinstance(module, nn.ReLU)

    def check(self, module, x, target):
        return ()

    def replace(self, module, plan):
        return self.module


class Times(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x.relu() * self.factor


class Double(nn.Module):
    def forward(self, x):
        return x.relu().double()


@pytest.mark.parametrize("wrong", [nn.GELU(), Times(1.001), Times(float("nan")), nn.Flatten(), Double()], ids=lambda module: type(module).__name__)
def test_a_wrong_module_is_caught_behind_a_factor_of_a_millionth(wrong):
    with pytest.raises(RewriteError, match=r"rewrite replace changed .*act"):
        rewrite_modules(filled(Hidden()), [Replace(wrong)], wanting("replace"), (X,))


def test_without_a_proof_a_module_is_replaced_and_not_compared():
    after, (report,) = rewrite_modules(filled(Hidden()), [Replace(nn.Identity())], wanting("replace"), (X,), prove=False)
    assert (report.sites, report.max_error) == (("act",), None)
    assert type(after.act) is nn.Identity


def test_a_right_module_passes():
    model = filled(Hidden())
    after, (report,) = rewrite_modules(model, [Replace(Times(1.0))], wanting("replace"), (X,))
    assert report.sites == ("act",)
    assert report.max_error == 0
    assert type(after.act) is Times
    assert type(model.act) is nn.ReLU


class Reused(nn.Module):
    """One attention with one set of weights, on two maps."""

    def __init__(self, second):
        super().__init__()
        self.attend, self.second = SpanningAttention(6, 6, head_dim=3, window=2), second

    def forward(self, x):
        return self.attend(x).mean() + self.attend(self.second(x)).sum(dim=(2, 3))


def test_a_module_used_at_two_sizes_is_skipped():
    model, x = filled(Reused(lambda x: x.transpose(2, 3))), noise(1, 6, 4, 6)
    rule = StaticWindows("channels_last", 5)
    same, (report,) = rewrite_modules(model, [rule], wanting(rule.name), (x,))
    assert report.sites == ()
    (skip,) = report.skips
    assert skip.site == "attend"
    assert "different sizes" in skip.reason
    assert type(same.attend) is SpanningAttention


def test_a_module_used_twice_at_one_size_is_rewritten():
    model, x = filled(Reused(lambda x: x.flip(3))), noise(1, 6, 4, 6)
    rule = StaticWindows("channels_last", 5)
    after, (report,) = rewrite_modules(model, [rule], wanting(rule.name), (x,))
    assert report.sites == ("attend",)
    with torch.no_grad():
        torch.testing.assert_close(after(x), model(x), rtol=1e-5, atol=1e-5)


def test_evaluate_gives_the_values_of_named_nodes():
    model = filled(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()))
    program = capture("model", model, (X,))
    values = evaluate(program, (X,), {"conv2d", "relu"})
    with torch.no_grad():
        assert torch.equal(values["conv2d"], model[0](X))
        assert torch.equal(values["relu"], model(X))
    assert set(values) == {"conv2d", "relu"}


@pytest.mark.parametrize(("filled_with", "wrong"), [(float("-inf"), False), (float("inf"), True), (float("nan"), True)])
def test_infinities_have_to_be_where_they_were(filled_with, wrong):
    expected = torch.tensor([1.0, float("-inf"), 2.0])
    actual = torch.tensor([1.0, filled_with, 2.0])
    if wrong:
        with pytest.raises(RewriteError):
            _prove("rule", "site", expected, actual)
    else:
        assert _prove("rule", "site", expected, actual) == 0
