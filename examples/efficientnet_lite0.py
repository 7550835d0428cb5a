"""A model of one's own with real ImageNet weights: EfficientNet-Lite0, 4.7 million parameters, 75% top-1.

    edgekit data pull lite0 groceries
    edgekit export examples/efficientnet_lite0.py:build --target tflite --target executorch --target onnx
    edgekit export examples/efficientnet_lite0.py:build --target executorch --precision w8a8 --data groceries:train

The weights are those of TensorFlow's network, so it pads as TensorFlow does, and was trained on pixels ``(x - 127) / 128``. edgekit normalises
a user's pictures as ImageNet classifiers have it; the network takes that back first. Modules are named as in the checkpoint.

Source: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.data.open import open_weights
from edgekit.interface import Preprocessing
from edgekit.models.checkpoints import load_checkpoint

# Blocks, kernel, stride of the first, expansion, channels.
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))
STEM, HEAD = 32, 1280


class SamePadded(nn.Conv2d):
    """A convolution that pads as TensorFlow does: with a stride, one more on the right and below."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, padding=0 if stride > 1 else kernel // 2, groups=groups, bias=False)
        before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
        self.around = (before, after, before, after) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """Pad, then convolve; sides that the stride divides."""
        return super().forward(x if self.around is None else F.pad(x, self.around))


class Block(nn.Module):
    """Widen, convolve each channel, narrow; added to the input where both have one shape."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.adds = stride == 1 and inputs == outputs
        self._expand_conv = SamePadded(inputs, wide, 1) if expansion > 1 else None
        self._bn0 = nn.BatchNorm2d(wide, eps=1e-3) if expansion > 1 else None
        self._depthwise_conv = SamePadded(wide, wide, kernel, stride=stride, groups=wide)
        self._bn1 = nn.BatchNorm2d(wide, eps=1e-3)
        self._project_conv = SamePadded(wide, outputs, 1)
        self._bn2 = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """``(1, C, H, W) -> (1, outputs, H/stride, W/stride)``."""
        y = x if self._expand_conv is None or self._bn0 is None else F.relu6(self._bn0(self._expand_conv(x)))
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """``(1, 3, 224, 224)``, normalised as edgekit does, to ``(1, 1000)`` logits."""

    def __init__(self) -> None:
        super().__init__()
        usual = Preprocessing(resolution=224)
        mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (usual.mean, usual.std))
        self.register_buffer("scale", std * 255 / 128, persistent=False)
        self.register_buffer("shift", (mean * 255 - 127) / 128, persistent=False)
        self._conv_stem = SamePadded(3, STEM, 3, stride=2)
        self._bn0 = nn.BatchNorm2d(STEM, eps=1e-3)
        blocks, inputs = [], STEM
        for count, kernel, stride, expansion, outputs in STAGES:
            for position in range(count):
                blocks.append(Block(inputs, outputs, kernel, stride if position == 0 else 1, expansion))
                inputs = outputs
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = SamePadded(inputs, HEAD, 1)
        self._bn1 = nn.BatchNorm2d(HEAD, eps=1e-3)
        self._fc = nn.Linear(HEAD, 1000)

    def forward(self, image: Tensor) -> Tensor:
        """Classify one picture."""
        x = image * self.scale + self.shift
        x = F.relu6(self._bn0(self._conv_stem(x)))
        x = F.relu6(self._bn1(self._conv_head(self._blocks(x))))
        return self._fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def build() -> nn.Module:
    """Return the network with its weights, which ``edgekit data pull lite0`` has fetched."""
    model = EfficientNetLite0().eval()
    load_checkpoint(model, open_weights("lite0"))
    return model
