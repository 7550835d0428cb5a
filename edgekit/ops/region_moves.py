"""Take the k regions with the highest scores out of a row of tokens, and put them back: by indices, or by products.

    by index    i = topk(s, k)            taken = x[i]                   back: x[i] = taken
    one-hot     P[r, i] = (rank_i == r)   taken = P x     (1 + k, C)     back: left * x + P^T taken    left = rank > k

Token 0, the class token, is always taken, as the first. Exactly k regions are: of equal scores at the limit the one-hot form
takes the first, top-k any.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.ops.region_order import RegionRanks, at_least_one


class IndexMoves(nn.Module):
    """By the indices that top-k gives. ``regions`` are those to choose from, ``count`` those to take."""

    full_precision = True

    def __init__(self, regions: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.home = 1 + regions

    def forward(self, scores: Tensor) -> Tensor:
        """Map scores ``(1, n)`` to the places of the tokens taken, ``(1 + k,)``."""
        if self.count == 0:
            return torch.zeros(1, dtype=torch.int64, device=scores.device)
        return F.pad(torch.topk(scores.reshape(-1), self.count).indices + 1, (1, 0))

    def take(self, places: Tensor, x: Tensor) -> Tensor:
        """Return the tokens taken, ``(1, 1 + k, C)``, of ``(1, 1 + n, C)``."""
        return x.index_select(1, places)

    def put_back(self, places: Tensor, x: Tensor, taken: Tensor) -> Tensor:
        """Return ``x`` with the tokens taken replaced."""
        return x.index_copy(1, places, taken)

    def spread(self, places: Tensor, taken: Tensor) -> Tensor:
        """Return ``(1, 1 + n, C)`` with the tokens taken in their places and 0 elsewhere."""
        return taken.new_zeros(1, self.home, taken.shape[2]).index_copy(1, places, taken)


class OneHotPlaces(NamedTuple):
    """``matrix`` ``(1, 1 + k, 1 + n)``: row r has a 1 for the token that comes as number r. ``left`` ``(1, 1 + n, 1)``: 1 for those not taken."""

    matrix: Tensor
    left: Tensor


class OneHotMoves(nn.Module):
    """By products with a matrix of zeros and ones. A NaN or an infinity in any token reaches all of them.

    Who is taken is computed in float32; the products are exact in any precision.

    :param compare: see :class:`RegionRanks`.
    """

    full_precision = True
    alone: Tensor
    rows: Tensor

    def __init__(self, regions: int, count: int, *, compare: bool = False) -> None:
        super().__init__()
        self.count = count
        self.ranks = RegionRanks(regions, compare=compare)
        self.register_buffer("alone", torch.eye(1, 1 + regions), persistent=False)
        self.register_buffer("rows", torch.arange(1 + count, dtype=torch.float32).reshape(-1, 1), persistent=False)

    def forward(self, scores: Tensor) -> OneHotPlaces:
        """Map scores ``(1, n)`` to who is taken and who is left."""
        if self.count == 0:  # the class token alone, whatever the scores
            alone = self.alone.to(scores.dtype)
            return OneHotPlaces(alone.unsqueeze(0), 1.0 - alone.unsqueeze(-1))
        order = F.pad(self.ranks(scores).reshape(1, -1) + 1.0, (1, 0))  # the class token is number 0, a region its rank + 1
        matrix = F.relu(1.0 - (order - self.rows.to(order.dtype)).abs()).reshape(1, 1 + self.count, -1)
        return OneHotPlaces(matrix, at_least_one(order - float(self.count)).reshape(1, -1, 1))

    def take(self, places: OneHotPlaces, x: Tensor) -> Tensor:
        """Return the tokens taken, ``(1, 1 + k, C)``, of ``(1, 1 + n, C)``."""
        return torch.bmm(places.matrix, x)

    def put_back(self, places: OneHotPlaces, x: Tensor, taken: Tensor) -> Tensor:
        """Return ``x`` with the tokens taken replaced."""
        return x * places.left + self.spread(places, taken)

    def spread(self, places: OneHotPlaces, taken: Tensor) -> Tensor:
        """Return ``(1, 1 + n, C)`` with the tokens taken in their places and 0 elsewhere."""
        return torch.bmm(places.matrix.transpose(1, 2), taken)
