"""What the tests of static attention's switches share: attention to turn them on, and the promises each of them makes."""

import pytest
import torch
from rewriting import count, filled, noise, ranks, relative_error, rewrite_one_module
from torch import Tensor, nn

from edgekit.capture import capture
from edgekit.ops.spanning_attention import SpanningAttention
from edgekit.rewrites.base import ModuleRewrite
from edgekit.rewrites.static_windows import StaticWindows

CHANNELS_LAST = [StaticWindows("channels_last", rank) for rank in (6, 5, 4)]
CHANNELS_FIRST = [StaticWindows("channels_first", rank) for rank in (5, 4)]
EACH_FORM = pytest.mark.parametrize("form", [*CHANNELS_LAST, *CHANNELS_FIRST], ids=lambda form: form.name)
EACH_FORM_LAST = pytest.mark.parametrize("form", CHANNELS_LAST, ids=lambda form: form.name)
SOME_FORMS = pytest.mark.parametrize("form", [CHANNELS_LAST[0], CHANNELS_FIRST[0]], ids=lambda form: form.name)
SOFTMAX = torch.ops.aten.softmax.int


def static(form: StaticWindows, size: tuple[int, int], dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Tensor]:
    """Attention in windows of 3, two heads, already static; and a map for it."""
    x = noise(1, 6, *size, dtype=dtype)
    module, report = rewrite_one_module(form, filled(SpanningAttention(6, 12, head_dim=3, window=3), dtype), x)
    assert report.sites == ("",)
    return module, x


def assert_same_numbers_switched(rule: ModuleRewrite, form: StaticWindows, size: tuple[int, int], dtype: torch.dtype, tolerance: float) -> None:
    """The switch turns, and keeps the result on inputs other than those it proved itself on."""
    before, x = static(form, size, dtype)
    after, report = rewrite_one_module(rule, before, x)
    assert report.sites == ("",)
    assert report.skips == ()
    assert report.max_error <= tolerance
    other = noise(*x.shape, dtype=dtype, seed=1)
    with torch.no_grad():
        assert relative_error(before(other), after(other)) <= tolerance


def assert_switched_once(rule: ModuleRewrite, form: StaticWindows, size: tuple[int, int]) -> None:
    """A second run changes nothing."""
    before, x = static(form, size)
    after, _ = rewrite_one_module(rule, before, x)
    again, report = rewrite_one_module(rule, after, x)
    assert report.sites == ()
    assert again.plan == after.plan != before.plan


def assert_original_stays(rule: ModuleRewrite, form: StaticWindows, size: tuple[int, int]) -> None:
    """The module handed in keeps its plan and its weights."""
    before, x = static(form, size)
    plan, weights = before.plan, {name: value.clone() for name, value in before.state_dict().items()}
    rewrite_one_module(rule, before, x)
    assert before.plan == plan
    assert all(torch.equal(value, weights[name]) for name, value in before.state_dict().items())


def assert_interface_kept(rule: ModuleRewrite, form: StaticWindows, size: tuple[int, int]) -> None:
    """Shape, dtype, names and the highest rank are as before."""
    before, x = static(form, size)
    after, _ = rewrite_one_module(rule, before, x)
    program = capture("after", after, (x,))
    assert program.graph_signature.user_inputs == capture("before", before, (x,)).graph_signature.user_inputs
    assert program.module()(x).shape == before(x).shape == (1, 12, *size)
    assert program.module()(x).dtype == torch.float32
    assert max(ranks(program)) <= form.max_rank


def operations(module: nn.Module, x: Tensor, *ops: object) -> tuple[int, ...]:
    """How often each operator is called."""
    program = capture("attention", module, (x,))
    return tuple(count(program, op) for op in ops)


def assert_leaves_others_alone(rule: ModuleRewrite) -> None:
    """Attention in its natural form, and other modules, are no site and no skip."""
    model = nn.Sequential(SpanningAttention(6, 6, head_dim=3, window=3), nn.Conv2d(6, 6, 1))
    after, report = rewrite_one_module(rule, filled(model), noise(1, 6, 3, 3))
    assert report.sites == report.skips == ()
    assert type(after[0]) is SpanningAttention
