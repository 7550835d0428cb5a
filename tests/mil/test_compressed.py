"""Compressed weights against what Core ML Tools itself unpacks them to."""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from building import computed

from edgekit.mil.interpreter import Interpreter
from edgekit.mil.program import read_program
from edgekit.quiet import quiet
from edgekit.targets.coreml.package import read_package
from edgekit.targets.coreml.toolbox import coremltools

X = np.random.default_rng(0).standard_normal((2, 8, 5, 5)).astype(np.float32)


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(8, 16, 3)
        self.linear = torch.nn.Linear(144, 32)

    def forward(self, x):
        return self.linear(self.conv(x).flatten(1))


@cache
def small(ios):
    ct = coremltools()
    with quiet():
        return ct.convert(
            torch.jit.trace(Small().eval(), torch.from_numpy(X)),
            inputs=[ct.TensorType("x", X.shape)],
            outputs=[ct.TensorType("y")],
            convert_to="mlprogram",
            minimum_deployment_target=getattr(ct.target, f"iOS{ios}"),
            compute_precision=ct.precision.FLOAT32,
            skip_model_load=True,
        )


def read(model):
    with quiet(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.mlpackage"
        model.save(str(path))
        package = read_package(path)
        return read_program(package.spec.mlProgram, package.spec_path.parent)


def weights_and_result(program):
    """Return the two weight matrices by shape, as the program computes them, and its result."""
    seen, kinds = {}, []

    def observe(operator, results):
        kinds.append(operator.kind)
        seen.update({tuple(value.shape): value for value in results if value.ndim in (2, 4) and operator.kind.startswith("constexpr_")})

    interpreter = Interpreter(program)
    result = interpreter.run("main", {"x": torch.from_numpy(X)}, observe=observe)["y"]
    again = interpreter.run("main", {"x": torch.from_numpy(X)})["y"]
    assert torch.equal(result, again)
    constants = {tuple(op.attributes["val"].shape): op.attributes["val"] for op in program.functions["main"].block.operators if is_weight(op)}
    shapes = [(16, 8, 3, 3), (32, 144)]
    return [seen.get(shape, constants.get(shape)) for shape in shapes], result, {kind for kind in kinds if kind.startswith("constexpr_")}


def is_weight(operator):
    return operator.kind == "const" and isinstance(operator.attributes["val"], torch.Tensor) and operator.attributes["val"].ndim in (2, 4)


def configured(kind, **options):
    optimize = coremltools().optimize.coreml
    return optimize.OptimizationConfig(getattr(optimize, kind)(weight_threshold=16, **options))


def quantized(model, *, joint=False, **options):
    return coremltools().optimize.coreml.linear_quantize_weights(model, configured("OpLinearQuantizerConfig", **options), joint_compression=joint)


def palettized(model, *, joint=False, **options):
    config = configured("OpPalettizerConfig", mode="kmeans", **options)
    return coremltools().optimize.coreml.palettize_weights(model, config, joint_compression=joint)


def pruned(model):
    config = configured("OpMagnitudePrunerConfig", target_sparsity=0.6)
    return coremltools().optimize.coreml.prune_weights(model, config)


SHIFT, PALETTE, SPARSE = "constexpr_blockwise_shift_scale", "constexpr_lut_to_dense", "constexpr_sparse_to_dense"
CASES = {
    "int8 channels, iOS 16": (16, lambda m: quantized(m, mode="linear"), {"constexpr_affine_dequantize"}),
    "uint8 tensor, iOS 16": (16, lambda m: quantized(m, mode="linear", dtype="uint8", granularity="per_tensor"), {"constexpr_affine_dequantize"}),
    "palette of 6 bits, iOS 16": (16, lambda m: palettized(m, nbits=6), {PALETTE}),
    "palette of 1 bit, iOS 16": (16, lambda m: palettized(m, nbits=1), {PALETTE}),
    "sparse, iOS 16": (16, pruned, {SPARSE}),
    "int8 symmetric": (18, lambda m: quantized(m, mode="linear_symmetric"), {SHIFT}),
    "int4 blocks": (18, lambda m: quantized(m, mode="linear", dtype="int4", granularity="per_block", block_size=4), {SHIFT}),
    "uint4 blocks": (18, lambda m: quantized(m, mode="linear", dtype="uint4", granularity="per_block", block_size=2), {SHIFT}),
    **{f"palette of {bits} bits": (18, lambda m, bits=bits: palettized(m, nbits=bits), {PALETTE}) for bits in (1, 2, 3, 4, 6, 8)},
    "palettes of groups": (18, lambda m: palettized(m, nbits=3, granularity="per_grouped_channel", group_size=4), {PALETTE}),
    "palette of vectors": (18, lambda m: palettized(m, nbits=2, cluster_dim=2), {PALETTE}),
    "palette with scales": (18, lambda m: palettized(m, nbits=4, enable_per_channel_scale=True), {PALETTE, SHIFT}),
    "sparse": (18, pruned, {SPARSE}),
    "sparse palette": (18, lambda m: palettized(pruned(m), nbits=3, joint=True), {SPARSE, "constexpr_lut_to_sparse"}),
    "sparse int8": (18, lambda m: quantized(pruned(m), joint=True), {SPARSE, "constexpr_sparse_blockwise_shift_scale"}),
    "quantized palette": (18, lambda m: quantized(palettized(m, nbits=4), joint=True, granularity="per_tensor"), {PALETTE, SHIFT}),
}


@pytest.mark.parametrize("case", CASES)
def test_weights_are_those_that_core_ml_tools_unpacks(case):
    ios, compress, expected_kinds = CASES[case]
    with quiet():
        model = compress(small(ios))
        plain = coremltools().optimize.coreml.decompress_weights(model)
    weights, result, kinds = weights_and_result(read(model))
    unpacked, wanted, none = weights_and_result(read(plain))
    assert (kinds, none) == (expected_kinds, set())
    for weight, other in zip(weights, unpacked, strict=True):
        torch.testing.assert_close(weight, other, rtol=0, atol=1e-7)
        assert not torch.equal(weight, torch.zeros_like(weight))
    torch.testing.assert_close(result, wanted, rtol=0, atol=1e-5)


def test_unpacked_weights_are_kept_between_calls_and_not_between_interpreters():
    with quiet():
        program = read(palettized(small(18), nbits=4))
    seen = []

    def observe(operator, results):
        if operator.kind == PALETTE:
            seen.append(results[0])

    interpreter = Interpreter(program)
    for used in (interpreter, interpreter, Interpreter(program)):
        used.run("main", {"x": torch.from_numpy(X)}, observe=observe)
    first, second, other = seen[:2], seen[2:4], seen[4:]
    assert [a is b for a, b in zip(first, second, strict=True)] == [True, True]
    assert [a is b for a, b in zip(first, other, strict=True)] == [False, False]


def test_the_examples_of_the_reference():
    """From the docstrings of iOS 18's ``constexpr_`` operators."""
    from coremltools.converters.mil.mil import types

    def kind(values, name):
        return np.array(values).astype(types.nptype_from_builtin(getattr(types, name)))

    mask = [[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 1], [0, 1, 1, 0, 1, 0], [0, 0, 0, 1, 0, 0]]
    small_mask = [[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1], [1, 1, 0, 0]]
    vectors = [[0, 1, 2], [10, 11, 12]]

    def build(mb, x):
        group = mb.constexpr_lut_to_dense(
            indices=kind([[2, 3], [3, 0], [1, 0], [3, 0], [2, 1], [0, 3]], "uint2"),
            lut=np.array([1, 5, 9, 13, 2, 10, 18, 26], np.float32).reshape(2, 1, 4, 1),
        )
        indices = kind([[[0, 0], [1, 0]], [[1, 1], [0, 0]]], "uint1")
        lut = np.array(vectors, np.float32).reshape(1, 1, 1, 2, 3)
        along = [mb.constexpr_lut_to_dense(indices=indices, lut=lut, vector_axis=axis) for axis in (1, 2)]
        palette = {"indices_mask": kind(mask, "uint1"), "indices_nonzero_data": kind([0, 1, 1, 0, 1, 1, 0, 0, 1], "uint1")}
        scalar = mb.constexpr_lut_to_sparse(**palette, lut=np.array([2, 3], np.float32).reshape(1, 1, 2, 1))
        vector = mb.constexpr_lut_to_sparse(**palette, lut=np.array([2, 2, 3, 3], np.float32).reshape(1, 1, 2, 2), vector_axis=np.int32(0))
        scaled = mb.constexpr_sparse_blockwise_shift_scale(
            data_mask=kind(small_mask, "uint1"),
            nonzero_data=np.array([10, 11, 3, 4, 5, 6, 7, 8, 9], np.int8),
            scale=np.array([[0.1, 0.2, 0.3, 0.4]], np.float32),
            offset=np.array([[1, 2, 3, 4]], np.int8),
        )
        dense = [mb.constexpr_sparse_to_dense(nonzero_data=data, mask=where) for where, data in (scalar, vector, scaled)]
        return tuple(mb.identity(x=value) for value in (group, *along, *dense))

    group, first, last, scalar, vector, scaled = computed(build, {"x": X}, ios=18)
    np.testing.assert_array_equal(group, [[9, 13], [13, 1], [5, 1], [26, 2], [18, 10], [2, 26]])
    a, b = vectors
    np.testing.assert_array_equal(first[0].T, [a + b, a + a])
    np.testing.assert_array_equal(last, [[a + a, b + a], [b + b, a + a]])
    dense = np.array([[2, 3, 0, 0, 0, 0], [3, 2, 0, 0, 0, 3], [0, 3, 2, 0, 2, 0], [0, 0, 0, 3, 0, 0]])
    np.testing.assert_array_equal(scalar, dense)
    np.testing.assert_array_equal(vector, dense.repeat(2, axis=0))
    np.testing.assert_allclose(scaled, [[0.9, 1.8, 0, 0], [0.2, 0.4, 0.6, 0], [0, 0, 0.9, 1.2], [0.7, 1.4, 0, 0]], atol=1e-6)


@pytest.mark.parametrize("ios", [16, 18])
def test_constexpr_cast(ios):
    values = np.array([1, -2.5, 0.333], np.float16)
    (got,) = computed(lambda mb, x: mb.identity(x=mb.constexpr_cast(source_val=values, output_dtype="fp32")), {"x": X}, ios=ios)
    np.testing.assert_array_equal(got, values.astype(np.float32))


def test_values_that_do_not_fit_their_mask_are_an_error():
    from edgekit.mil.operators.compressed import OPERATORS

    with pytest.raises(ValueError, match="3 values for a mask with 2 places"):
        OPERATORS["constexpr_sparse_to_dense"](nonzero_data=torch.ones(3), mask=torch.tensor([1, 0, 1]))


def test_an_index_behind_its_palette_is_an_error():
    from edgekit.mil.operators.compressed import OPERATORS

    lut = torch.arange(8.0).reshape(2, 1, 4, 1)
    look_up = OPERATORS["constexpr_lut_to_dense"]
    torch.testing.assert_close(look_up(indices=torch.tensor([[3], [3]], dtype=torch.uint8), lut=lut), torch.tensor([[3.0], [7.0]]))
    with pytest.raises(ValueError, match="index 5 into a palette of 4"):
        look_up(indices=torch.tensor([[5], [0]], dtype=torch.uint8), lut=lut)


def test_packed_indices_that_are_too_few_are_an_error():
    from edgekit.mil.operators.compressed import OPERATORS

    packed = torch.tensor([0b00011011], dtype=torch.uint8)
    look_up = OPERATORS["constexpr_lut_to_dense"]
    found = look_up(indices=packed, lut=torch.tensor([0.0, 1.0, 2.0, 3.0]), shape=torch.tensor([2, 2]))
    torch.testing.assert_close(found, torch.tensor([[3.0, 2.0], [1.0, 0.0]]))  # the first lies in the lowest bits
    with pytest.raises(ValueError, match="reshape"):
        look_up(indices=packed, lut=torch.tensor([0.0, 1.0, 2.0, 3.0]), shape=torch.tensor([2, 4]))
