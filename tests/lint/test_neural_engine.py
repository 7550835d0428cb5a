"""Each of the Neural Engine's rules: a program that breaks it, and one that keeps it."""

import attrs
import numpy as np
import pytest
from mil.building import saved_program

from edgekit.lint.mil_graph import graphs_of
from edgekit.lint.neural_engine import RULES
from edgekit.mil.program import Block, Function, Operator, Output, Program
from edgekit.mil.types import TensorType

IMAGE = {"x": np.zeros((1, 4, 8, 64), np.float32)}
ROWS = {"x": np.zeros((1, 4, 64), np.float32)}


def hits(rule, program):
    (check,) = [row.check for row in RULES if row.id == rule]
    return [hit for graph in graphs_of(program) for hit in check(graph)]


def half(build, inputs=IMAGE):
    """Return a program whose inputs are in half precision."""
    return saved_program(build, inputs, half=True)


def conv(mb, x, size=1, **options):
    """Convolve 4 channels of ``x`` to 4."""
    return mb.conv(x=x, weight=np.ones((4, 4, size, size), np.float16), **options)


def norm_by_hand(mb, x):
    centred = mb.sub(x=x, y=mb.reduce_mean(x=x, axes=[1], keep_dims=True))
    variance = mb.reduce_mean(x=mb.mul(x=centred, y=centred), axes=[1], keep_dims=True)
    return mb.mul(x=centred, y=mb.rsqrt(x=mb.add(x=variance, y=np.float16(1e-3)), epsilon=np.float16(1e-5)))


def layer_norm(mb, x):
    return mb.layer_norm(x=x, axes=[1], epsilon=np.float16(1e-5))


def island(mb, x):
    return mb.relu(x=mb.cast(x=mb.sin(x=mb.cast(x=mb.relu(x=x), dtype="fp32")), dtype="fp16"))


BREAKS = {  # rule: operators that break it, the program, its inputs
    "ane-linear": (["linear"], lambda mb, x: mb.linear(x=x, weight=np.ones((8, 64), np.float16)), ROWS),
    "ane-infinite-mask": (["add"], lambda mb, x: mb.softmax(x=mb.add(x=x, y=np.full((8, 64), -np.inf, np.float16)), axis=1), IMAGE),
    "ane-indices": (["reduce_argmax"], lambda mb, x: mb.reduce_argmax(x=x, axis=1), IMAGE),
    "ane-upcast": (["silu", "tanh", "exp"], lambda mb, x: mb.exp(x=mb.tanh(x=mb.silu(x=x))), IMAGE),
    "ane-cast": (["cast", "cast"], island, IMAGE),
    "ane-singleton-last-axis": (["transpose"], lambda mb, x: mb.transpose(x=mb.reduce_sum(x=x, axes=[1], keep_dims=True), perm=[0, 2, 1]), ROWS),
    "ane-narrow-last-axis": (["reshape", "relu"], lambda mb, x: mb.relu(x=mb.reshape(x=x, shape=[1, 4, 32, 16])), IMAGE),
    "ane-move": (["transpose", "reshape"], lambda mb, x: mb.reshape(x=mb.transpose(x=x, perm=[0, 1, 3, 2]), shape=[1, 4, 512]), IMAGE),
    "ane-decomposed-norm": (["rsqrt"], norm_by_hand, IMAGE),
    "ane-softmax-axis": (["softmax"], lambda mb, x: mb.softmax(x=x, axis=-1), IMAGE),
    "ane-stride": (["conv"], lambda mb, x: conv(mb, x, strides=[5, 5]), IMAGE),
    "ane-dilation": (["conv"], lambda mb, x: conv(mb, x, 2, dilations=[4, 4]), IMAGE),
    "ane-large-kernel": (["conv"], lambda mb, x: conv(mb, x, 9, pad_type="same"), IMAGE),
    "ane-pool-stride": (["max_pool"], lambda mb, x: mb.max_pool(x=x, kernel_sizes=[3, 3], strides=[3, 3], pad_type="valid"), IMAGE),
    "ane-interface-alignment": (["output"], lambda mb, x: mb.slice_by_size(x=x, begin=[0, 0, 0], size=[1, 4, 40]), ROWS),
}

