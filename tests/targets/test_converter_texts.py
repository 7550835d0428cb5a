"""What converters and runtimes said, word for word, of modules that were given to them, and what edgekit makes of it."""

import re

import pytest
import torch
from torch import nn

from edgekit.capture import capture
from edgekit.explanations import explanation
from edgekit.targets.blame import blame
from edgekit.targets.failure import in_words
from edgekit.targets.texts import CONVERTER_TEXTS, OPERATOR_HINTS

COREAI = "The exported program contains unsupported ATen ops: {}. Use register_torch_lowering() to provide a custom lowering for these ops."
ONNX = "No ONNX function found for <OpOverload(op='{}', overload='default')>. Failure message: No decompositions registered for the real-valued input"
LITERT_KERNEL = "Didn't find op for builtin opcode 'STABLEHLO_SORT' version '1'. An older version of this builtin might be supported."
LITERT_SCATTER = (
    "Only update, Add, Multiply, Maximum and Minimum operations are currently supported for stablehlo.scatter.Node number 12 failed to prepare."
)
EXECUTORCH = "ExecuTorch's runtime has no kernel {}, and the delegate did not take it"

SAID = {
    # Core ML Tools
    "NotImplementedError: Unsupported fx node sort, kind sort.stable": ("no conversion of sort.stable", None),
    "NotImplementedError: Unsupported fx node linalg_svd, kind linalg_svd": ("matrices are not decomposed", "linalg_svd"),
    "NotImplementedError: Unsupported fx node linalg_cholesky, kind linalg_cholesky": ("matrices are not factorised", "linalg_cholesky"),
    "NotImplementedError: For non-const input, the lowering for Torch `linalg_inv` op is not supported": (
        "linalg_inv of constants only",
        "linalg_inv",
    ),
    "NotImplementedError: Unsupported fx node cummax, kind cummax": ("goes on from value to value", "cummax"),
    "NotImplementedError: Unsupported fx node embedding_bag, kind embedding_bag.padding_idx": ("sums rows of a table", "embedding_bag"),
    "NotImplementedError: Unsupported fx node rshift, kind __rshift__": ("bits of whole numbers", "__rshift__"),
    "NotImplementedError: Unsupported fx node lgamma, kind lgamma": ("special function", "lgamma"),
    "NotImplementedError: Unsupported fx node upsample_trilinear3d, kind upsample_trilinear3d.vec": ("volumes", "upsample_trilinear3d"),
    "NotImplementedError: Unsupported fx node _upsample_bicubic2d_aa, kind _upsample_bicubic2d_aa": ("antialiased", "_upsample_bicubic2d_aa"),
    'ValueError: Core ML only supports tensors with rank <= 5. Layer "view", with type "reshape", outputs a rank 7 tensor. ': (
        "rank 5 at most, and this has 7",
        None,
    ),
    "ValueError: Only supports stride >= kernel_size for col2im (fold).": ("only if they do not overlap", None),
    "ValueError: node max_pool3d (max_pool3d) got 2 input(s), expected minimum 3 inputs": ("max_pool3d with 3 arguments", "max_pool3d"),
    "ValueError: node rms_norm (rms_norm) got 3 input(s), expected [4]": ("rms_norm with 4 arguments", None),
    'ValueError: input "x" to the "resample" op must be a rank 4 tensor. Got rank 5 tensor of shape (1, 1, 4, 4, 4)': (
        "takes tensors of rank 4",
        None,
    ),
    "ValueError: Pad mode should be one of {'constant', 'reflect', 'replicate'}": ("not round", None),
    "KeyError: torch.bfloat16": ("Core ML has no bfloat16", None),
    # Core AI
    f"ValueError: {COREAI.format('aten.grid_sampler_2d.default')}": ("no aten.grid_sampler_2d.default", None),
    f"ValueError: {COREAI.format('aten._fft_c2c.default, aten._fft_r2c.default')}": ("complex numbers", "_fft_c2c"),
    f"ValueError: {COREAI.format('aten._pdist_forward.default')}": ("a kernel of its own", "pdist"),
    f"ValueError: {COREAI.format('aten.cumprod.default')}": ("goes on from value to value", "cumprod"),
    "ValueError: index_put with accumulate=True is not supported. The coreai dialect does not support this operation configuration.": (
        "adds nothing up",
        None,
    ),
    # LiteRT
    "RuntimeError: Lowering not found: aten.bucketize.Tensor": ("no conversion of aten.bucketize.Tensor", None),
    "RuntimeError: Lowering not found: aten.adaptive_max_pool2d.default": ("windows differ in size", "aten.adaptive_max_pool2d.default"),
    "RuntimeError: Lowering not found: aten.kthvalue.default": ("sorts or counts", "aten.kthvalue.default"),
    "NotImplementedError: FFT normalization != 0 is not yet implemented.": ("without a norm", None),
    'ValueError: Failed to run converter passes: <unknown>:0: error: loc("sort;"("argsort")): comparator block argument #2 should be of type '
    "'tensor<i32>' but got 'tensor<i64>'": ("a sort of two types", None),
    'ValueError: Failed to run converter passes: <unknown>:0: error: loc("unfold;"("unfold")): \'tfl.pad\' op failed to verify that operand 0 is '
    "at most 5-D": ("rank 5 at most", None),
    'ValueError: Failed to run converter passes: <unknown>:0: error: loc("einsum_4;"("einsum_4")): failed to legalize operation \'tfl.equal\' that '
    'was explicitly marked illegal: %87 = "tfl.equal"(%86, %0) : (tensor<16x1xui32>, tensor<16xui32>) -> tensor<16x16xi1>': (
        "no tfl.equal of tensor<16x1xui32>",
        None,
    ),
    "AssertionError: Number of input tokens (1) does not match output tokens (0)": ("has no checks", None),
    "RuntimeError: Unsupported ir element type: complex<f32>": ("no complex numbers", None),
    LITERT_SCATTER: ("adds nothing up", None),
    LITERT_KERNEL: ("no kernel for STABLEHLO_SORT", None),
    # torch.onnx
    f"ConversionError: {ONNX.format('aten._linalg_svd')}": ("matrices are not decomposed", "aten._linalg_svd.default"),
    f"ConversionError: {ONNX.format('aten.fractional_max_pool2d')}": ("no conversion of aten.fractional_max_pool2d.default", None),
    f"ConversionError: {ONNX.format('prims.erf_inv')}": ("special function", "prims.erf_inv.default"),
    # ExecuTorch
    EXECUTORCH.format("aten::sort.values"): ("no kernel aten::sort.values", None),
    EXECUTORCH.format("aten::avg_pool3d.out"): ("no kernel aten::avg_pool3d.out", None),
    "RuntimeError: amax.default only supports keep_dim == True": ("only if it keeps the axes", None),
    "[method.cpp:128] Init failed for backend XnnpackBackend: 0x1": ("refuses it when it is loaded", None),
    "RuntimeError: view_as_complex_copy does not support automatic differentiation for outputs with complex dtype.": ("complex numbers", None),
    # all
    "the converter wrote another interface: image float32 -> classes int32; asked for: image float32 -> classes int64": ("no 64-bit", None),
}


