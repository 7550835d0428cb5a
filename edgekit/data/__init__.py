"""Real pictures and real weights: fetched, checked, read, and drawn in an order that is the same everywhere.

    from edgekit.data import SampleStream, open_data

    stream = SampleStream(pictures=open_data("cifar10:hold-out"), preprocessing=preprocessing, seed=0)
    taken = stream.take(500)     # taken.samples, taken.record() for a manifest

Names are imported when they are used: listing the catalogue needs no NumPy.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.data.open import open_data as open_data
    from edgekit.data.stream import SampleStream as SampleStream

_PUBLIC = {
    "SampleStream": "edgekit.data.stream",
    "open_data": "edgekit.data.open",
}

__all__ = ["SampleStream", "open_data"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'edgekit.data' has no attribute {name!r}")
