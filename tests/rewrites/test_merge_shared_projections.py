"""Several plain pointwise projections of one value: one, and its parts."""

import pytest
import torch
from rewriting import CONV, LINEAR, PRECISIONS, assert_same_numbers, assert_settled, assert_untouched, count, filled, interface, noise, rewrite
from torch import nn
from torch.nn import functional as F

from edgekit.rewrites.merge_shared_projections import MergeSharedProjections

SPLIT_RULE, SLICE_RULE = MergeSharedProjections(), MergeSharedProjections(sliced=True)
EACH_RULE = pytest.mark.parametrize("rule", [SPLIT_RULE, SLICE_RULE], ids=lambda rule: rule.name)
SPLIT, SLICE = torch.ops.aten.split_with_sizes.default, torch.ops.aten.slice.Tensor
MAP, TOKENS = (2, 4, 5, 6), (2, 5, 4)


class Readers(nn.Module):
    """Layers ``a``, ``b``, ... of one value, each with an activation of its own."""

    def __init__(self, *layers):
        super().__init__()
        self.order = "abcdef"[: len(layers)]
        for name, layer in zip(self.order, layers, strict=True):
            self.add_module(name, layer)

    def forward(self, x):
        x = x.tanh()
        return [getattr(self, name)(x).sigmoid() for name in self.order]


def conv(out, **options):
    return nn.Conv2d(4, out, 1, **options)


# Layers, input, how many are stacked.
CASES = {
    "two": (lambda: Readers(conv(6), conv(6)), MAP, 2),
    "three of several widths": (lambda: Readers(conv(6), conv(1), conv(8)), MAP, 3),
    "one without bias": (lambda: Readers(conv(6), conv(5, bias=False), conv(8)), MAP, 3),
    "none with bias": (lambda: Readers(conv(6, bias=False), conv(5, bias=False)), MAP, 2),
    "linear": (lambda: Readers(nn.Linear(4, 6), nn.Linear(4, 2), nn.Linear(4, 8)), TOKENS, 3),
    "linear, rank 2": (lambda: Readers(nn.Linear(4, 6), nn.Linear(4, 2)), (3, 4), 2),
    "linear, rank 4": (lambda: Readers(nn.Linear(4, 6, bias=False), nn.Linear(4, 2)), (1, 3, 3, 4), 2),
}
EACH_CASE = pytest.mark.parametrize("name", CASES)


def case(name, dtype=torch.float32):
    make, shape, _ = CASES[name]
    return filled(make(), dtype), noise(*shape, dtype=dtype)


def projections(program):
    return count(program, CONV) + count(program, LINEAR)


@EACH_RULE
@EACH_CASE
def test_fires_once_for_the_group(rule, name):
    model, x = case(name)
    done = rewrite(rule, model, x)
    assert done.report.sites == ("a",)
    assert done.report.skips == ()
    assert (projections(done.before), projections(done.after)) == (CASES[name][2], 1)
    assert count(done.after, SPLIT) == (not rule.sliced)
    assert count(done.after, SLICE) == (CASES[name][2] if rule.sliced else 0)


@EACH_RULE
@EACH_CASE
@PRECISIONS
def test_same_numbers(rule, name, dtype, tolerance):
    model, x = case(name, dtype)
    done = rewrite(rule, model, x)
    assert done.report.sites
    assert done.report.max_error <= tolerance
    assert_same_numbers(done, noise(*x.shape, dtype=dtype, seed=1), tolerance=tolerance)


@EACH_RULE
@EACH_CASE
def test_second_run_changes_nothing(rule, name):
    model, x = case(name)
    assert_settled(rule, rewrite(rule, model, x), x)


@EACH_RULE
@EACH_CASE
def test_names_shapes_dtypes_unchanged(rule, name):
    model, x = case(name)
    done = rewrite(rule, model, x)
    assert done.report.sites
    assert interface(done.after) == interface(done.before)


def test_weights_are_stacked_in_the_order_of_the_program_under_the_name_of_their_owner():
    class Owner(nn.Module):
        def __init__(self):
            super().__init__()
            self.attend = Readers(conv(3), conv(1, bias=False), conv(2))

        def forward(self, x):
            return self.attend(x)

    model = filled(Owner())
    done = rewrite(SPLIT_RULE, model, noise(*MAP))
    a, b, c = model.attend.a, model.attend.b, model.attend.c
    assert set(done.after.state_dict) == {"attend.weight", "attend.bias"}
    assert torch.equal(done.after.state_dict["attend.weight"], torch.cat([a.weight, b.weight, c.weight]))
    assert torch.equal(done.after.state_dict["attend.bias"], torch.cat([a.bias, torch.zeros(1), c.bias]))


def test_no_bias_stays_no_bias():
    model, x = case("none with bias")
    after = rewrite(SPLIT_RULE, model, x).after
    assert [tuple(value.shape) for value in after.state_dict.values()] == [(11, 4, 1, 1)]