KEEPS = {
    "ane-linear": (conv, IMAGE),
    "ane-infinite-mask": (lambda mb, x: mb.softmax(x=mb.add(x=x, y=np.full((8, 64), -40000, np.float16)), axis=1), IMAGE),
    "ane-indices": (lambda mb, x: mb.reduce_max(x=mb.gather(x=x, indices=[0, 1], axis=1), axes=[1]), IMAGE),
    "ane-upcast": (lambda mb, x: mb.gelu(x=mb.sigmoid(x=x)), IMAGE),
    "ane-cast": (lambda mb, x: mb.cast(x=mb.relu(x=x), dtype="fp32"), IMAGE),
    "ane-singleton-last-axis": (lambda mb, x: mb.reduce_sum(x=x, axes=[1], keep_dims=True), ROWS),
    "ane-narrow-last-axis": (lambda mb, x: mb.relu(x=mb.reshape(x=x, shape=[1, 4, 16, 32])), IMAGE),
    "ane-move": (lambda mb, x: mb.reshape(x=mb.transpose(x=x, perm=[0, 2, 1, 3]), shape=[1, 32, 64]), IMAGE),
    "ane-decomposed-norm": (lambda mb, x: mb.sqrt(x=mb.relu(x=layer_norm(mb, x))), IMAGE),
    "ane-softmax-axis": (lambda mb, x: mb.softmax(x=x, axis=-3), IMAGE),
    "ane-stride": (lambda mb, x: conv(mb, conv(mb, x, strides=[2, 4]), strides=[6, 6]), {"x": np.zeros((1, 4, 64, 64), np.float32)}),
    "ane-dilation": (lambda mb, x: conv(mb, x, 2, dilations=[2, 3]), IMAGE),
    "ane-large-kernel": (lambda mb, x: conv(mb, x, 5, pad_type="same"), IMAGE),
    "ane-pool-stride": (lambda mb, x: mb.max_pool(x=x, kernel_sizes=[3, 3], strides=[2, 4], pad_type="valid"), IMAGE),
    "ane-interface-alignment": (lambda mb, x: mb.slice_by_size(x=x, begin=[0, 0, 0], size=[1, 4, 32]), ROWS),
    "ane-dtype": (lambda mb, x: mb.relu(x=x), IMAGE),
    "ane-rank": (lambda mb, x: mb.reshape(x=x, shape=[1, 2, 2, 8, 64]), IMAGE),
    "ane-static-shapes": (lambda mb, x: mb.relu(x=x), IMAGE),
}


@pytest.mark.parametrize("rule", BREAKS)
def test_broken(rule):
    operators, build, inputs = BREAKS[rule]
    found = hits(rule, half(build, inputs))
    assert [hit.operator for hit in found] == operators
    assert all(hit.problem and hit.name for hit in found)


@pytest.mark.parametrize("rule", KEEPS)
def test_kept(rule):
    build, inputs = KEEPS[rule]
    assert hits(rule, half(build, inputs)) == []


def test_every_rule_is_tested_both_ways():
    apart = {"ane-dtype", "ane-rank", "ane-static-shapes"}  # below: programs that Core ML Tools would not write, or writes otherwise
    assert {rule.id for rule in RULES} == KEEPS.keys() == BREAKS.keys() | apart


def test_rules_are_complete_rows():
    for rule in RULES:
        assert rule.source.startswith("https://github.com/apple/")
        assert rule.verified == "2026-11-21"
        assert rule.statement
        assert rule.hint
    assert len({rule.id for rule in RULES}) == len(RULES)


def test_a_program_in_single_precision_leaves_the_engine_everywhere():
    found = hits("ane-dtype", saved_program(lambda mb, x: mb.relu(x=mb.abs(x=x)), IMAGE))
    assert [(hit.operator, hit.problem) for hit in found] == [("abs", "computes in fp32"), ("relu", "computes in fp32")]


