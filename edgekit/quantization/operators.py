"""Stored weights as operators of a captured program: what a target's converter is told, and what the program is computed with.

    looked_up   indices uint8 (O, ...), tables (G, entries)             ->  (O, ...): rows O/G at a time share a table
    scaled      integers int8 (O, I, ...), scales (O, B, 1, ...), bits  ->  (O, I, ...): I/B weights in a row share a scale

``bits`` is how many of them an integer takes in a file.
"""

import torch
from torch import Tensor


@torch.library.custom_op("edgekit::looked_up", mutates_args=())
def looked_up(indices: Tensor, tables: Tensor) -> Tensor:
    """Return each index's entry of its rows' table."""
    rows = indices.reshape(tables.shape[0], -1).long()
    return torch.gather(tables, 1, rows).reshape(indices.shape)


@looked_up.register_fake
def _(indices: Tensor, tables: Tensor) -> Tensor:
    return torch.empty(indices.shape, dtype=tables.dtype, device=tables.device)


@torch.library.custom_op("edgekit::scaled", mutates_args=())
def scaled(integers: Tensor, scales: Tensor, bits: int) -> Tensor:  # noqa: ARG001  for the file
    """Return each integer times its block's scale."""
    return integers.to(scales.dtype) * scales.repeat_interleave(integers.shape[1] // scales.shape[1], dim=1)


@scaled.register_fake
def _(integers: Tensor, scales: Tensor, bits: int) -> Tensor:  # noqa: ARG001
    return torch.empty(integers.shape, dtype=scales.dtype, device=scales.device)
