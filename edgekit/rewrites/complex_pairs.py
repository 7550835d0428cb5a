"""Values of complex numbers as pairs of real ones: what :mod:`edgekit.rewrites.spectra_by_products` builds.

z (...) complex      ->   re (...), im (...)
z * w                     re re' - im im', re im' + im re'
fft(z, axis)              re C + im S, im C - re S         C, S (n, m): cosines and sines of 2 pi j k / m
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from attrs import frozen
from torch import Tensor, fx

from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_ATEN = torch.ops.aten
FORWARD = {
    _ATEN.fft_fft.default: 1,
    _ATEN.fft_rfft.default: 1,
    _ATEN.fft_fft2.default: 2,
    _ATEN.fft_rfft2.default: 2,
    _ATEN.fft_fftn.default: 2,
    _ATEN.fft_rfftn.default: 2,
}
"""Transforms, by how their sizes and axes are given: 1 one of each, 2 lists."""
INVERSE = {_ATEN.fft_ifft.default: 1, _ATEN.fft_ifft2.default: 2, _ATEN.fft_ifftn.default: 2}
TO_REAL = {_ATEN.fft_irfft.default: 1, _ATEN.fft_irfft2.default: 2, _ATEN.fft_irfftn.default: 2}
HALVES = (_ATEN.fft_rfft.default, _ATEN.fft_rfft2.default, _ATEN.fft_rfftn.default)
"""Transforms of real values that give the first half of the last axis."""
MOVES = tuple(
    getattr(getattr(_ATEN, name), overload)
    for name, overload in (
        *(
            (name, "default")
            for name in ("reshape", "view", "permute", "unsqueeze", "expand", "contiguous", "clone", "roll", "flip", "constant_pad_nd")
        ),
        *((name, "int") for name in ("transpose", "select")),
        ("slice", "Tensor"),
        ("squeeze", "dim"),
        ("flatten", "using_ints"),
    )
)
"""What moves numbers about does so to both parts."""
_CONJUGATES = (_ATEN._conj.default, _ATEN.conj_physical.default)  # noqa: SLF001
_SCALES = (_ATEN.mul.Tensor, _ATEN.mul.Scalar, _ATEN.div.Tensor, _ATEN.div.Scalar)
_SUMS = {_ATEN.add.Tensor: 1, _ATEN.sub.Tensor: -1}

Pair = tuple[fx.Node, fx.Node]


@frozen
class Axis:
    """One axis of a transform: ``taken`` values of it, a transform of length ``length``, which ``given`` values are kept of, and its factor."""

    axis: int
    taken: int
    length: int
    given: int
    factor: float


def axes_of(node: fx.Node) -> list[Axis]:
    """Return the axes of a transform in the order of its arguments; the last is the one that is halved, if any."""
    kind = (FORWARD | INVERSE | TO_REAL)[node.target]  # type: ignore[index]
    source = shape_of(argument(node, 0, "self"))
    shape, rank = shape_of(node), len(source)
    sizes = argument(node, 1, "n" if kind == 1 else "s")
    default: Any = -1 if kind == 1 else ([-2, -1] if "2" in str(node.target).rsplit("fft", 1)[-1] else None)
    axes = argument(node, 2, "dim", default)
    axes = [axes] if isinstance(axes, int) else axes
    if axes is None:
        axes = range(rank) if sizes is None else range(rank - len(sizes), rank)
    found: list[Axis] = []
    for axis in axes:
        place = axis % rank
        length = source[place] if place != [a % rank for a in axes][-1] or node.target not in (*HALVES, *TO_REAL) else None
        if length is None and node.target in HALVES:
            length = source[place]
        given = shape[place]
        wanted = None if sizes is None else (sizes if isinstance(sizes, int) else sizes[len(found)])
        if wanted is not None and wanted != -1:
            length = int(wanted)
        if length is None:
            length = given  # of an inverse that gives real numbers
        found.append(Axis(place, source[place], length, given, _factor(node, length)))
    return found


def _factor(node: fx.Node, length: int) -> float:
    norm = argument(node, 3, "norm") or "backward"
    if norm == "ortho":
        return 1 / math.sqrt(length)
    return 1 / length if (norm == "forward") == (node.target in FORWARD) else 1.0


def waves(axis: Axis, *, inverse: bool) -> tuple[Tensor, Tensor]:
    """Return the cosines and sines ``(taken, given)`` of one axis, with the factor in them; what a length cuts off is zero."""
    here, there = torch.arange(axis.taken, dtype=torch.int64), torch.arange(axis.given, dtype=torch.int64)
    angle = (here[:, None] * there % axis.length).double() * (2 * math.pi / axis.length)
    inside = (here < axis.length).double()[:, None] * axis.factor
    return (angle.cos() * inside).float(), (angle.sin() * inside * (-1 if inverse else 1)).float()


def half_waves(axis: Axis) -> tuple[Tensor, Tensor]:
    """Return what brings the first half of a spectrum, real and imaginary parts apart, to ``given`` real values: two of ``(taken, given)``."""
    half = axis.length // 2
    here, there = torch.arange(axis.taken, dtype=torch.int64), torch.arange(axis.given, dtype=torch.int64)
    angle = (here[:, None] * there % axis.length).double() * (2 * math.pi / axis.length)
    twice = torch.where((here == 0) | ((here == half) & (axis.length % 2 == 0)), 1.0, 2.0).double() * (here <= half)
    weight = twice[:, None] * axis.factor
    return (angle.cos() * weight).float(), (-angle.sin() * weight).float()


def is_complex(node: Any) -> bool:
    """Whether a node holds complex numbers."""
    return isinstance(node, fx.Node) and isinstance(value := node.meta.get("val"), Tensor) and value.is_complex()


def obstacle(node: fx.Node) -> str | None:
    """Return what of a complex value cannot be written as a pair, in words; None if all can."""
    if not is_complex(node):
        return None
    if node.op != "call_function":
        return f"{node.name} is complex from outside"
    known = (
        *FORWARD,
        *INVERSE,
        *MOVES,
        *_SCALES,
        *_SUMS,
        _ATEN.view_as_complex.default,
        _ATEN.complex.default,
        *_CONJUGATES,
        _ATEN.neg.default,
    )
    if not is_call(node, *known, _ATEN.matmul.default, _ATEN.bmm.default):
        return f"{node.target} of complex numbers is not one of those that are taken apart"
    if is_call(node, _ATEN.div.Tensor, _ATEN.div.Scalar) and (is_complex(node.args[1]) or isinstance(node.args[1], complex)):
        return "it divides by a complex number"
    if any(isinstance(value, complex) for value in node.args):
        return "it has a complex number in its arguments"
    return next((found for source in node.all_input_nodes if (found := obstacle(source)) is not None), None)


@frozen
class PairBuilder:
    """Adds, before a node, the two parts of complex values. ``built`` holds what has been added, by the complex node."""

    editor: ProgramEditor
    before: fx.Node
    built: dict[fx.Node, Pair]

    def call(self, op: Callable[..., Any], *args: Any, **kwargs: Any) -> fx.Node:
        """Add an operator."""
        return self.editor.call(op, *args, before=self.before, **kwargs)

    def pair(self, node: fx.Node) -> Pair:
        """Return both parts of a complex value that has no obstacle."""
        if node not in self.built:
            self.built[node] = self._build(node)
        return self.built[node]

    def _build(self, node: fx.Node) -> Pair:
        first: Any = node.args[0] if node.args else None
        if is_call(node, _ATEN.view_as_complex.default):
            return self.call(_ATEN.select.int, first, -1, 0), self.call(_ATEN.select.int, first, -1, 1)
        if is_call(node, _ATEN.complex.default):
            return first, node.args[1]  # type: ignore[return-value]
        if is_call(node, *FORWARD, *INVERSE):
            return self._transform(node)
        if is_call(node, *_SUMS):
            return self._sum(node)
        if is_call(node, *_SCALES, _ATEN.matmul.default, _ATEN.bmm.default):
            return self._product(node)
        real, imaginary = self.pair(first)
        if is_call(node, *_CONJUGATES):
            return real, self.call(_ATEN.neg.default, imaginary)
        rest = node.args[1:]
        return self.call(node.target, real, *rest, **node.kwargs), self.call(node.target, imaginary, *rest, **node.kwargs)  # type: ignore[arg-type]

    def _sum(self, node: fx.Node) -> Pair:
        left, right = (self._parts(value) for value in node.args[:2])
        if left is None or right is None:
            return self._sum_with_real(node, left, right)
        return tuple(self.call(node.target, one, other, **node.kwargs) for one, other in zip(left, right, strict=True))  # type: ignore[arg-type, return-value]

    def _sum_with_real(self, node: fx.Node, left: Pair | None, right: Pair | None) -> Pair:
        """A real summand reaches the real part only; the shape of the other is the same only without broadcasting."""
        if left is not None:
            zero = self.call(_ATEN.mul.Tensor, left[1], 1.0)
            real = self.call(node.target, left[0], node.args[1], **node.kwargs)  # type: ignore[arg-type]
            return real, self._like(zero, real)
        assert right is not None  # noqa: S101  one of the two is complex, since the sum is
        real = self.call(node.target, node.args[0], right[0], **node.kwargs)  # type: ignore[arg-type]
        return real, self._like(self.call(_ATEN.mul.Tensor, right[1], float(_SUMS[node.target])), real)  # type: ignore[index]

    def _like(self, part: fx.Node, other: fx.Node) -> fx.Node:
        return part if shape_of(part) == shape_of(other) else self.call(_ATEN.expand.default, part, list(shape_of(other)))

    def _product(self, node: fx.Node) -> Pair:
        left, right = (self._parts(value) for value in node.args[:2])
        times: Callable[[Any, Any], fx.Node] = lambda one, other: self.call(node.target, one, other)  # type: ignore[arg-type]  # noqa: E731
        if right is None:
            return times(left[0], node.args[1]), times(left[1], node.args[1])  # type: ignore[index]
        if left is None:
            return times(node.args[0], right[0]), times(node.args[0], right[1])
        (a, b), (c, d) = left, right
        return self.call(_ATEN.sub.Tensor, times(a, c), times(b, d)), self.call(_ATEN.add.Tensor, times(a, d), times(b, c))

    def _parts(self, value: Any) -> Pair | None:
        return self.pair(value) if is_complex(value) else None

    def _transform(self, node: fx.Node) -> Pair:
        source: Any = argument(node, 0, "self")
        real, imaginary = self.pair(source) if is_complex(source) else (source, None)
        # The halved axis first: it is the last of the arguments, and the only one that takes real numbers.
        for axis in reversed(axes_of(node)):
            real, imaginary = self.along(axis, real, imaginary, inverse=node.target in INVERSE)
        return real, imaginary  # type: ignore[return-value]

    def along(self, axis: Axis, real: fx.Node, imaginary: fx.Node | None, *, inverse: bool) -> Pair:
        """Transform one axis of a pair, or of a real value."""
        cosines, sines = self._waves(axis, waves(axis, inverse=inverse), "backwards" if inverse else "forwards")
        if imaginary is None:
            return self.times(real, cosines, axis.axis), self.call(_ATEN.neg.default, self.times(real, sines, axis.axis))
        added = self.call(_ATEN.add.Tensor, self.times(real, cosines, axis.axis), self.times(imaginary, sines, axis.axis))
        return added, self.call(_ATEN.sub.Tensor, self.times(imaginary, cosines, axis.axis), self.times(real, sines, axis.axis))

    def real_along(self, axis: Axis, real: fx.Node, imaginary: fx.Node) -> fx.Node:
        """Bring the half of a spectrum back to real values."""
        cosines, sines = self._waves(axis, half_waves(axis), "to_real")
        return self.call(_ATEN.add.Tensor, self.times(real, cosines, axis.axis), self.times(imaginary, sines, axis.axis))

    def times(self, x: fx.Node, matrix: fx.Node, axis: int) -> fx.Node:
        """Multiply one axis of a value with a matrix."""
        rank = len(shape_of(x))
        if axis == rank - 1:
            return self.call(_ATEN.matmul.default, x, matrix)
        order = [place for place in range(rank) if place != axis] + [axis]
        last = self.call(_ATEN.matmul.default, self.call(_ATEN.permute.default, x, order), matrix)
        return self.call(_ATEN.permute.default, last, [order.index(place) for place in range(rank)])

    def _waves(self, axis: Axis, values: tuple[Tensor, Tensor], way: str) -> tuple[fx.Node, fx.Node]:
        name = f"waves_{way}_{axis.taken}_{axis.length}_{axis.given}"
        return self.editor.add_constant(f"{name}_cosines", values[0]), self.editor.add_constant(f"{name}_sines", values[1])
