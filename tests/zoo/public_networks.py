"""Public networks of timm, small ones of each family in their default configuration and at their default resolution, with timm's random weights.

``networks()`` lists them; each is a factory of this file, so that edgekit takes it as it takes a user's: ``public_networks.py:levit_128s``.
"""

import sys
import types
from collections.abc import Callable

import torch
from torch import nn

NETWORKS = {
    "resnet18": 224,
    "mobilenetv3_small_100": 224,
    "mobilenetv4_conv_small": 224,
    "efficientnet_b0": 224,
    "regnety_002": 224,
    "ghostnet_100": 224,
    "densenet121": 224,
    "convnext_atto": 224,
    "repvit_m0_9": 224,
    "starnet_s1": 224,
    "mambaout_femto": 224,
    "inception_next_atto": 224,
    "poolformer_s12": 224,
    "fastvit_t8": 256,
    "efficientvit_b0": 224,
    "efficientformerv2_s0": 224,
    "edgenext_xx_small": 256,
    "mobilevit_xxs": 256,
    "tiny_vit_5m_224": 224,
    "levit_128s": 224,
    "vit_tiny_patch16_224": 224,
    "deit_tiny_distilled_patch16_224": 224,
    "swin_tiny_patch4_window7_224": 224,
    "pvt_v2_b0": 224,
    "xcit_nano_12_p16_224": 224,
}
"""By name: rows and columns of the picture."""


def _timm() -> types.ModuleType:
    """Return timm, also where torchvision's compiled operators belong to another torch: the models need none of them."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")
    import timm

    return timm


def _factory(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        torch.manual_seed(0)
        return _timm().create_model(name, pretrained=False).eval()

    build.__name__ = name
    build.__doc__ = f"{name} of timm."
    return build


globals().update({name: _factory(name) for name in NETWORKS})
