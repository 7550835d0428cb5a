"""What goes in and comes out of a model's methods: names, shapes, dtypes, layouts, preprocessing."""

from typing import Any, Literal

from attrs import frozen

Layout = Literal["NCHW", "NHWC", "NC", "other"]

FORWARD = "forward"
"""What an only method is called, and the one that joins several."""
IMAGE = "image"
LOGITS = "logits"
CONFIDENCE = "confidence"
GRAPH_CONFIDENCE = "max_softmax"
"""What that is, beside the logits of a network's exits; a name in ``edgekit.ops.confidence``."""
THRESHOLDS = "thresholds"
"""An input of graphs that choose an exit themselves: ``(K - 1,)`` float32, the confidence from which on each exit but the last is taken."""
EXIT = "exit"
"""Their output: which exit was taken, ``(1,)`` int32, 1 for the first."""


@frozen(kw_only=True)
class TensorSpec:
    """One input or output.

    ``layout`` names the axes: N batch, C channels or classes, H rows, W columns.
    ``dtype`` is NumPy's name (``float32``), or ``image`` for a Core ML picture input of 8-bit RGB pixels.
    ``scale`` and ``zero_point``: of one that is given or answered in integers of 8 bits, ``real = (stored - zero_point) * scale``.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    layout: Layout = "other"
    scale: float | None = None
    zero_point: int = 0

    def stored(self, real: Any) -> Any:
        """Return an array of real values as the file takes it: as integers, rounded and clipped, where it has a scale."""
        if self.scale is None:
            return real
        lowest, highest = (0, 255) if self.dtype == "uint8" else (-128, 127)
        return ((real / self.scale).round() + self.zero_point).clip(lowest, highest).astype(self.dtype)

    def real(self, stored: Any) -> Any:
        """Return an array of what the file gave as real values, float32 where it has a scale."""
        return stored if self.scale is None else ((stored.astype("float32") - self.zero_point) * self.scale).astype("float32")


@frozen(kw_only=True)
class MethodSpec:
    """A callable entry of an artifact: a LiteRT signature, a Core ML function, an ExecuTorch method.

    ``largest_batch``: how many inputs a call may take along the first axis of each, whose shapes here are those of one.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    largest_batch: int = 1

    def fits(self, shape: tuple[int, ...], tensor: TensorSpec) -> bool:
        """Whether an array of this shape can be given for one of the inputs."""
        return shape == tensor.shape or (shape[1:] == tensor.shape[1:] and len(shape) > 1 and 1 <= shape[0] <= self.largest_batch)


@frozen(kw_only=True)
class Preprocessing:
    """How a photograph becomes the model's input, in this order.

    Shorter side to ``int(resolution / crop_ratio)`` pixels, centre crop of ``resolution``, RGB values
    divided by 255, minus ``mean``, divided by ``std``.
    """

    resolution: int
    crop_ratio: float = 0.875
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
