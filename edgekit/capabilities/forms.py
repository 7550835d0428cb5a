"""Forms that several targets get, each with the measurement that chose it."""

from edgekit.capabilities.facts import Form

# Exact and cheaper for every runtime. Measured: what emov2-5m at 224 would have more without it, of 479 operators and
# 5,105,608 values of the captured program for onnx.
FOLDS = tuple(
    Form(rewrite=name, measured=spared)
    for name, spared in (
        ("drop_full_slices", "such a slice becomes an alias that coremltools refuses and ExecuTorch copies; EMOv2 has none at 224"),
        ("fold_attention_scale", "18 operators"),
        ("drop_key_bias", "1,856 values, and an addition for each key projection in ONNX"),
        ("merge_coincident_windows", "30 operators"),
        ("fold_batch_norm", "20 operators, 31,032 values"),
        ("fold_batch_norm_forward", "5 operators, 1,152 values"),
        ("fold_channel_scale", "18 operators, 2,664 values"),
        ("fold_layer_norm_affine", "4,752 values, and two operators a norm where the norm is decomposed"),
        ("merge_projections", "1 operator, 600 values"),
        ("merge_permutes", "20 operators"),
    )
)

# What makes data-dependent networks static, and tokens cheap. Measured with imcnet-b16 at 224, one core of a shared machine,
# variants interleaved in one run; ViT-B/16 in the vendor's plain export is there for scale.
TOKENS = (
    Form(rewrite="static_router", measured="argmax, gather and scatter have no kernel everywhere"),
    Form(rewrite="dense_mask_passes", measured="the only static form of a budget; for percentiles the form above it comes first"),
    Form(
        rewrite="select_token_early", measured="imcnet-ti16: ExecuTorch 10.7 ms against 12.3, LiteRT 10.0 against 11.7, onnxruntime 10.6 against 12.4"
    ),
    Form(rewrite="drop_idle_expands", measured="an expand of the class token for one image; outside the delegate of ExecuTorch"),
)
APART = Form(
    rewrite="static_attention",
    measured="imcnet-s16: LiteRT 33.5 ms, joint 33.9, the natural form 34.1; ExecuTorch 33.5, 34.2, 35.3 (1 subgraph, 1, 19); onnxruntime 32.7, "
    "34.0, 33.9",
)
JOINT = Form(
    rewrite="static_attention_joint", measured="imcnet-s16: 236 operators in Core ML, apart 253, the natural form 248; in Core AI 287, 305, 310"
)
CLIPPED = (
    APART,
    Form(
        rewrite="quantile_by_counting",
        measured="LiteRT and ExecuTorch have neither quantile nor sort: the vendors' converters write it, and the file does not load",
    ),
)
COMPARED = (
    JOINT,
    Form(
        rewrite="fixed_count_one_hot_compared",
        measured="not measured, nothing here has Apple's hardware. Indices of top-k in half precision are wrong on some of it, and the clipped "
        "form's 2**110 is infinite there",
    ),
    Form(rewrite="quantile_by_counting_compared", measured="the converter has no quantile; as above"),
)

ORDER_STATISTICS = Form(
    rewrite="order_statistics_as_quantiles",
    measured="LiteRT loads no file with a sort, which top-k becomes; no vendor's converter takes a median",
)
SORTS = Form(rewrite="sorts_by_counting", measured="the runtime has no kernel for a sort; of four modules that sort, one was exported before")
STABLE_SORTS = Form(rewrite="stable_sorts_by_counting", measured="the converter has no stable sort, and its own leaves open how ties are ordered")
SCATTERS = Form(
    rewrite="scatters_by_products",
    measured="LiteRT and Core AI load no scatter that adds, Core ML Tools and ExecuTorch know no scatter_reduce; torch.onnx 2.13 writes a wrong mean",
)
BINS = Form(rewrite="bins_by_counting", measured="no converter but torch.onnx has bucketize or searchsorted")
ONE_HOT = Form(rewrite="one_hot_by_comparison", measured="LiteRT's converter stops at the range check inside one_hot; a comparison is one operator")
SPECTRA = Form(rewrite="spectra_by_products", measured="no converter but torch.onnx takes a transform, and no runtime complex numbers")
RESIZES = Form(
    rewrite="resizes_by_products", measured="resizing with antialias, and bicubic in Core ML, has no operator; positions of another resolution"
)
NEAREST = Form(
    rewrite="nearest_resizes_by_products",
    measured="LiteRT takes other rows than torch where a map grows by 1.5 or shrinks from 16 to 11: -1 and -3 dB; by 2 it takes the same",
)
FOLD = Form(rewrite="fold_as_transposed_conv", measured="none of them runs a fold of patches that overlap")
STRIDES = Form(rewrite="strides_as_indices", measured="the converter knows neither as_strided nor Tensor.unfold, or stops at ranks over 5")
KEPT_ROWS = Form(
    rewrite="kept_rows_by_products",
    measured="not measured by itself; takes and puts by products stay in the delegates of LiteRT and ExecuTorch, as with fixed_count_one_hot",
)
KEPT_PLACES = Form(
    rewrite="kept_places_by_top_k",
    measured="not measured by itself; onnxruntime is as fast with indices, as with fixed_count_gather",
)


def apart(measured: str, *names: str) -> tuple[Form, ...]:
    """Return the rows of operators that a converter does not know, and that are written by others."""
    return tuple(Form(rewrite=f"{name}_apart", measured=measured) for name in names)
