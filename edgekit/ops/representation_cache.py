"""The tokens of one image between passes: those still active stand together, those dropped are back at home.

    home      c 0 1 2 3 4 5        keep(0 1 1 0 1 0)        keep(1 0 1)
    active    c 0 1 2 3 4 5   ->   c 1 2 4             ->   c 1 4
    stored    . . . . . . .        . 0 . . 3 . 5            . 0 . 2 3 . 5        restored(): c 0 1 2 3 4 5

A dropped token is written once, when it is dropped; the active ones once, at the end. Nothing is gathered twice.
Source: IMC-Net, arXiv 2507.21761, representation caching.
"""

import torch
from torch import Tensor


class RepresentationCache:
    """Tokens ``(1 + N, C)`` of one image, the class token first; it is always active.

    ``active`` holds the active tokens, ``(1 + n, C)``: read it, and assign what a pass made of it.
    """

    def __init__(self, tokens: Tensor) -> None:
        self.active = tokens
        self._stored = torch.empty_like(tokens)
        self._home = torch.arange(len(tokens), device=tokens.device)

    def keep(self, regions: Tensor) -> Tensor:
        """Drop the active regions that the mask ``regions``, ``(n,)`` boolean, does not name.

        Returns the mask over the active tokens, ``(1 + n,)``, for what is kept beside them.
        """
        tokens = torch.cat([regions.new_ones(1), regions])
        self._stored[self._home[~tokens]] = self.active[~tokens]
        self.active, self._home = self.active[tokens], self._home[tokens]
        return tokens

    def active_regions(self) -> Tensor:
        """Return which of the N regions are active, ``(N,)`` boolean."""
        mask = torch.zeros(len(self._stored), dtype=torch.bool, device=self._home.device)
        mask[self._home] = True
        return mask[1:]

    def at_home(self, values: Tensor) -> Tensor:
        """Spread one value an active token, ``(1 + n,)``, over the regions, ``(N,)``; 0 where a region is not active."""
        return values.new_zeros(len(self._stored)).index_copy(0, self._home, values)[1:]

    def restored(self) -> Tensor:
        """Return all tokens in their first order, ``(1 + N, C)``; the cache is spent then."""
        self._stored[self._home] = self.active
        return self._stored