@EACH_RULE
def test_one_group_for_each_value(rule):
    class TwoValues(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = Readers(conv(4), conv(4)), Readers(conv(4), conv(4), conv(4))

        def forward(self, x):
            y, z = self.first(x)
            return self.second(y + z)

    x = noise(*MAP)
    done = rewrite(rule, filled(TwoValues()), x)
    assert done.report.sites == ("first.a", "second.a")
    assert projections(done.after) == 2
    assert_settled(rule, done, x)
    assert_same_numbers(done, noise(*MAP, seed=1), tolerance=1e-5)


@EACH_RULE
def test_of_a_programs_own_input_and_for_its_outputs(rule):
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = conv(3), conv(2)

        def forward(self, x):
            return {"b": self.b(x), "a": self.a(x), "x": x.relu()}

    x = noise(*MAP)
    done = rewrite(rule, filled(Bare()), x)
    assert done.report.sites == ("b",)
    assert interface(done.after) == interface(done.before)
    assert_same_numbers(done, noise(*MAP, seed=1), tolerance=1e-5)


class Chain(nn.Module):
    """Every value is read by one projection."""

    def __init__(self):
        super().__init__()
        self.a, self.b = conv(4), conv(4)

    def forward(self, x):
        x = self.a(x)
        return self.b(x) + x


class WeightIsTheValue(nn.Module):
    """The value is the input of one convolution and the weight of another."""

    def __init__(self):
        super().__init__()
        self.a, self.other = nn.Conv2d(4, 4, 1), nn.Parameter(torch.zeros(1, 4, 8, 8))

    def forward(self, x):
        return self.a(x), F.conv2d(self.other, x)


@pytest.mark.parametrize(
    ("model", "shape"),
    [(Chain(), MAP), (WeightIsTheValue(), (3, 4, 1, 1)), (Readers(conv(4), nn.ConvTranspose2d(4, 4, 1)), MAP)],
    ids=["one reader each", "a weight", "transposed"],
)
def test_leaves_others_alone(model, shape):
    done = rewrite(SPLIT_RULE, filled(model), noise(*shape))
    assert_untouched(done)
    assert done.report.skips == ()


class Computed(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.raw = conv(4), nn.Parameter(torch.zeros(4, 4, 1, 1))

    def forward(self, x):
        return self.a(x), F.conv2d(x, self.raw.tanh())


class Shared(nn.Module):
    """One layer for two values, and a layer beside it."""

    def __init__(self):
        super().__init__()
        self.a, self.b = conv(4), conv(4)

    def forward(self, x):
        return self.a(x) + self.b(x), self.a(x.tanh())


class Twice(Shared):
    """One layer, read twice, of one value."""

    def forward(self, x):
        return self.a(x) + 1.0, self.a(x).tanh()


@pytest.mark.parametrize(
    ("model", "shape", "reasons"),
    [
        (Readers(conv(4), nn.Conv2d(4, 4, 3)), MAP, [("a.weight", "no other projection"), ("b.weight", "no plain 1x1")]),
        (Readers(conv(4), conv(4, stride=2)), MAP, [("a.weight", "no other projection"), ("b.weight", "no plain 1x1")]),
        (Readers(conv(4), conv(4, padding=1)), MAP, [("a.weight", "no other projection"), ("b.weight", "no plain 1x1")]),
        (Readers(conv(4), conv(4, groups=2)), MAP, [("a.weight", "no other projection"), ("b.weight", "no plain 1x1")]),
        (Readers(conv(3), nn.Linear(4, 3)), (2, 4, 5, 4), [("a.weight", "no other projection"), ("b.weight", "no other projection")]),
        (Computed(), MAP, [("a.weight", "no other projection"), ("weight", "computed while the model runs")]),
        (Shared(), MAP, [("a.weight", "another layer"), ("b.weight", "no other projection")]),
        (Twice(), MAP, [("a.weight", "another layer"), ("a.weight", "store it twice")]),
    ],
    ids=["3x3", "strided", "padded", "grouped", "linear beside conv", "computed", "shared", "one layer twice"],
)
def test_refusals(model, shape, reasons):
    done = rewrite(SPLIT_RULE, filled(model), noise(*shape))
    assert_untouched(done)
    assert len(done.reasons) == len(reasons)
    for reason, words in zip(done.reasons, reasons, strict=True):
        for word in words:
            assert word in reason


@EACH_RULE
def test_the_others_of_a_group_are_stacked_beside_a_refused_one(rule):
    x = noise(*MAP)
    done = rewrite(rule, filled(Readers(nn.Conv2d(4, 4, 3), conv(4), conv(6))), x)
    assert done.report.sites == ("b",)
    (reason,) = done.reasons
    assert "a.weight is no plain 1x1 convolution" in reason
    assert projections(done.after) == 2
    assert_settled(rule, done, x)
    assert_same_numbers(done, noise(*MAP, seed=1), tolerance=1e-5)
