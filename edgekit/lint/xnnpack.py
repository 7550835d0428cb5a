"""Rules for XNNPACK, from what it really took: of a ``.tflite`` when LiteRT loads it here, of a ``.pte`` when it was written."""

from collections.abc import Callable, Iterator
from typing import Any

from edgekit.lint.rules import Hit, Rule
from edgekit.targets.executorch.partition import PteMethod
from edgekit.targets.tflite.graph import TfliteGraph

_ACCELERATOR = "XNNPACK"
_LITERT = "https://github.com/google-ai-edge/LiteRT/blob/main/tflite/delegates/xnnpack/README.md"
_EXECUTORCH = "https://docs.pytorch.org/executorch/stable/backends/xnnpack/xnnpack-partitioner.html"
_VERIFIED = "2026-11-21"
_BACKEND = "XnnpackBackend"

_INSTEAD = {
    "argmax": "return the values and take the largest outside",
    "argmin": "return the values and take the smallest outside",
    "topk": "return the values and select outside, or compare with a threshold",
    "gather": "a product with a mask, or select outside",
    "native_layer_norm": "write the normalization as convolutions or as arithmetic (rewrites layer_norm_as_convs, layer_norm_as_arithmetic)",
    "expand_copy": "let the next operator broadcast",
    "cast": "keep the value in float32",
    "pow": "a product",
    "sum": "a mean, times the number of elements",
}
"""By the bare name of an operator, ``ARG_MAX`` and ``aten::argmax.out`` alike."""


def _bare(kind: str) -> str:
    name = kind.rpartition("::")[2].partition(".")[0].lower()
    return {"arg_max": "argmax", "arg_min": "argmin", "topk_v2": "topk", "gather_nd": "gather"}.get(name, name)


def _outside_tflite(graph: TfliteGraph) -> Iterator[Hit]:
    for operator in graph.operators:
        if operator.delegated is False:
            yield Hit(
                method=graph.method,
                operator=operator.kind,
                name=operator.name,
                problem="runs in LiteRT's own kernel",
                node=operator.node,
                module=operator.module,
                hint=_INSTEAD.get(_bare(operator.kind)),
            )


def _outside_pte(method: PteMethod) -> Iterator[Hit]:
    if not takes_xnnpack(method):
        return
    for call in method.outside:
        name, problem, hint = f"instruction {call.instruction}", "runs in a portable kernel", _INSTEAD.get(_bare(call.kernel))
        yield Hit(method=method.method, operator=call.kernel, name=name, problem=problem, hint=hint)


def _parts_tflite(graph: TfliteGraph) -> Iterator[Hit]:
    if graph.delegates is not None and graph.delegates > 1:
        yield Hit(method=graph.method, operator="DELEGATE", name=graph.method, problem=f"XNNPACK takes it in {graph.delegates} parts")


def _parts_pte(method: PteMethod) -> Iterator[Hit]:
    if takes_xnnpack(method) and len(method.backends) > 1:
        problem = f"XNNPACK takes it in {len(method.backends)} parts"
        yield Hit(method=method.method, operator="DelegateCall", name=method.method, problem=problem)


def takes_xnnpack(method: PteMethod) -> bool:
    """Whether a method is for XNNPACK, or for no backend at all; what another backend leaves outside is not XNNPACK's matter."""
    return set(method.backends) <= {_BACKEND}


Check = Callable[[Any], Iterator[Hit]]

_OUTSIDE = "operators that XNNPACK does not take run in slower kernels, and cut the graph in parts"
_PARTS = "between two parts values are copied, and no layout or memory is shared"


def _rules(source: str, outside: Check, parts: Check) -> tuple[Rule, ...]:
    """Return the two rules for one format."""
    return (
        Rule(
            id="xnnpack-outside",
            accelerator=_ACCELERATOR,
            severity="warning",
            statement=_OUTSIDE,
            hint="another operator of XNNPACK's list, or the same outside the model",
            source=source,
            verified=_VERIFIED,
            check=outside,
        ),
        Rule(
            id="xnnpack-parts",
            accelerator=_ACCELERATOR,
            severity="info",
            statement=_PARTS,
            hint="bring the operators outside (xnnpack-outside) to the beginning or the end, or inside",
            source=source,
            verified=_VERIFIED,
            check=parts,
        ),
    )


TFLITE_RULES: tuple[Rule, ...] = _rules(_LITERT, _outside_tflite, _parts_tflite)
PTE_RULES: tuple[Rule, ...] = _rules(_EXECUTORCH, _outside_pte, _parts_pte)
