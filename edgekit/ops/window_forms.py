"""Static spellings of the window partition, each with its inverse, free of ranks the targets lack.

The natural partition ``b c (n1 h) (n2 w) -> (b n1 n2) c h w`` and the split into heads behind it move axes twice, at
rank 6 (Core ML stops at 5, LiteRT's GPU at 4). With one image the batch axis is free: cut and split become one move at
rank 6, one or two at rank 5, and two at rank 4. Every form maps

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
    """One spelling: where the channels stand, and the highest rank it may use (6, 5 or 4)."""

    layout: Layout
    max_rank: Literal[6, 5, 4]


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


def partition(x: Tensor, grid: Grid, heads: int, kind: Partition, form: WindowForm, *, transposed: bool = False) -> Tensor:
    """Cut a map into windows and heads.

    Channels last takes ``(1, H, W, heads * D)`` and gives ``(windows * heads, tokens, D)``, or with ``transposed``
    ``(windows * heads, D, tokens)``. Channels first takes ``(1, heads * D, H, W)`` and gives the latter always.
    """
    if form.layout == "channels_last":
        return _cut_channels_last(x, grid, heads, kind, form.max_rank, transposed=transposed)
    tokens = _cut_channels_first(x, grid, kind, form.max_rank)  # (windows, C, tokens)
    return tokens.reshape(grid.windows * heads, x.shape[1] // heads, grid.window**2)


def merge(x: Tensor, grid: Grid, heads: int, kind: Partition, form: WindowForm) -> Tensor:
    """Undo :func:`partition`: back to ``(1, H, W, heads * D)``, or channels first to ``(1, heads * D, H, W)``."""
    if form.layout == "channels_last":
        return _join_channels_last(x, grid, heads, kind, form.max_rank)
    return _join_channels_first(x, grid, heads * x.shape[1], kind, form.max_rank)


def _cut_channels_last(x: Tensor, g: Grid, heads: int, kind: Partition, max_rank: int, *, transposed: bool) -> Tensor:
    """``(1, H, W, heads * D)`` to ``(windows * heads, tokens, D)``, or ``(..., D, tokens)``: the last move takes either order."""
    w, n1, n2, c = g.window, g.rows, g.columns, x.shape[-1]
    d = c // heads

    def last_move(x: Tensor, batch: tuple[int, ...], tokens: tuple[int, ...], depth: int) -> Tensor:
        order = (*batch, depth, *tokens) if transposed else (*batch, *tokens, depth)
        shape = (g.windows * heads, d, w * w) if transposed else (g.windows * heads, w * w, d)
        return x.permute(order).reshape(shape)

    if g.windows == 1:
        return last_move(x.reshape(w * w, heads, d), (1,), (0,), 2)
    if kind == "neighbour":
        if max_rank == 6:
            return last_move(x.reshape(n1, w, n2, w, heads, d), (0, 2, 4), (1, 3), 5)
        x = x.reshape(n1, w, n2, w * c).permute(0, 2, 1, 3)  # rows of a window are runs of w * C values
        return last_move(x.reshape(g.windows, w * w, heads, d), (0, 2), (1,), 3)
    if max_rank >= 5:  # N2 and heads stand side by side before and after, so they move as one axis
        return last_move(x.reshape(w, n1, w, n2 * heads, d), (1, 3), (0, 2), 4)
    x = x.reshape(w, n1, w * n2 * c).permute(1, 0, 2)  # rows first: (N1, w, ...)
    return last_move(x.reshape(n1, w * w, n2 * heads, d), (0, 2), (1,), 3)


def _join_channels_last(x: Tensor, g: Grid, heads: int, kind: Partition, max_rank: int) -> Tensor:
    """``(windows * heads, tokens, D)`` to ``(1, H, W, heads * D)``."""
    w, n1, n2, d = g.window, g.rows, g.columns, x.shape[-1]
    c = heads * d
    if g.windows == 1:
        return x.permute(1, 0, 2).reshape(1, w, w, c)
    if kind == "neighbour":
        if max_rank == 6:
            return x.reshape(n1, n2, heads, w, w, d).permute(0, 3, 1, 4, 2, 5).reshape(1, g.height, g.width, c)
        x = x.reshape(g.windows, heads, w * w, d).permute(0, 2, 1, 3)
        return x.reshape(n1, n2, w, w * c).permute(0, 2, 1, 3).reshape(1, g.height, g.width, c)
    if max_rank >= 5:
        return x.reshape(n1, n2 * heads, w, w, d).permute(2, 0, 3, 1, 4).reshape(1, g.height, g.width, c)
    x = x.reshape(n1, n2 * heads, w * w, d).permute(0, 2, 1, 3)  # (N1, w * w, N2 heads, D)
    return x.reshape(n1, w, w * n2 * c).permute(1, 0, 2).reshape(1, g.height, g.width, c)


def _cut_channels_first(x: Tensor, g: Grid, kind: Partition, max_rank: int) -> Tensor:
    """``(1, C, H, W)`` to ``(windows, C, tokens)``."""
    w, n1, n2, c = g.window, g.rows, g.columns, x.shape[1]
    if g.windows == 1:
        return x.reshape(1, c, w * w)
    if max_rank >= 5:
        near = kind == "neighbour"
        x = x.reshape(c, n1, w, n2, w).permute(1, 3, 0, 2, 4) if near else x.reshape(c, w, n1, w, n2).permute(2, 4, 0, 1, 3)
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
    if max_rank >= 5:
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
