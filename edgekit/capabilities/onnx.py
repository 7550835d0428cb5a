"""What onnx takes, and which forms it gets."""

from edgekit import precision_rows
from edgekit.capabilities.facts import Form, Limit, TargetFacts
from edgekit.capabilities.forms import CLIPPED, FOLDS, KEPT_PLACES, ORDER_STATISTICS, SCATTERS, STABLE_SORTS, TOKENS, apart

ROW = TargetFacts(
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
        *CLIPPED,
        ORDER_STATISTICS,
        STABLE_SORTS,
        SCATTERS,
        *apart("torch.onnx has no conversion of it", "adaptive_max_pool", "cdist"),
        KEPT_PLACES,
        *TOKENS,
        *FOLDS,
    ),
)
