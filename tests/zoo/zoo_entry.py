"""What the files of the zoo share: how a module becomes a factory that edgekit can be given, and a network's first and last layers."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from edgekit.models.untrained import fill_untrained

DIM = 16
CLASSES = 10
SIDE = 4
"""Patches along each side of a picture of 32 x 32."""


def entry(module: type[nn.Module]) -> Callable[[], nn.Module]:
    """Return a factory of a module with weights of which every one shows."""

    def build() -> nn.Module:
        torch.manual_seed(0)
        model = module()
        fill_untrained(model)
        return model.eval()

    build.__doc__ = module.__doc__
    return build


class Tokens(nn.Module):
    """Patches of a picture as tokens ``(1, 16, 16)`` with positions, their scores, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, DIM, 8, 8)
        self.position = nn.Parameter(torch.zeros(1, SIDE * SIDE, DIM))
        self.score = nn.Linear(DIM, 1)
        self.mlp = nn.Sequential(nn.Linear(DIM, 2 * DIM), nn.GELU(), nn.Linear(2 * DIM, DIM))
        self.head = nn.Linear(DIM, CLASSES)

    def tokens(self, image: Tensor) -> Tensor:
        return self.embed(image).flatten(2).transpose(1, 2) + self.position

    def scores(self, tokens: Tensor) -> Tensor:
        return self.score(tokens).squeeze(-1)

    def classified(self, tokens: Tensor) -> Tensor:
        return self.head((tokens + self.mlp(tokens)).mean(1))


class Maps(nn.Module):
    """A picture as a map ``(1, 16, 16, 16)`` of channels, rows and columns, and a classifier."""

    def __init__(self, channels: int = DIM) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, DIM, 3, 2, 1)
        self.head = nn.Linear(channels, CLASSES)

    def maps(self, image: Tensor) -> Tensor:
        return self.stem(image)

    def classified(self, maps: Tensor) -> Tensor:
        return self.head(torch.relu(maps).mean((2, 3)))
