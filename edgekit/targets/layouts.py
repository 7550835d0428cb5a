"""Keeps the layouts of a file's inputs and outputs in the file: formats record shapes, not what the axes mean."""

import json
from collections.abc import Iterable
from typing import cast, get_args

from edgekit.interface import Layout, MethodSpec

LAYOUTS_KEY = "edgekit.layouts"
_LAYOUTS = frozenset(get_args(Layout))


def layouts_as_text(methods: Iterable[MethodSpec]) -> str:
    """Return ``{"forward": {"image": "NHWC", "logits": "NC"}}`` as JSON, for a file's metadata."""
    table = {method.name: {tensor.name: tensor.layout for tensor in (*method.inputs, *method.outputs)} for method in methods}
    return json.dumps(table, sort_keys=True)


def layout_from_text(text: str | None, method: str, tensor: str) -> Layout:
    """Return a tensor's layout from the text a file carries; ``other`` where the file says nothing usable."""
    try:
        layout = json.loads(text or "{}")[method][tensor]
    except (ValueError, LookupError, TypeError):
        return "other"
    return cast("Layout", layout) if layout in _LAYOUTS else "other"
