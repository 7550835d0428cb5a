"""Public networks in small configurations, and their conversion by Core ML Tools alone: packages that edgekit had no hand in."""

import contextlib
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import frozen
from torch import nn
from torch.fx.experimental.optimization import fuse
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edgekit.quiet import quiet
from edgekit.targets.coreml.toolbox import coremltools

try:
    import torchvision  # noqa: F401
except RuntimeError:
    # Its compiled operators are built against another torch (CUDA) than the one here. The models need none of them;
    # only the module that describes their shapes to the compiler fails to import, and a hollow one does as well.
    sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")

import timm
from torchvision.models import convnext, densenet, efficientnet, mobilenetv2, mobilenetv3, regnet, resnet, shufflenetv2, squeezenet
from torchvision.models import swin_transformer as swin
from torchvision.models.googlenet import GoogLeNet
from torchvision.models.segmentation.deeplabv3 import ASPP
from torchvision.models.vision_transformer import VisionTransformer
from torchvision.ops import FeaturePyramidNetwork

CLASSES = 10


class UNet(nn.Module):
    """Down by pooling, up by ``ConvTranspose2d`` and by bilinear resizing, with skip connections."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = (self._double(i, o) for i, o in ((3, 8), (8, 16), (16, 32)))
        self.up = nn.ConvTranspose2d(32, 16, 2, stride=2)
        self.after_up = self._double(32, 16)
        self.last = nn.Conv2d(24, CLASSES, 1)

    @staticmethod
    def _double(inside, outside):
        def conv(channels):
            return nn.Conv2d(channels, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.LeakyReLU(0.1)

        return nn.Sequential(*conv(inside), *conv(outside))

    def forward(self, image):
        first = self.first(image)
        second = self.second(F.max_pool2d(first, 2, 2))
        third = self.third(F.avg_pool2d(second, 3, 2, 1, count_include_pad=False))
        x = self.after_up(torch.cat([self.up(third), second], 1))
        return self.last(torch.cat([F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False), first], 1))


class DeepLab(nn.Module):
    """A stem, torchvision's atrous pyramid (dilated convolutions, a pooled branch resized back), and resizing to the input."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 4, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.pyramid = ASPP(16, [2, 4], out_channels=16)
        self.head = nn.Conv2d(16, CLASSES, 1)

    def forward(self, image):
        return F.interpolate(self.head(self.pyramid(self.stem(image))), size=(64, 64), mode="bilinear", align_corners=True)


class Detector(nn.Module):
    """A feature pyramid whose best places are picked: ``topk``, and ``gather`` of their boxes."""

    def __init__(self):
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.GELU())
        self.two = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.Hardswish())
        self.pyramid = FeaturePyramidNetwork([8, 16], 16)
        self.scores, self.boxes = nn.Conv2d(16, 2, 3, padding=1), nn.Conv2d(16, 4, 3, padding=1)

    def forward(self, image):
        one = self.one(image)
        levels = self.pyramid({"one": one, "two": self.two(one)}).values()
        scores = torch.cat([self.scores(level).sigmoid().amax(1).flatten(1) for level in levels], 1)
        boxes = torch.cat([self.boxes(level).exp().flatten(2) for level in levels], 2)
        best, where = scores.topk(20, dim=1)
        picked = boxes.gather(2, where.unsqueeze(1).expand(-1, 4, -1))
        return torch.cat([best.unsqueeze(1), picked], 1)


def _efficientnet():
    block = efficientnet.MBConvConfig
    fused = efficientnet.FusedMBConvConfig(4, 3, 2, 24, 32, 1)
    return efficientnet.EfficientNet(
        [block(1, 3, 1, 32, 16, 1, 1, 1), block(4, 5, 2, 16, 24, 2, 1, 1), fused], dropout=0.0, num_classes=CLASSES, last_channel=64
    )


def _convnext():
    block = convnext.CNBlockConfig
    return convnext.ConvNeXt([block(24, 48, 1), block(48, 64, 2), block(64, None, 1)], layer_scale=0.1, num_classes=CLASSES)


def _googlenet():
    """Three blocks fewer: random weights make so deep a chain without shortcuts lose a bit of float32 in each, in eager as well."""
    network = GoogLeNet(num_classes=CLASSES, aux_logits=False, init_weights=False)
    network.inception4b = network.inception4c = network.inception5a = nn.Identity()
    return network


def _regnet():
    blocks = regnet.BlockParams.from_init_params(depth=4, w_0=16, w_a=16.0, w_m=2.0, group_width=8, se_ratio=0.25)
    return regnet.RegNet(blocks, num_classes=CLASSES)


