"""CIFAR-10 as training wants it: normalised tensors, and batches that are moved, mirrored and partly blanked."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from edgekit.data.open import open_data
from edgekit.data.pictures import PixelPictures
from edgekit.interface import Preprocessing

_SHIFT = 4


def cifar10(split: Literal["fit", "hold-out", "test"]) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures ``(N, 32, 32, 3)`` uint8 and labels ``(N,)`` int64, pulled before by ``edgekit data pull cifar10``."""
    found = open_data("cifar10", split=split)
    assert isinstance(found, PixelPictures)  # noqa: S101  for the type checker
    return found.pixels, found.labels


def normalised(pixels: np.ndarray, preprocessing: Preprocessing) -> Tensor:
    """Turn pictures ``(N, 32, 32, 3)`` uint8 into what the network takes, ``(N, 3, 32, 32)`` float32."""
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / std


def batches(images: Tensor, labels: Tensor, *, size: int, erased: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch: every picture once, in an order and with changes that follow from ``seed``; the ragged end is left out."""
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=draw)
    for start in range(0, len(images) - size + 1, size):
        chosen = order[start : start + size]
        yield changed(images[chosen], draw, erased), labels[chosen]


def changed(images: Tensor, draw: torch.Generator, erased: int) -> Tensor:
    """Move each picture by up to 4 pixels, mirror half of them, and blank a square of each; ``(B, 3, R, R)``."""
    count, side = len(images), images.shape[-1]
    padded = F.pad(images, (_SHIFT,) * 4, mode="reflect")
    top, left = (torch.randint(0, 2 * _SHIFT + 1, (count, 1), generator=draw) for _ in range(2))
    rows = (torch.arange(side)[None] + top)[:, None, :, None]
    columns = torch.arange(side)[None].expand(count, -1)
    mirrored = torch.rand(count, 1, generator=draw) < 0.5
    columns = (torch.where(mirrored, side - 1 - columns, columns) + left)[:, None, None, :]
    moved = padded[torch.arange(count)[:, None, None, None], torch.arange(3)[None, :, None, None], rows, columns]
    if not erased:
        return moved
    place = torch.arange(side)[None]
    y, x = (torch.randint(0, side, (count, 1), generator=draw) for _ in range(2))
    inside = ((place - y).abs() <= erased // 2)[:, None, :, None] & ((place - x).abs() <= erased // 2)[:, None, None, :]
    return moved.masked_fill(inside, 0.0)
