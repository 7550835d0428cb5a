"""Channel attention (CAM): a factor per channel, computed from the channels' spatial means.

    gate = sigmoid(expand(GELU(squeeze(pooled))))        pooled (B, C, 1, 1), the mean of every channel over the map
    out  = map * gate                                    map (B, C, H, W)

The gate reads the means only. The mean of a concatenation is the concatenation of its parts' means, so a network that
concatenates densely pools each part once, when it is made, instead of the whole map before every attention. Exact.

Source: CHASE (Addad, Lechervy, Jurie); squeeze-and-excitation, arXiv 1709.01507, section 3.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def pool_channels(x: Tensor) -> Tensor:
    """Return every channel's mean over its map: ``(B, C, H, W)`` to ``(B, C, 1, 1)``."""
    return x.mean(dim=(2, 3), keepdim=True)


class ChannelAttention(nn.Module):
    """Weigh the channels of a map whose means are known already."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor, pooled: Tensor) -> Tensor:
        """Return the weighed map, ``(B, C, H, W)``; ``pooled`` is ``pool_channels(x)``, ``(B, C, 1, 1)``."""
        return x * torch.sigmoid(self.expand(F.gelu(self.squeeze(pooled))))
