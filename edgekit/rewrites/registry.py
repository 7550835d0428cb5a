"""All rewrites, in the order they run. A target gets those its row in ``capabilities`` names."""

from inspect import signature
from typing import Any

from edgekit.errors import PluginError
from edgekit.plugins import plugin_rewrites
from edgekit.rewrites.base import GraphRewrite, ModuleRewrite
from edgekit.rewrites.batch_window_partitions import BatchWindowPartitions
from edgekit.rewrites.bins_by_counting import BinsByCounting
from edgekit.rewrites.composite_apart import CompositeApart
from edgekit.rewrites.composites import COMPOSITES
from edgekit.rewrites.dense_mask_passes import DenseMaskPasses
from edgekit.rewrites.drop_full_slices import DropFullSlices
from edgekit.rewrites.drop_idle_expands import DropIdleExpands
from edgekit.rewrites.drop_key_bias import DropKeyBias
from edgekit.rewrites.fixed_count_passes import FixedCountPassesForm
from edgekit.rewrites.fold_as_transposed_conv import FoldAsTransposedConv
from edgekit.rewrites.fold_attention_scale import FoldAttentionScale
from edgekit.rewrites.fold_batch_norm import FoldBatchNorm
from edgekit.rewrites.fold_batch_norm_forward import FoldBatchNormForward
from edgekit.rewrites.fold_channel_scale import FoldChannelScale
from edgekit.rewrites.fold_layer_norm_affine import FoldLayerNormAffine
from edgekit.rewrites.keep_mean_axes import KeepMeanAxes
from edgekit.rewrites.kept_places_by_top_k import KeptPlacesByTopK
from edgekit.rewrites.kept_rows_by_products import KeptRowsByProducts
from edgekit.rewrites.layer_norm_as_arithmetic import LayerNormAsArithmetic
from edgekit.rewrites.layer_norm_as_convs import LayerNormAsConvs
from edgekit.rewrites.layer_norm_as_linears import LayerNormAsLinears
from edgekit.rewrites.linear_as_conv import LinearAsConv
from edgekit.rewrites.lone_products_as_matrices import LoneProductsAsMatrices
from edgekit.rewrites.merge_coincident_windows import MergeCoincidentWindows
from edgekit.rewrites.merge_permutes import MergePermutes
from edgekit.rewrites.merge_projections import MergeProjections
from edgekit.rewrites.merge_shared_projections import MergeSharedProjections
from edgekit.rewrites.one_hot_by_comparison import OneHotByComparison
from edgekit.rewrites.order_statistics_as_quantiles import OrderStatisticsAsQuantiles
from edgekit.rewrites.post_scale_layer_norm import PostScaleLayerNorm
from edgekit.rewrites.quantile_by_counting import QuantileByCounting
from edgekit.rewrites.resizes_by_products import ResizesByProducts
from edgekit.rewrites.scatters_by_products import ScattersByProducts
from edgekit.rewrites.select_token_early import SelectTokenEarly
from edgekit.rewrites.sorts_by_counting import SortsByCounting
from edgekit.rewrites.spectra_by_products import SpectraByProducts
from edgekit.rewrites.squeezes_as_reshapes import SqueezesAsReshapes
from edgekit.rewrites.static_attention import StaticAttention
from edgekit.rewrites.static_router import StaticRouter
from edgekit.rewrites.static_windows import StaticWindows
from edgekit.rewrites.strides_as_indices import StridesAsIndices
from edgekit.rewrites.transpose_keys import TransposeKeys

_MODULE_REWRITES: tuple[ModuleRewrite, ...] = (
    # A static form of the passes first, so that attention is looked at inside it; the dense mask last of them: it takes what the others cannot.
    FixedCountPassesForm("gather"),
    FixedCountPassesForm("one_hot"),
    FixedCountPassesForm("one_hot_compared"),
    DenseMaskPasses(),
    StaticRouter(),
    StaticAttention(),
    StaticAttention(joint=True),
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

_GRAPH_REWRITES: tuple[GraphRewrite, ...] = (
    # First: a slice that does nothing hides neighbours from each other.
    DropFullSlices(),
    DropIdleExpands(),
    # Before the next two, which compute quantiles.
    OrderStatisticsAsQuantiles(),
    QuantileByCounting(),
    QuantileByCounting(compare=True),
    # After the order statistics, which need one value of a sort and not all.
    SortsByCounting("all"),
    SortsByCounting("stable"),
    SortsByCounting("top-k"),
    ScattersByProducts(),
    BinsByCounting(),
    OneHotByComparison(),
    SpectraByProducts(),
    ResizesByProducts(),
    ResizesByProducts(nearest=True),
    FoldAsTransposedConv(),
    StridesAsIndices(),
    # After those above, which compare places and choose by them. Of these one may leave what another takes: an einsum its diagonal.
    *(CompositeApart(name) for name in COMPOSITES),
    # A target gets one of these.
    KeptRowsByProducts(),
    KeptPlacesByTopK(),
    # Backwards first: a normalisation with a convolution on both sides costs nothing in the one before it.
    FoldBatchNorm(),
    FoldBatchNormForward(),
    FoldChannelScale(),
    FoldLayerNormAffine(),
    # After the fold above, which gives projections a bias.
    DropKeyBias(),
    # After the folds, which follow a norm to its readers and would find a slice there; before the next: one value is not stacked with others.
    SelectTokenEarly(),
    # After the folds, and the key bias: they see q, k and v one by one, and a stack of them has other outputs. Before the
    # next, which merges a convolution into its only reader.
    MergeSharedProjections(),
    MergeSharedProjections(sliced=True),
    # Convolutions become neighbours once the normalisation between them is gone.
    MergeProjections(),
    # Late, on norms whose scale and shift are gone.
    PostScaleLayerNorm(),
    LayerNormAsConvs(),
    LayerNormAsLinears(),
    LayerNormAsArithmetic(),
    # Before the next: it asks for a mean without its axes.
    LinearAsConv(),
    KeepMeanAxes(),
    SqueezesAsReshapes(),
    # After all that add products.
    LoneProductsAsMatrices(),
    # Last: the norm's own permutes mark it for the rewrites above.
    MergePermutes(),
)


def _of_packages(taking: int) -> tuple[Any, ...]:
    """Return the rewrites that other packages add whose ``replace`` takes so many arguments: 2 of modules, 3 of graphs.

    :raises PluginError: one has a name that is taken.
    """
    own = {rewrite.name for rewrite in _MODULE_REWRITES} | {rewrite.name for rewrite in _GRAPH_REWRITES}
    for rewrite in plugin_rewrites():
        if rewrite.name in own:
            raise PluginError(
                f"a package adds a rewrite {rewrite.name}, which there is", what=type(rewrite).__qualname__, hint="give it another name"
            )
    return tuple(rewrite for rewrite in plugin_rewrites() if len(signature(rewrite.replace).parameters) == taking)


# What packages add comes first: their rewrites are given modules and programs as their authors know them.
MODULE_REWRITES: tuple[ModuleRewrite, ...] = (*_of_packages(2), *_MODULE_REWRITES)
GRAPH_REWRITES: tuple[GraphRewrite, ...] = (*_of_packages(3), *_GRAPH_REWRITES)
