"""What tflite takes, and which forms it gets."""

from edgekit import precision_rows
from edgekit.capabilities.facts import Form, Limit, TargetFacts
from edgekit.capabilities.forms import (
    BINS,
    CLIPPED,
    FOLD,
    FOLDS,
    KEPT_ROWS,
    NEAREST,
    ONE_HOT,
    ORDER_STATISTICS,
    RESIZES,
    SCATTERS,
    SORTS,
    SPECTRA,
    STRIDES,
    TOKENS,
    apart,
)

_TFLITE_VERSION = "litert-torch 0.10.0, ai-edge-litert 2.3.0"

ROW = TargetFacts(
    name="tflite",
    alias="litert",
    suffix=".tflite",
    about="LiteRT flatbuffer, XNNPACK on the CPU",
    extra="tflite",
    modules=("litert_torch", "ai_edge_litert"),
    precision_rows=precision_rows.TFLITE,
    inputs=("tensor",),
    image_layout="NHWC",
    limits=(
        Limit(
            rule="dynamic_batch",
            value=False,
            verified=_TFLITE_VERSION,
            source="https://github.com/tensorflow/tensorflow/issues/24607",
            breaks="the interpreter plans anew whenever the size changes, and reshapes to constants break",
        ),
        Limit(
            rule="max_rank",
            value=6,
            verified=_TFLITE_VERSION,
            source="XNNPACK XNN_MAX_TENSOR_DIMS = 6, and LiteRT's own transpose kernel stops there too",
            breaks="a transpose of rank 7 has no kernel",
        ),
    ),
    forms=(
        Form(
            rewrite="static_windows_rank6_channels_last",
            measured="emov2-5m at 224, LiteRT, one core: 15.7 ms; rank 5 15.7, rank 4 15.8 (no difference, runs vary by 2%), "
            "channels first 17.8 to 18.1; fewest operators: 562 against 626, 690, 584, 776",
        ),
        Form(
            rewrite="layer_norm_as_arithmetic",
            measured="562 operators against 630, same time within 2%; without it emov2-1m at 320 does not fit 1.01 times its weights",
        ),
        Form(
            rewrite="fixed_count_one_hot",
            measured="imcnet-b16: 121 ms; by top-k and gather 164, dense mask 163, ViT-B/16 330; 1 subgraph against 8 and 4",
        ),
        *CLIPPED,
        ORDER_STATISTICS,
        SORTS,
        SCATTERS,
        BINS,
        ONE_HOT,
        SPECTRA,
        RESIZES,
        NEAREST,
        FOLD,
        STRIDES,
        Form(
            rewrite="lone_products_as_matrices",
            measured="tokens of a convolution with themselves, 16 of 16: other numbers (-2 dB); of other sizes the file does not load",
        ),
        *apart("a padded one is left as mhlo.convolution, which no runtime has", "padded_transposed_conv"),
        *apart("the converter has no conversion of it", "einsum_with_diagonals", "diagonal", "cdist", "adaptive_max_pool"),
        Form(rewrite="top_k_by_counting", measured="a top-k whose values are read is a sort in the file, which LiteRT does not load"),
        KEPT_ROWS,
        *TOKENS,
        *FOLDS,
    ),
)
