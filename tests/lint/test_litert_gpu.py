"""Each rule of LiteRT's GPU delegate: a graph that breaks it, and one that keeps it."""

import pytest

from edgekit.lint.litert_gpu import RULES
from edgekit.targets.tflite.graph import Tensor, TfliteGraph, TfliteOperator


def hits(rule, *operators):
    (check,) = [row.check for row in RULES if row.id == rule]
    return list(check(TfliteGraph(method="forward", operators=operators)))


def value(*shape, dtype="float32", name="stage.0.conv;2"):
    return Tensor(name=name, dtype=dtype, shape=shape, stored=False)


def stored(*shape, dtype="int32"):
    return Tensor(name="arith.constant", dtype=dtype, shape=shape, stored=True)


def operator(kind, *operands, result=None):
    return TfliteOperator(kind=kind, operands=operands, results=(result or value(1, 8, 8, 16),))


IMAGE = value(1, 8, 8, 16)
ROWS = value(1, 64, 16)
BREAKS = [
    ("gpu-rank", operator("RESHAPE", IMAGE, stored(5), result=value(1, 2, 4, 8, 16)), "rank 5"),
    ("gpu-rank", operator("ADD", IMAGE, stored(1, 1, 1, 1, 16)), "rank 5"),  # stored ones count: the delegate looks at all
    ("gpu-operator", operator("ARG_MAX", IMAGE, stored()), "no ARG_MAX"),
    ("gpu-operator", operator("FlexErf", IMAGE), "no FlexErf"),
    ("gpu-dtype", operator("ADD", value(1, dtype="int32"), value(1, dtype="int32"), result=value(1, dtype="int32")), "int32[1]"),
    ("gpu-dtype", operator("CAST", value(1, dtype="int64")), "int64[1]"),
    ("gpu-static-shapes", operator("ADD", value(None, 16), value(None, 16), result=value(None, 16)), "[?, 16]"),
    ("gpu-form", operator("SLICE", value(64, 16), stored(2), stored(2)), "not three or four axes"),
    ("gpu-form", operator("PAD", value(64, 16), stored(2, 2)), "not three or four axes"),
    ("gpu-form", operator("MEAN", IMAGE, value(2, dtype="int32")), "not stored as int32"),
    ("gpu-form", operator("GATHER", IMAGE, stored(2, 2)), "not one axis"),
    ("gpu-form", operator("SELECT_V2", value(1, 8, 8, 16, dtype="bool"), value(16), IMAGE), "is broadcast"),
    ("gpu-form", operator("MUL", ROWS, value(64, 16)), "with float32[64, 16]"),
    ("gpu-batch", operator("RESHAPE", IMAGE, stored(3), result=value(4, 16, 16)), "a batch of 4 where the input has 1"),
]
KEEPS = [
    ("gpu-rank", operator("RESHAPE", IMAGE, stored(4))),
    ("gpu-operator", operator("CONV_2D", IMAGE, stored(16, 1, 1, 16, dtype="float32"))),
    ("gpu-dtype", operator("CAST", value(1, dtype="int32"))),
    ("gpu-dtype", operator("LESS", IMAGE, IMAGE, result=value(1, 8, 8, 16, dtype="bool"))),
    ("gpu-dtype", operator("RESHAPE", IMAGE, stored(4))),  # stored integers are its arguments
    ("gpu-dtype", operator("ARG_MAX", IMAGE, stored(), result=value(1, dtype="int64"))),  # gpu-operator has it
    ("gpu-static-shapes", operator("ADD", IMAGE, IMAGE)),
    ("gpu-form", operator("SLICE", ROWS, stored(3), stored(3), result=ROWS)),
    ("gpu-form", operator("PAD", IMAGE, stored(4, 2))),
    ("gpu-form", operator("MEAN", IMAGE, stored(2))),
    ("gpu-form", operator("GATHER", IMAGE, stored(2))),
    ("gpu-form", operator("SELECT_V2", value(1, 8, 8, 16, dtype="bool"), value(1), IMAGE)),
    ("gpu-form", operator("ADD", IMAGE, value(1, 8, 16))),
    ("gpu-form", operator("ADD", IMAGE, value(16))),
    ("gpu-form", operator("ADD", IMAGE, value(1, 16))),
    ("gpu-form", operator("TANH", IMAGE)),
    ("gpu-form", operator("CONV_2D", IMAGE, stored(16, 1, 1, 16), None)),
    ("gpu-batch", operator("RESHAPE", IMAGE, stored(3), result=ROWS)),
]


@pytest.mark.parametrize(("rule", "broken", "problem"), BREAKS)
def test_broken(rule, broken, problem):
    (hit,) = hits(rule, broken)
    assert problem in hit.problem
    assert (hit.method, hit.operator, hit.name, hit.module, hit.node) == ("forward", broken.kind, "stage.0.conv;2", "stage.0.conv", None)


@pytest.mark.parametrize(("rule", "kept"), KEEPS)
def test_kept(rule, kept):
    assert hits(rule, kept) == []


def test_every_rule_is_tested_both_ways():
    assert {rule.id for rule in RULES} == {rule for rule, *_ in BREAKS} == {rule for rule, *_ in KEEPS}
    assert all(rule.source.startswith("https://github.com/google-ai-edge/LiteRT/") for rule in RULES)


def test_an_operator_that_leaves_an_operand_out():
    assert [hits(rule.id, operator("FULLY_CONNECTED", value(1, 16), stored(5, 16, dtype="float32"), None, result=value(1, 5))) for rule in RULES] == [
        []
    ] * len(RULES)


def test_an_output_answers_to_its_own_name_and_a_hint_fits_the_operator():
    (hit,) = hits("gpu-operator", operator("ARG_MAX", IMAGE, stored(), result=value(1, dtype="int32", name="winner")))
    assert (hit.node, hit.module) == ("winner", None)
    assert "return the logits" in hit.hint
