"""All rewrites, in the order they run. A target gets those its row in ``capabilities`` names."""

from edgekit.rewrites.base import GraphRewrite, ModuleRewrite
from edgekit.rewrites.batch_window_partitions import BatchWindowPartitions
from edgekit.rewrites.drop_full_slices import DropFullSlices
from edgekit.rewrites.drop_key_bias import DropKeyBias
from edgekit.rewrites.fold_attention_scale import FoldAttentionScale
from edgekit.rewrites.fold_batch_norm import FoldBatchNorm
from edgekit.rewrites.fold_batch_norm_forward import FoldBatchNormForward
from edgekit.rewrites.fold_channel_scale import FoldChannelScale
from edgekit.rewrites.fold_layer_norm_affine import FoldLayerNormAffine
from edgekit.rewrites.keep_mean_axes import KeepMeanAxes
from edgekit.rewrites.layer_norm_as_arithmetic import LayerNormAsArithmetic
from edgekit.rewrites.layer_norm_as_convs import LayerNormAsConvs
from edgekit.rewrites.linear_as_conv import LinearAsConv
from edgekit.rewrites.merge_coincident_windows import MergeCoincidentWindows
from edgekit.rewrites.merge_permutes import MergePermutes
from edgekit.rewrites.merge_projections import MergeProjections
from edgekit.rewrites.merge_shared_projections import MergeSharedProjections
from edgekit.rewrites.post_scale_layer_norm import PostScaleLayerNorm
from edgekit.rewrites.static_windows import StaticWindows
from edgekit.rewrites.transpose_keys import TransposeKeys

MODULE_REWRITES: tuple[ModuleRewrite, ...] = (
    # The static form first; the switches below turn on it.
    StaticWindows("channels_last", 6),
    StaticWindows("channels_last", 5),
    StaticWindows("channels_last", 4),
    StaticWindows("channels_first", 5),
    StaticWindows("channels_first", 4),
    FoldAttentionScale(),
    TransposeKeys(),
    # Coincident windows before batching: a single partition has nothing to batch.
    MergeCoincidentWindows(),
    BatchWindowPartitions(),
)

GRAPH_REWRITES: tuple[GraphRewrite, ...] = (
    # First: a slice that does nothing hides neighbours from each other.
    DropFullSlices(),
    # Backwards first: a normalisation with a convolution on both sides costs nothing in the one before it.
    FoldBatchNorm(),
    FoldBatchNormForward(),
    FoldChannelScale(),
    FoldLayerNormAffine(),
    # After the fold above, which gives projections a bias.
    DropKeyBias(),
    # After the folds, and the one above: they see q, k and v one by one, and a stack of them has other outputs. Before the
    # next, which merges a convolution into its only reader.
    MergeSharedProjections(),
    MergeSharedProjections(sliced=True),
    # Convolutions become neighbours once the normalisation between them is gone.
    MergeProjections(),
    # Late, on norms whose scale and shift are gone.
    PostScaleLayerNorm(),
    LayerNormAsConvs(),
    LayerNormAsArithmetic(),
    # Before the next: it asks for a mean without its axes.
    LinearAsConv(),
    KeepMeanAxes(),
    # Last: the norm's own permutes mark it for the rewrites above.
    MergePermutes(),
)
