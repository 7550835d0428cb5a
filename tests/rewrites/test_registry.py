"""All rewrites in their order: what one leaves, the next finds."""

import pytest
import torch
from rewriting import count, filled, noise, relative_error, wanting
from switching import EACH_FORM, EACH_FORM_LAST
from torch import nn

from edgekit.capture import capture
from edgekit.ops.spanning_attention import SpanningAttention
from edgekit.rewrites.apply import rewrite_modules, rewrite_program
from edgekit.rewrites.registry import GRAPH_REWRITES, MODULE_REWRITES

SCALE, KEYS, COINCIDE, BATCH = "fold_attention_scale", "transpose_keys", "merge_coincident_windows", "batch_window_partitions"


class Network(nn.Module):
    """One map of four windows, then one that a single window covers."""

    def __init__(self):
        super().__init__()
        self.wide, self.pool = SpanningAttention(6, 6, head_dim=3, window=3), nn.AvgPool2d(2)
        self.narrow = SpanningAttention(6, 6, head_dim=3, window=3)

    def forward(self, x):
        return self.narrow(self.pool(self.wide(x)))


@EACH_FORM
def test_all_switches_together(form):
    eager, x = filled(Network()), noise(1, 6, 6, 6)
    after, reports = rewrite_modules(eager, MODULE_REWRITES, wanting(form.name, SCALE, COINCIDE, BATCH), (x,))
    sites = {report.name: report.sites for report in reports}
    assert sites == {form.name: ("wide", "narrow"), SCALE: ("wide", "narrow"), COINCIDE: ("narrow",), BATCH: ("wide",)}
    skips = {report.name: [skip.site for skip in report.skips] for report in reports}
    assert skips == {form.name: [], SCALE: [], COINCIDE: ["wide"], BATCH: ["narrow"]}
    with torch.no_grad():
        assert relative_error(eager(x), after(x)) <= 1e-5


@EACH_FORM_LAST
def test_keys_are_transposed_in_every_plan(form):
    eager, x = filled(Network()), noise(1, 6, 6, 6)
    after, reports = rewrite_modules(eager, MODULE_REWRITES, wanting(form.name, SCALE, KEYS, COINCIDE, BATCH), (x,))
    assert [report.name for report in reports] == [form.name, SCALE, KEYS, COINCIDE, BATCH]
    assert after.wide.plan.keys_transposed
    assert after.narrow.plan.keys_transposed
    with torch.no_grad():
        assert relative_error(eager(x), after(x)) <= 1e-5


def norm_attend(channels=6):
    """A pre-norm and attention, as EMOv2 has them."""
    return nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels), SpanningAttention(channels, channels, head_dim=3, window=3))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=["float32", "float64"])
@EACH_FORM
def test_key_bias_goes_before_projections_are_stacked(form, dtype, tolerance):
    model, x = filled(norm_attend(), dtype), noise(1, 6, 6, 6, dtype=dtype)
    names = (form.name, SCALE, "fold_batch_norm", "drop_key_bias", "merge_shared_projections", "merge_projections")
    static, _ = rewrite_modules(model, MODULE_REWRITES, wanting(*names), (x,))
    program = capture("static", static, (x,))
    after, reports = rewrite_program(program, GRAPH_REWRITES, wanting(*names), (x,))
    found = {report.name: len(report.sites) for report in reports}
    # Channels last has a permute between the two projections that are left; channels first has not, and one is left.
    last = form.layout == "channels_last"
    assert found == {"fold_batch_norm": 1, "drop_key_bias": 1, "merge_shared_projections": 1, "merge_projections": 0 if last else 1}
    projections = count(after, torch.ops.aten.conv2d.default) + count(after, torch.ops.aten.linear.default)
    assert projections == (2 if last else 1)
    with torch.no_grad():
        assert relative_error(model(x), after.module()(x)) <= tolerance
