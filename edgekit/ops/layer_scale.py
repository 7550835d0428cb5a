"""A learned factor per channel on a residual branch (CaiT, arXiv 2103.17239, section 3.1)."""

import torch
from torch import Tensor, nn


class LayerScale(nn.Module):
    """Multiply a ``(B, C, H, W)`` map by ``gamma``, one value a channel."""

    def __init__(self, channels: int, init_value: float = 1e-6) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((1, channels, 1, 1), init_value))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``gamma * x``, ``(B, C, H, W)``."""
        return self.gamma * x
