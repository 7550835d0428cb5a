"""What each target can take, as rows: a rule, its value, where that is known from, the version it held for.

Rewrites receive a :class:`TargetFacts` and read its limits and forms; no code branches on a target's name.
"""

from typing import Any

from attrs import evolve, frozen

from edgekit import precision_rows
from edgekit.errors import UnknownNameError
from edgekit.plugins import plugin_forms
from edgekit.precision_rows import Precision

BACKENDS = ("xnnpack", "coreml", "vulkan", "portable")
DEPLOYMENT_TARGETS = ("iOS17", "iOS16", "iOS18", "iOS26")
FIRST_WITH_FUNCTIONS = "iOS18"
"""The oldest system whose Core ML packages hold several functions."""
WITHOUT_FUNCTIONS = ("iOS16", "iOS17")
"""Systems whose Core ML packages hold one."""
FIRST_WITH_PRECISION = {"w8a8": "iOS17", "w4a32": "iOS18"}
"""The oldest system whose Core ML packages hold a precision, where that is not the oldest of all."""


@frozen(kw_only=True)
class Limit:
    """A hard fact about a target: break ``rule`` and ``breaks`` happens."""

    rule: str
    value: Any
    verified: str
    source: str
    breaks: str


@frozen(kw_only=True)
class Form:
    """Which of several exact spellings a target gets, and the measurement that chose it."""

    rewrite: str
    measured: str


@frozen(kw_only=True)
class TargetFacts:
    """One target: its files, what it needs installed, what it can hold, and the rewrites it gets.

    ``precision_rows`` and ``inputs`` list the default first. ``forms`` are the rewrites applied, by name.
    """

    name: str
    alias: str | None = None
    suffix: str
    about: str
    extra: str
    modules: tuple[str, ...]
    precision_rows: tuple[Precision, ...]
    inputs: tuple[str, ...]
    image_layout: str
    limits: tuple[Limit, ...]
    forms: tuple[Form, ...]

    def limit(self, rule: str) -> Any:
        """Return the value of a rule, or ``None`` where the target states none."""
        return next((limit.value for limit in self.limits if limit.rule == rule), None)

    @property
    def precisions(self) -> tuple[str, ...]:
        """The names of those it can be written in, the default first."""
        return tuple(row.name for row in self.precision_rows if row.refused is None)

    def precision(self, name: str) -> Precision:
        """Return the row of a precision.

        :raises UnknownNameError: there is none.
        """
        for row in self.precision_rows:
            if row.name == name:
                return row
        raise UnknownNameError("precision", name, (row.name for row in self.precision_rows))

    @property
    def holds_one_graph(self) -> bool:
        """Whether a file cannot hold several methods."""
        return self.limit("methods_per_file") == 1

    def wants(self, rewrite: str) -> bool:
        """Whether the rewrite of this name is applied for the target."""
        return any(form.rewrite == rewrite for form in self.forms)


