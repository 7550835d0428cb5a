"""The places a mask keeps, as an operator of a fixed number of them: what a boolean index comes down to.

    mask (n,) boolean, count k      places (k,) int64, ascending: those where the mask is true

``x[mask]`` is ``x.index_select(0, places)``, and ``x[mask] = y`` is ``x.index_copy(0, places, y)``. With the number as an argument every
shape that follows is static. The operator stands in programs only, where :mod:`edgekit.masks` has proved the number; a rewrite
spells it for a target.
"""

import torch
from torch import Tensor


@torch.library.custom_op("edgekit::kept_places", mutates_args=())
def kept_places(mask: Tensor, count: int) -> Tensor:
    """Map a mask ``(n,)`` to the ``count`` places where it is true, in order, ``(count,)`` int64.

    :raises ValueError: it is true at more or fewer places.
    """
    places = mask.nonzero().reshape(-1)
    if places.numel() != count:
        raise ValueError(f"a mask keeps {places.numel()} of {mask.numel()} places, not {count}")
    return places


@kept_places.register_fake
def _(mask: Tensor, count: int) -> Tensor:
    return mask.new_empty((count,), dtype=torch.int64)


KEPT_PLACES = torch.ops.edgekit.kept_places.default
