"""What coreai takes, and which forms it gets."""

from edgekit import precision_rows
from edgekit.capabilities.facts import Form, Limit, TargetFacts
from edgekit.capabilities.forms import (
    BINS,
    COMPARED,
    FOLD,
    FOLDS,
    KEPT_ROWS,
    ORDER_STATISTICS,
    RESIZES,
    SCATTERS,
    SORTS,
    SPECTRA,
    STRIDES,
    TOKENS,
    apart,
)

_COREAI_VERSION = "coreai-torch 0.4.3, coreai-core 1.0.0b3"

ROW = TargetFacts(
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
        *COMPARED,
        ORDER_STATISTICS,
        SORTS,
        SCATTERS,
        BINS,
        SPECTRA,
        RESIZES,
        FOLD,
        STRIDES,
        *apart(
            "the converter has no conversion of it, or of what torch makes of it",
            *("take_along_dim", "einsum_with_diagonals", "diagonal", "batch_statistics", "cdist", "celu", "elu", "selu", "argmin"),
            *("variance", "deviation", "unbiased_variance", "unbiased_deviation", "adaptive_max_pool", "ceil_avg_pool", "grid_sampler"),
        ),
        KEPT_ROWS,
        *TOKENS,
        *FOLDS,
    ),
)