# Exact and cheaper for every runtime. Measured: what emov2-5m at 224 would have more without it, of 479 operators and
# 5,105,608 values of the captured program for onnx.
_FOLDS = tuple(
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
_TOKENS = (
    Form(rewrite="static_router", measured="argmax, gather and scatter have no kernel everywhere"),
    Form(rewrite="dense_mask_passes", measured="the only static form of a budget; for percentiles the form above it comes first"),
    Form(
        rewrite="select_token_early", measured="imcnet-ti16: ExecuTorch 10.7 ms against 12.3, LiteRT 10.0 against 11.7, onnxruntime 10.6 against 12.4"
    ),
    Form(rewrite="drop_idle_expands", measured="an expand of the class token for one image; outside the delegate of ExecuTorch"),
)
_APART = Form(
    rewrite="static_attention",
    measured="imcnet-s16: LiteRT 33.5 ms, joint 33.9, the natural form 34.1; ExecuTorch 33.5, 34.2, 35.3 (1 subgraph, 1, 19); onnxruntime 32.7, "
    "34.0, 33.9",
)
_JOINT = Form(
    rewrite="static_attention_joint", measured="imcnet-s16: 236 operators in Core ML, apart 253, the natural form 248; in Core AI 287, 305, 310"
)
_CLIPPED = (
    _APART,
    Form(
        rewrite="quantile_by_counting",
        measured="LiteRT and ExecuTorch have neither quantile nor sort: the vendors' converters write it, and the file does not load",
    ),
)
_COMPARED = (
    _JOINT,
    Form(
        rewrite="fixed_count_one_hot_compared",
        measured="not measured, nothing here has Apple's hardware. Indices of top-k in half precision are wrong on some of it, and the clipped "
        "form's 2**110 is infinite there",
    ),
    Form(rewrite="quantile_by_counting_compared", measured="the converter has no quantile; as above"),
)

_ORDER_STATISTICS = Form(
    rewrite="order_statistics_as_quantiles",
    measured="LiteRT loads no file with a sort, which top-k becomes; no vendor's converter takes a median",
)
_SORTS = Form(rewrite="sorts_by_counting", measured="the runtime has no kernel for a sort; of four modules that sort, one was exported before")
_STABLE_SORTS = Form(rewrite="stable_sorts_by_counting", measured="the converter has no stable sort, and its own leaves open how ties are ordered")
_SCATTERS = Form(
    rewrite="scatters_by_products",
    measured="LiteRT and Core AI load no scatter that adds, Core ML Tools and ExecuTorch know no scatter_reduce; torch.onnx 2.13 writes a wrong mean",
)
_BINS = Form(rewrite="bins_by_counting", measured="no converter but torch.onnx has bucketize or searchsorted")
_ONE_HOT = Form(rewrite="one_hot_by_comparison", measured="LiteRT's converter stops at the range check inside one_hot; a comparison is one operator")
_SPECTRA = Form(rewrite="spectra_by_products", measured="no converter but torch.onnx takes a transform, and no runtime complex numbers")
_RESIZES = Form(
    rewrite="resizes_by_products", measured="resizing with antialias, and bicubic in Core ML, has no operator; positions of another resolution"
)
_NEAREST = Form(
    rewrite="nearest_resizes_by_products",
    measured="LiteRT takes other rows than torch where a map grows by 1.5 or shrinks from 16 to 11: -1 and -3 dB; by 2 it takes the same",
)
_FOLD = Form(rewrite="fold_as_transposed_conv", measured="none of them runs a fold of patches that overlap")
_STRIDES = Form(rewrite="strides_as_indices", measured="the converter knows neither as_strided nor Tensor.unfold, or stops at ranks over 5")
_KEPT_ROWS = Form(
    rewrite="kept_rows_by_products",
    measured="not measured by itself; takes and puts by products stay in the delegates of LiteRT and ExecuTorch, as with fixed_count_one_hot",
)
_KEPT_PLACES = Form(
    rewrite="kept_places_by_top_k",
    measured="not measured by itself; onnxruntime is as fast with indices, as with fixed_count_gather",
)


def _apart(measured: str, *names: str) -> tuple[Form, ...]:
    """Return the rows of operators that a converter does not know, and that are written by others."""
    return tuple(Form(rewrite=f"{name}_apart", measured=measured) for name in names)


_COREML_VERSION = "coremltools 9.0"
_TFLITE_VERSION = "litert-torch 0.10.0, ai-edge-litert 2.3.0"
_EXECUTORCH_VERSION = "executorch 1.5.1"
_COREAI_VERSION = "coreai-torch 0.4.3, coreai-core 1.0.0b3"

TARGETS: tuple[TargetFacts, ...] = (
    TargetFacts(
        name="coreml",
        suffix=".mlpackage",
        about="Core ML ML program, for iOS and macOS",
        extra="coreml",
        modules=("coremltools",),
        precision_rows=precision_rows.COREML,
        inputs=("image", "tensor"),
        image_layout="NCHW",
        limits=(
            Limit(
                rule="dynamic_batch",
                value=False,
                verified=_COREML_VERSION,
                source="https://developer.apple.com/forums/thread/724930",
                breaks="of a package with a range of sizes the Neural Engine runs the default alone; others go to GPU or CPU",
            ),
            Limit(
                rule="time_on_this_host",
                value=False,
                verified=_COREML_VERSION,
                source="edgekit/mil: it computes programs operator by operator, to prove them",
                breaks="only Apple's systems run it; elsewhere its program is interpreted, at a speed that no phone has",
            ),
            Limit(
                rule="no_fixed_count_gather",
                value="the converter has no index_copy, which puts regions back",
                verified=_COREML_VERSION,
                source="coremltools.converters.mil.frontend.torch.ops has none",
                breaks="'Unsupported fx node index_copy'",
            ),
            Limit(
                rule="no_fixed_count_one_hot",
                value="clipped differences need numbers up to 2**110, half precision ends at 65504",
                verified=_COREML_VERSION,
                source="edgekit/ops/region_moves.py",
                breaks="ranks become infinite",
            ),
            Limit(
                rule="max_rank",
                value=5,
                verified=_COREML_VERSION,
                source="https://github.com/apple/coremltools/issues/1723",
                breaks="a reshape to rank 6 fails at conversion: 'Core ML only supports tensors with rank <= 5'",
            ),
        ),
        forms=(
            Form(
                rewrite="static_windows_rank5_channels_first",
                measured="emov2-5m at 224: 414 operators; rank 4 606, channels last 506 and 570, the natural form 920. Channels last would have "
                "fewer narrow last axes (90 against 274), but leave ten projections linear. Time: not measured, it takes a phone",
            ),
            Form(rewrite="merge_shared_projections", measured="10 operators fewer; emov2-1m in fp32 fits 1.01 times its weights only with it"),
            Form(rewrite="linear_as_conv", measured="Neural Engine: a linear layer may fall back to the CPU. One operator more"),
            *_COMPARED,
            _ORDER_STATISTICS,
            _STABLE_SORTS,
            _SCATTERS,
            _BINS,
            _SPECTRA,
            _RESIZES,
            _FOLD,
            _STRIDES,
            *_apart(
                "the converter has no conversion of it, or wants arguments written out that have a default",
                *("take_along_dim", "channel_shuffle", "rot90", "circular_pad", "rms_norm", "cosine_similarity", "cdist", "celu"),
                *("where_other", "where_self", "log_sigmoid", "volume_avg_pool"),
            ),
            _KEPT_ROWS,
            *_TOKENS,
            *_FOLDS,
        ),
    ),
    TargetFacts(
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
            *_CLIPPED,
            _ORDER_STATISTICS,
            _SORTS,
            _SCATTERS,
            _BINS,
            _ONE_HOT,
            _SPECTRA,
            _RESIZES,
            _NEAREST,
            _FOLD,
            _STRIDES,
            Form(
                rewrite="lone_products_as_matrices",
                measured="tokens of a convolution with themselves, 16 of 16: other numbers (-2 dB); of other sizes the file does not load",
            ),
            *_apart("a padded one is left as mhlo.convolution, which no runtime has", "padded_transposed_conv"),
            *_apart("the converter has no conversion of it", "einsum_with_diagonals", "diagonal", "cdist", "adaptive_max_pool"),
            Form(rewrite="top_k_by_counting", measured="a top-k whose values are read is a sort in the file, which LiteRT does not load"),
            _KEPT_ROWS,
            *_TOKENS,
            *_FOLDS,
        ),
    ),
    TargetFacts(
        name="executorch",
        suffix=".pte",
        about="ExecuTorch program, XNNPACK delegate (or Core ML, Vulkan, portable kernels)",
        extra="executorch",
        modules=("executorch",),
        precision_rows=precision_rows.EXECUTORCH,
        inputs=("tensor",),
        image_layout="NCHW",
        limits=(
            Limit(
                rule="dynamic_batch",
                value=False,
                verified=_EXECUTORCH_VERSION,
                source="https://github.com/pytorch/executorch/issues/1350",
                breaks="memory is planned for the largest batch whatever is given, and what was delegated for one size fails at another",
            ),
            Limit(
                rule="max_rank",
                value=6,
                verified=_EXECUTORCH_VERSION,
                source="XNNPACK XNN_MAX_TENSOR_DIMS = 6",
                breaks="a permute of rank 7 is delegated, then fails at load: 'Failed to define tensor 0 ... xnn_status_unsupported_parameter'",
            ),
        ),
        forms=(
            Form(
                rewrite="static_windows_rank6_channels_last",
                measured="emov2-5m at 224, ExecuTorch, one core: 15.7 ms; rank 5 15.4 (no difference, runs vary by 2%), channels first "
                "17.9; 529 operators against 593, 591",
            ),
            Form(rewrite="layer_norm_as_convs", measured="1 subgraph against 14, 15.7 ms against 16.0"),
            Form(rewrite="transpose_keys", measured="18 operators fewer, same time within 2%"),
            Form(rewrite="keep_mean_axes", measured="1 subgraph against 2"),
            Form(
                rewrite="fixed_count_one_hot",
                measured="imcnet-b16: 132 ms; by top-k and gather 153, dense mask 184, ViT-B/16 488; 1 subgraph against 5 and 1",
            ),
            Form(rewrite="layer_norm_as_linears", measured="imcnet-ti16: 1 subgraph against 14, 10.2 ms against 10.6"),
            Form(rewrite="squeezes_as_reshapes", measured="imcnet-ti16: 14 subgraphs against 17 before the form above, same time within 2%"),
            *_CLIPPED,
            _ORDER_STATISTICS,
            _SORTS,
            _SCATTERS,
            _BINS,
            _SPECTRA,
            _RESIZES,
            _FOLD,
            *_apart("the runtime has no kernel for it", "adaptive_max_pool", "volume_avg_pool"),
            *_apart("the delegate stops at one that drops its axis: 'amax.default only supports keep_dim == True'", "max_values"),
            *_apart("79 dB against eager: its kernel sums squares before it takes the mean away", "batch_statistics"),
            _KEPT_ROWS,
            *_TOKENS,
            *_FOLDS,
        ),
    ),
    TargetFacts(
        name="onnx",
        suffix=".onnx",
        about="ONNX model, for onnxruntime and as a reference",
        extra="onnx",
        modules=("onnx", "onnxscript", "onnxruntime"),
        precision_rows=precision_rows.ONNX,
        inputs=("tensor",),
        image_layout="NCHW",
        limits=(
            Limit(
                rule="dynamic_batch",
                value=True,
                verified="onnx 1.23, onnxruntime 1.31",
                source="onnx.proto: a dimension may have a name instead of a value",
                breaks="onnxruntime plans for the size it is given; a range costs nothing at a batch of 1",
            ),
            Limit(
                rule="methods_per_file",
                value=1,
                verified="onnx 1.23, onnxruntime 1.31",
                source="onnx.proto: a ModelProto has one graph",
                breaks="exits cannot be called one by one; a graph that stops by itself takes their place, and edgekit cuts the exits out of it",
            ),
        ),
        forms=(
            Form(
                rewrite="static_windows_rank6_channels_last",
                measured="emov2-5m at 224, onnxruntime, one core: 16.2 ms; rank 5 16.4, rank 4 16.7, channels first 22.0 to 23.7",
            ),
            Form(
                rewrite="fixed_count_gather",
                measured="imcnet-b16: 123 ms; one-hot 124, dense mask 169, ViT-B/16 344",
            ),
            *_CLIPPED,
            _ORDER_STATISTICS,
            _STABLE_SORTS,
            _SCATTERS,
            *_apart("torch.onnx has no conversion of it", "adaptive_max_pool", "cdist"),
            _KEPT_PLACES,
            *_TOKENS,
            *_FOLDS,
        ),
    ),
    TargetFacts(
        name="coreai",
        suffix=".aimodel",
        about="Core AI asset, for iOS and macOS from 27 on",
        extra="coreai",
        modules=("coreai_torch", "coreai"),
        precision_rows=precision_rows.COREAI,
        inputs=("tensor",),
        image_layout="NCHW",
        limits=(
            Limit(
                rule="dynamic_batch",
                value=False,
                verified=_COREAI_VERSION,
                source="edgekit/targets/coreai/methods.py",
                breaks="edgekit reads and compares assets of fixed shapes, and nothing here has the hardware that a range would have to be fast on",
            ),
            Limit(
                rule="max_rank",
                value=5,
                verified=_COREAI_VERSION,
                source="https://github.com/apple/coreai-models, model-authoring skill, neural_engine_rules.md",
                breaks="an operator of higher rank does not run on the Neural Engine; the converter and the runtime on Linux took rank 19",
            ),
            Limit(
                rule="time_on_this_host",
                value=False,
                verified=_COREAI_VERSION,
                source="coreai.runtime on Linux: reference kernels on the CPU",
                breaks="the runtime for Linux computes with reference kernels, slower than any phone's",
            ),
            Limit(
                rule="precision_right_on_every_unit",
                value="fp32",
                verified="coreai-torch 0.4.2, iOS 27.0 (not repeated here: it takes an iPhone)",
                source="https://github.com/apple/coreai-torch/issues/115",
                breaks="an fp16 asset with a top-k gave wrong outputs on the Neural Engine without an error; fp32 was right on every unit, "
                "but leaves the Neural Engine out",
            ),
            Limit(
                rule="image_input",
                value=False,
                verified=_COREAI_VERSION,
                source="coreai.runtime: HAS_IMAGE_SUPPORT is False on Linux, it needs CoreVideo",
                breaks="an asset with a picture input could not be executed here, so nothing would compare it with eager",
            ),
        ),
        forms=(
            Form(
                rewrite="static_windows_rank5_channels_first",
                measured="emov2-5m at 224: 555 operators; rank 4 747, channels last 573, 637 and 701, the natural form 632 and 0.7% more bytes. "
                "In half precision emov2-1m reaches 51 dB, as it does channels last. A layer norm stays whole, its statistics in float32: as "
                "arithmetic 633 operators, as convolutions 607. Time: not measured, nothing here has Apple's hardware",
            ),
            Form(rewrite="merge_shared_projections", measured="emov2-5m at 224: 535 operators against 555; emov2-1m 466 against 484"),
            *_COMPARED,
            _ORDER_STATISTICS,
            _SORTS,
            _SCATTERS,
            _BINS,
            _SPECTRA,
            _RESIZES,
            _FOLD,
            _STRIDES,
            *_apart(
                "the converter has no conversion of it, or of what torch makes of it",
                *("take_along_dim", "einsum_with_diagonals", "diagonal", "batch_statistics", "cdist", "celu", "elu", "selu", "argmin"),
                *("variance", "deviation", "unbiased_variance", "unbiased_deviation", "adaptive_max_pool", "ceil_avg_pool", "grid_sampler"),
            ),
            _KEPT_ROWS,
            *_TOKENS,
            *_FOLDS,
        ),
    ),
)


def is_older(system: str, other: str) -> bool:
    """Whether a deployment target came before another."""
    return int(system.removeprefix("iOS")) < int(other.removeprefix("iOS"))


def target_facts(name: str) -> TargetFacts:
    """Return the row of a target by its name or alias, with the forms that other packages add.

    :raises UnknownNameError: no such target.
    """
    for target in TARGETS:
        if name in (target.name, target.alias):
            added = plugin_forms().get(target.name, ())
            return evolve(target, forms=(*target.forms, *added)) if added else target
    raise UnknownNameError("target", name, [n for t in TARGETS for n in (t.name, t.alias) if n])
