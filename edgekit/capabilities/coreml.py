"""What coreml takes, and which forms it gets."""

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
    SPECTRA,
    STABLE_SORTS,
    STRIDES,
    TOKENS,
    apart,
)

_COREML_VERSION = "coremltools 9.0"

ROW = TargetFacts(
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
        *COMPARED,
        ORDER_STATISTICS,
        STABLE_SORTS,
        SCATTERS,
        BINS,
        SPECTRA,
        RESIZES,
        FOLD,
        STRIDES,
        *apart(
            "the converter has no conversion of it, or wants arguments written out that have a default",
            *("take_along_dim", "channel_shuffle", "rot90", "circular_pad", "rms_norm", "cosine_similarity", "cdist", "celu"),
            *("where_other", "where_self", "log_sigmoid", "volume_avg_pool"),
        ),
        KEPT_ROWS,
        *TOKENS,
        *FOLDS,
    ),
)