@pytest.mark.parametrize("said", SAID)
def test_it_is_put_into_words_with_something_to_try(said):
    part, operator = SAID[said]
    why, hint = in_words(said, operator)
    assert part in why
    assert "{" not in why
    assert hint


def test_an_unknown_text_is_shown_as_it_is():
    assert in_words("ValueError: nobody has seen this\nand more of it", None) == ("ValueError: nobody has seen this", None)


def test_every_row_has_a_text():
    operators = [operator for _, operator in SAID.values() if operator]
    assert {row.pattern for row in CONVERTER_TEXTS} == {explanation_row(text, CONVERTER_TEXTS) for text in SAID} - {None}
    assert {row.pattern for row in OPERATOR_HINTS} == {explanation_row(text, OPERATOR_HINTS) for text in operators} - {None}


def explanation_row(text, rows):
    found = explanation(text, rows)
    return None if found is None else found.pattern


def test_patterns_are_patterns():
    for row in (*CONVERTER_TEXTS, *OPERATOR_HINTS):
        groups = re.compile(row.pattern).groupindex
        assert set(re.findall(r"\{(\w+)\}", f"{row.why}{row.hint}")) <= set(groups)


class Argsort(nn.Module):
    def forward(self, x):
        y = torch.special.i1(x)
        return y.argsort(-1)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("Unsupported fx node argsort, kind argsort", "y.argsort(-1)"),
        (COREAI.format("aten.never.default, aten.special_i1.default"), "torch.special.i1(x)"),
    ],
)
def test_the_line_is_that_of_the_operator_that_is_named(message, line):
    x = torch.rand(1, 8)
    error = blame("coreai", ValueError(message), {"forward": capture("net", Argsort(), (x,))})
    assert line in error.where
    assert error.original == f"ValueError: {message}"
