"""What executorch takes, and which forms it gets."""

from edgekit import precision_rows
from edgekit.capabilities.facts import Form, Limit, TargetFacts
from edgekit.capabilities.forms import BINS, CLIPPED, FOLD, FOLDS, KEPT_ROWS, ORDER_STATISTICS, RESIZES, SCATTERS, SORTS, SPECTRA, TOKENS, apart

_EXECUTORCH_VERSION = "executorch 1.5.1"

ROW = TargetFacts(
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
        *CLIPPED,
        ORDER_STATISTICS,
        SORTS,
        SCATTERS,
        BINS,
        SPECTRA,
        RESIZES,
        FOLD,
        *apart("the runtime has no kernel for it", "adaptive_max_pool", "volume_avg_pool"),
        *apart("the delegate stops at one that drops its axis: 'amax.default only supports keep_dim == True'", "max_values"),
        *apart("79 dB against eager: its kernel sums squares before it takes the mean away", "batch_statistics"),
        KEPT_ROWS,
        *TOKENS,
        *FOLDS,
    ),
)