FACTORIES: dict[str, Callable[[], nn.Module]] = {
    "resnet": lambda: resnet.ResNet(resnet.Bottleneck, [1, 1, 1, 1], num_classes=CLASSES, width_per_group=16),
    "mobilenetv2": lambda: mobilenetv2.MobileNetV2(num_classes=CLASSES, width_mult=0.35),
    "mobilenetv3": lambda: mobilenetv3.mobilenet_v3_small(width_mult=0.5, num_classes=CLASSES),
    "efficientnet": _efficientnet,
    "convnext": _convnext,
    "vit": lambda: VisionTransformer(64, 16, 2, 4, 64, 128, num_classes=CLASSES),
    "swin": lambda: swin.SwinTransformer([4, 4], 24, [2, 2], [2, 4], [4, 4], num_classes=CLASSES),
    "shufflenet": lambda: shufflenetv2.ShuffleNetV2([2, 2, 2], [24, 48, 96, 192, 128], num_classes=CLASSES),
    "densenet": lambda: densenet.DenseNet(8, (2, 2, 2), 16, num_classes=CLASSES),
    "squeezenet": lambda: squeezenet.SqueezeNet("1_1", num_classes=CLASSES),
    "googlenet": _googlenet,
    "regnet": _regnet,
    "mobilevit": lambda: timm.create_model("mobilevit_xxs", num_classes=CLASSES),
    "xcit": lambda: timm.create_model("xcit_nano_12_p16_224", num_classes=CLASSES, img_size=64, depth=2),
    "unet": UNet,
    "deeplab": DeepLab,
    "detector": Detector,
}


def small_network(name: str, resolution: int = 64) -> nn.Module:
    """Return a network whose weights are random, and whose values neither vanish nor explode nor are all the same.

    Factories leave heads and layer scales at zero and norms at one, where much of a wrong operator would not show.
    """
    torch.manual_seed(0)
    network = FACTORIES[name]()
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm1d, nn.LayerNorm, nn.GroupNorm)) and module.weight is not None:
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.momentum = None  # a batch norm's statistics become the average over the batches below
        if isinstance(module, nn.Conv2d):  # else what ReLUs add to all values alike drowns the rest, and cancels in the next norm
            module.weight.data -= module.weight.data.mean((1, 2, 3), keepdim=True)
        if isinstance(module, nn.Linear) and module.weight.std() < 0.3 * module.in_features**-0.5:
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
    for parameter in network.parameters():
        if parameter.abs().max() < 1e-3:
            nn.init.normal_(parameter, std=0.1)
    network.train()
    with torch.no_grad():
        for _ in range(5):
            network(torch.randn(16, 3, resolution, resolution))
    return network.eval()


def with_half_weights(network: nn.Module) -> nn.Module:
    """Return the network with its batch norms folded, where they are behind a convolution, and every weight a number of half precision.

    Converting it to fp16 then rounds no weight, so that what is left in float32 arithmetic is the interpreter's and the converter's doing.
    """
    for module in network.modules():
        if isinstance(module, timm.layers.ConvNormAct):  # its norm is of a class of its own, which holds the activation too
            module.conv, module.bn = fuse_conv_bn_eval(module.conv, module.bn), module.bn.act
    folded = fuse(network) if any(type(module) is nn.BatchNorm2d for module in network.modules()) else network
    for tensor in (*folded.parameters(), *folded.buffers()):
        if tensor.is_floating_point():
            tensor.data = tensor.data.half().float()
    return folded.eval()


@frozen
class Conversion:
    """How a network is converted."""

    frontend: str = "trace"
    half: bool = False
    ios: int = 17


def convert(network: nn.Module, conversion: Conversion, resolution: int = 64, inputs: list[Any] | None = None, **options: Any) -> Any:
    """Return Core ML Tools' model. Its inputs are half precision where Core ML Tools makes them so; its outputs are not, to lose nothing."""
    ct = coremltools()
    outputs = [ct.TensorType(dtype=np.float32)]
    example = torch.randn(1, 3, resolution, resolution, generator=torch.Generator().manual_seed(1))
    with quiet(), torch.no_grad(), _numpy_scalars():
        if conversion.frontend == "trace":
            program: Any = torch.jit.trace(network, example, check_trace=False)
            inputs = inputs or [ct.TensorType("image", example.shape)]
        else:
            program = _exported(network, example)
        return ct.convert(
            program,
            convert_to="mlprogram",
            inputs=inputs,
            outputs=outputs,
            compute_precision=ct.precision.FLOAT16 if conversion.half else ct.precision.FLOAT32,
            minimum_deployment_target=getattr(ct.target, f"iOS{conversion.ios}"),
            skip_model_load=True,
            **options,
        )


def save(model: Any, path: Path) -> Path:
    with quiet():
        model.save(str(path))
    return path


def _exported(network: nn.Module, example: torch.Tensor) -> Any:
    """Return the exported program without ``alias``, an operator that does nothing and that Core ML Tools does not know."""
    program = torch.export.export(network, (example,)).run_decompositions({})
    for node in list(program.graph.nodes):
        if node.target is torch.ops.aten.alias.default:
            node.replace_all_uses_with(node.args[0])
            program.graph.erase_node(node)
    return program


@contextlib.contextmanager
def _numpy_scalars() -> Iterator[None]:
    """Let Core ML Tools fold a cast of an array of one element, which NumPy 2.4 no longer turns into a number by itself."""
    from coremltools.converters.mil.frontend.torch import ops

    original = ops._cast

    def cast(context, node, dtype, name):
        (given,) = ops._get_inputs(context, node, expected=1)
        if given.val is None or np.ndim(given.val) == 0:
            original(context, node, dtype, name)
        else:
            context.add(ops.mb.const(val=dtype(given.val.item()), name=node.name))

    ops._cast = cast
    try:
        yield
    finally:
        ops._cast = original
