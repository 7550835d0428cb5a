"""What torchao puts behind a value while samples run, and asks for the value's scale afterwards."""

from typing import Any

import torch
from torch import Tensor
from torchao.quantization.pt2e.observer import ObserverBase

from edgekit.quantization.ranges import Histogram

_LEAST_SCALE = 1e-8
"""Of a value that is always zero; XNNPACK wants a normal number."""


class RangeObserver(ObserverBase):
    """Sees a value on every sample; its scale and zero point are those of the range with the least squared error.

    ``least_scale`` may be raised after the samples have run, where XNNPACK's kernels ask for it.
    """

    def __init__(self, dtype: torch.dtype = torch.int8, quant_min: int = -128, quant_max: int = 127, **others: Any) -> None:
        super().__init__(dtype=dtype, is_dynamic=False)
        self.quant_min, self.quant_max = quant_min, quant_max
        self.qscheme = others["qscheme"]
        self.seen = Histogram()
        self.least_scale = _LEAST_SCALE
        self._range: tuple[float, float] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Take a value in, and pass it on as it is."""
        self.seen.add(x.detach().numpy())
        self._range = None
        return x

    def calculate_qparams(self, **_: Any) -> tuple[Tensor, Tensor]:
        """Return scale and zero point, a number each."""
        if self._range is None:
            self._range = self.seen.range()
        low, high = self._range
        scale = max((high - low) / (self.quant_max - self.quant_min), self.least_scale)
        zero_point = min(max(round(self.quant_min - low / scale), self.quant_min), self.quant_max)
        return torch.tensor([scale], dtype=torch.float32), torch.tensor([zero_point])