def one_operator(*types):
    """Return a program of one operator with these results."""
    outputs = tuple(Output(name=f"y{position}", type=type_) for position, type_ in enumerate(types))
    operator = Operator(kind="op", name="y", arguments={}, outputs=outputs)
    block = Block(inputs=(), operators=(operator,), outputs=("y0",))
    return Program(functions={"main": Function(name="main", inputs=(), block=block, opset="CoreML7")})


def test_rank_six():
    assert hits("ane-rank", one_operator(TensorType("fp16", (1,) * 5))) == []
    (hit,) = hits("ane-rank", one_operator(TensorType("fp16", (1,) * 6), TensorType("fp16", (1,) * 7)))  # once an operator
    assert "rank 6" in hit.problem


def test_a_size_known_at_run_time_only():
    (hit,) = hits("ane-static-shapes", one_operator(TensorType("fp16", (None, 32))))
    assert "fp16[?, 32]" in hit.problem


def test_operators_inside_branches_are_seen():
    program = one_operator(TensorType("fp32", (32,)))
    function = program.functions["main"]
    outer = attrs.evolve(function.block.operators[0], kind="cond", blocks=(function.block,), outputs=())
    program = Program(functions={"main": attrs.evolve(function, block=Block(inputs=(), operators=(outer,), outputs=()))})
    assert [hit.operator for hit in hits("ane-dtype", program)] == ["op"]


def test_a_product_with_stored_weights_is_linear_and_one_of_two_values_is_not():
    weights = np.ones((64, 32), np.float16)
    assert [hit.operator for hit in hits("ane-linear", half(lambda mb, x: mb.matmul(x=x, y=weights), ROWS))] == ["matmul"]
    assert hits("ane-linear", half(lambda mb, x: mb.matmul(x=x, y=x, transpose_y=True), ROWS)) == []


def test_selecting_by_computed_indices():
    def build(mb, x):
        values, places = mb.topk(x=x, k=2, axis=1)
        del values
        return mb.gather_along_axis(x=x, indices=places, axis=1)

    assert [hit.operator for hit in hits("ane-indices", half(build))] == ["topk", "gather_along_axis"]


def test_unequal_large_strides_and_dilations_that_cannot_be_factored():
    image = {"x": np.zeros((1, 4, 64, 64), np.float32)}
    (hit,) = hits("ane-stride", half(lambda mb, x: conv(mb, x, strides=[4, 6]), image))
    assert "not equal" in hit.problem
    (hit,) = hits("ane-dilation", half(lambda mb, x: conv(mb, x, 2, dilations=[5, 5]), image))
    assert "another prime factor" in hit.problem
    assert hit.hint.startswith("choose a dilation")


def test_pooling_all_there_is_has_no_stride():
    assert hits("ane-pool-stride", half(lambda mb, x: mb.avg_pool(x=x, kernel_sizes=[8, 64], strides=[8, 64], pad_type="valid"))) == []


def test_no_bound_is_no_mask():
    assert hits("ane-infinite-mask", half(lambda mb, x: mb.clip(x=x, alpha=np.float16(-np.inf), beta=np.float16(1)))) == []


def test_a_root_that_is_no_norm():
    assert hits("ane-decomposed-norm", half(lambda mb, x: mb.rsqrt(x=mb.relu(x=x), epsilon=np.float16(1e-3)))) == []
    found = hits("ane-decomposed-norm", half(lambda mb, x: mb.pow(x=mb.reduce_mean(x=x, axes=[1]), y=np.float16(-0.5))))
    assert [hit.operator for hit in found] == ["pow"]


def test_casts_at_the_border_are_the_interface():
    def build(mb, x):
        return mb.cast(x=mb.relu(x=mb.cast(x=x, dtype="fp16")), dtype="fp32")

    program = saved_program(build, IMAGE)
    assert hits("ane-cast", program) == []
    assert hits("ane-dtype", program) == []


def test_a_result_that_became_the_output_answers_to_its_name():
    (hit,) = hits("ane-linear", half(lambda mb, x: mb.cast(x=mb.linear(x=x, weight=np.ones((8, 64), np.float16)), dtype="fp32", name="logits"), ROWS))
    assert hit.node == "logits"
