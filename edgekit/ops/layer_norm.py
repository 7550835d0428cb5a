"""Layer normalisation over the channels of a channels-first map."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LayerNorm2d(nn.Module):
    """Normalise every position of a ``(B, C, H, W)`` map over its ``C`` channels, then scale and shift.

    The parameters sit in an inner ``nn.LayerNorm`` called ``norm``, which is how EMOv2's official
    checkpoints name them (``stage3.0.norm.norm.weight``).
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map, ``(B, C, H, W)``."""
        channels_last = x.permute(0, 2, 3, 1)
        normed = F.layer_norm(channels_last, self.norm.normalized_shape, self.norm.weight, self.norm.bias, self.norm.eps)
        return torch.permute(normed, (0, 3, 1, 2))
