"""The places a mask keeps while their number is assumed, not proved: what a captured program holds at first.

mask (n,) boolean, count k, site      places (k,) int64                   site: the number of the call in the forward
"""

import torch
from torch import Tensor
from torch.fx.node import has_side_effect


@torch.library.custom_op("edgekit::assumed_places", mutates_args=())
def assumed_places(mask: Tensor, count: int, site: int) -> Tensor:
    """Map a mask ``(n,)`` to the places where it is true, ``(count,)`` int64; only shapes are computed with it.

    :raises RuntimeError: it is run.
    """
    raise RuntimeError(f"the mask at site {site} of {mask.numel()} places: that it keeps {count} has not been proved")


@assumed_places.register_fake
def _(mask: Tensor, count: int, site: int) -> Tensor:
    del site
    return mask.new_empty((count,), dtype=torch.int64)


ASSUMED_PLACES = torch.ops.edgekit.assumed_places.default

# Capturing removes what nobody reads. The number may be all that is read of x[mask], and it has to be proved then, too.
has_side_effect(ASSUMED_PLACES)
