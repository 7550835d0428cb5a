"""Compares an artifact with its program operator by operator, and finds the first operator that differs.

A comparison of outputs can hide a wrong operator behind a small factor further on; this one cannot. It also tells where
to look: the operator, the module and the line of the model that it comes from.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.export import ExportedProgram

from edgekit.evaluate import evaluate
from edgekit.targets.base import Interpreted, TracedValue
from edgekit.user_code import model_line
from edgekit.verification.parity import OperatorParity, sqnr_db

Array = np.ndarray

OPERATOR_SQNR_DB = 80.0
"""Each operator's value against the program's, both in float32 with the same weights.

All five EMOv2 at 224, 5M at 320 and 512: 99 dB at the worst operator."""


def compare_operators(
    executable: Interpreted,
    method: str,
    program: ExportedProgram,
    inputs: Mapping[str, Array],
    *,
    stored: Callable[[torch.Tensor], torch.Tensor],
) -> OperatorParity:
    """Run an artifact and its program on one input and compare every value that both have.

    :param executable: in the numerics to compare in. :param stored: what storing did to the program's weights.
    """
    nodes = {node.name: node for node in program.graph.nodes if node.op == "call_function"}
    expected = evaluate(program, [torch.from_numpy(_as_float(value)) for value in inputs.values()], set(nodes), stored=stored)
    search = _Search(nodes, expected)
    executable.trace(method, inputs, search.look_at)
    return search.result()


def _as_float(value: Array) -> Array:
    return np.asarray(value, dtype=np.float32) if value.dtype.kind in "fu" else value


def _sqnr_of_finite(want: Array, got: Array) -> float:
    """Compare two values whose infinities have to be the same: attention masks are full of them."""
    finite = np.isfinite(want)
    if not np.array_equal(finite, np.isfinite(got)) or not np.array_equal(want[~finite], got[~finite]):
        return -np.inf
    return sqnr_db(want[finite], got[finite])


class _Search:
    """Sees every value of the artifact in order and remembers the worst, and the first out of tolerance."""

    def __init__(self, nodes: Mapping[str, fx.Node], expected: Mapping[str, Any]) -> None:
        self._nodes = nodes
        self._expected = expected
        self._operators = 0
        self._compared = 0
        self._worst: tuple[float, str] | None = None
        self._first: str | None = None

    def look_at(self, traced: TracedValue) -> None:
        self._operators += 1
        want = self._expected.get(traced.node)
        if isinstance(want, (list, tuple)):
            want = want[traced.position or 0]
        # Another shape: a converter moved a transpose into its neighbour; that neighbour's own value is compared.
        if want is None or tuple(want.shape) != traced.value.shape or not want.is_floating_point():
            return
        self._compared += 1
        sqnr = _sqnr_of_finite(want.numpy(), traced.value)
        if self._worst is None or sqnr < self._worst[0]:
            self._worst = (sqnr, self._describe(traced))
        if sqnr < OPERATOR_SQNR_DB and self._first is None:
            self._first = f"{self._describe(traced)}: {sqnr:.1f} dB"

    def _describe(self, traced: TracedValue) -> str:
        node = self._nodes[traced.node]
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        module = stack[-1][0] if stack else ""
        line = model_line(node.meta.get("stack_trace"))
        return ", ".join(part for part in (f"{traced.operator} {traced.name}", f"module {module}" if module else "", line) if part)

    def result(self) -> OperatorParity:
        return OperatorParity(
            operators=self._operators,
            compared=self._compared,
            min_sqnr_db=None if self._worst is None else float(max(self._worst[0], -1e3)),
            limit_db=OPERATOR_SQNR_DB,
            worst=None if self._worst is None else self._worst[1],
            first_divergence=self._first,
        )
