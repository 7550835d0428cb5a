"""Static spellings of the window partition, each with its inverse, free of ranks the targets lack.

The natural partition ``b c (n1 h) (n2 w) -> (b n1 n2) c h w`` has rank 6 (Core ML stops at 5, LiteRT's GPU at 4).
With one image the batch axis is free, and rows and columns can be cut one after the other. Every form maps

    (1, heads * D, H, W)  ->  (windows * heads, window * window, D)      channels last: tokens are rows
                          or  (windows * heads, D, window * window)      channels first: tokens are columns

Sizes below: N1 = H / w, N2 = W / w, C = heads * D, w = window.
"""

from typing import Literal

from attrs import frozen
from torch import Tensor

from edgekit.ops.spanning_attention import Partition

Layout = Literal["channels_last", "channels_first"]


@frozen
class WindowForm:
    """One spelling: where the channels stand, and the highest rank it may use (5 or 4)."""

    layout: Layout
    max_rank: Literal[5, 4]


@frozen
class Grid:
    """Sizes of one partition: a map of ``height x width`` tokens in windows of ``window x window``."""

    height: int
    width: int
    window: int

    @property
    def rows(self) -> int:
        """Windows along the height."""
        return self.height // self.window

    @property
    def columns(self) -> int:
        """Windows along the width."""
        return self.width // self.window

    @property
    def windows(self) -> int:
        """Number of windows."""
        return self.rows * self.columns


def partition(x: Tensor, grid: Grid, heads: int, kind: Partition, form: WindowForm) -> Tensor:
    """Cut a map ``(1, heads * D, H, W)`` into ``(windows * heads, tokens, D)``, or ``(..., D, tokens)`` channels first."""
    if form.layout == "channels_last":
        tokens = _cut_channels_last(x.permute(0, 2, 3, 1), grid, kind, form.max_rank)  # (windows, tokens, C)
        windows, count, channels = tokens.shape
        return tokens.reshape(windows, count, heads, channels // heads).permute(0, 2, 1, 3).reshape(windows * heads, count, channels // heads)
    tokens = _cut_channels_first(x, grid, kind, form.max_rank)  # (windows, C, tokens)
    return tokens.reshape(grid.windows * heads, x.shape[1] // heads, grid.window**2)


def merge(x: Tensor, grid: Grid, heads: int, kind: Partition, form: WindowForm) -> Tensor:
    """Undo :func:`partition`: back to ``(1, heads * D, H, W)``."""
    if form.layout == "channels_last":
        count, depth = x.shape[1:]
        tokens = x.reshape(grid.windows, heads, count, depth).permute(0, 2, 1, 3)  # (windows, tokens, heads, D)
        return _join_channels_last(tokens, grid, heads * depth, kind, form.max_rank).permute(0, 3, 1, 2)
    return _join_channels_first(x, grid, heads * x.shape[1], kind, form.max_rank)


def _cut_channels_last(x: Tensor, g: Grid, kind: Partition, max_rank: int) -> Tensor:
    """``(1, H, W, C)`` to ``(windows, tokens, C)``."""
    w, n1, n2, c = g.window, g.rows, g.columns, x.shape[-1]
    if g.windows == 1:
        return x.reshape(1, w * w, c)
    if kind == "neighbour":  # rows of a window are contiguous runs of w * C values
        return x.reshape(n1, w, n2, w * c).permute(0, 2, 1, 3).reshape(g.windows, w * w, c)
    if max_rank == 5:
        return x.reshape(w, n1, w, n2, c).permute(1, 3, 0, 2, 4).reshape(g.windows, w * w, c)
    x = x.reshape(w, n1, w * n2 * c).permute(1, 0, 2)  # rows first: (N1, w, ...)
    return x.reshape(n1, w * w, n2, c).permute(0, 2, 1, 3).reshape(g.windows, w * w, c)


def _join_channels_last(x: Tensor, g: Grid, c: int, kind: Partition, max_rank: int) -> Tensor:
    """Window tokens, ``(windows, tokens, ...)`` with ``C`` values each, to ``(1, H, W, C)``."""
    w, n1, n2 = g.window, g.rows, g.columns
    if g.windows == 1:
        return x.reshape(1, w, w, c)
    if kind == "neighbour":
        return x.reshape(n1, n2, w, w * c).permute(0, 2, 1, 3).reshape(1, g.height, g.width, c)
    if max_rank == 5:
        return x.reshape(n1, n2, w, w, c).permute(2, 0, 3, 1, 4).reshape(1, g.height, g.width, c)
    x = x.reshape(n1, n2, w * w, c).permute(0, 2, 1, 3)  # (N1, w * w, N2, C)
    return x.reshape(n1, w, w * n2 * c).permute(1, 0, 2).reshape(1, g.height, g.width, c)


def _cut_channels_first(x: Tensor, g: Grid, kind: Partition, max_rank: int) -> Tensor:
    """``(1, C, H, W)`` to ``(windows, C, tokens)``."""
    w, n1, n2, c = g.window, g.rows, g.columns, x.shape[1]
    if g.windows == 1:
        return x.reshape(1, c, w * w)
    if max_rank == 5:
        if kind == "neighbour":
            x = x.reshape(c, n1, w, n2, w).permute(1, 3, 0, 2, 4)
        else:
            x = x.reshape(c, w, n1, w, n2).permute(2, 4, 0, 1, 3)
        return x.reshape(g.windows, c, w * w)
    if kind == "neighbour":
        x = x.reshape(c * n1, w, n2, w).permute(0, 2, 1, 3)  # (C N1, N2, w, w)
    else:
        x = x.reshape(c, w, n1, w * n2).permute(0, 2, 1, 3)  # (C, N1, w, w N2)
        x = x.reshape(c * n1, w * w, n2).permute(0, 2, 1)  # (C N1, N2, w w)
    return x.reshape(c, g.windows, w * w).permute(1, 0, 2)


def _join_channels_first(x: Tensor, g: Grid, c: int, kind: Partition, max_rank: int) -> Tensor:
    """``(windows * heads, D, tokens)`` to ``(1, C, H, W)``."""
    w, n1, n2 = g.window, g.rows, g.columns
    if g.windows == 1:
        return x.reshape(1, c, w, w)
    if max_rank == 5:
        x = x.reshape(n1, n2, c, w, w)
        x = x.permute(2, 0, 3, 1, 4) if kind == "neighbour" else x.permute(2, 3, 0, 4, 1)
        return x.reshape(1, c, g.height, g.width)
    x = x.reshape(g.windows, c, w * w).permute(1, 0, 2)
    if kind == "neighbour":
        x = x.reshape(c * n1, n2, w, w).permute(0, 2, 1, 3)
    else:
        x = x.reshape(c * n1, n2, w * w).permute(0, 2, 1)  # (C N1, w w, N2)
        x = x.reshape(c, n1, w, w * n2).permute(0, 2, 1, 3)  # (C, w, N1, w N2)
    return x.reshape(1, c, g.height, g.width)
