"""Changes a captured program into what Core ML Tools should see. Every step works on the program in place.

before   image: (1, 3, H, W) normalised -> ... -> alias -> ... -> logits
after    image: (1, 3, H, W) in 0..255 -> (image - m) * a + c -> ... -> logits[, softmax(logits)]
or       image: (1, 3, H, W) in 0..255 -> image - m -> conv of weights W * a, bias b + W c -> ..., where the convolution pads nothing
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind, OutputSpec, TensorArgument
from torch.fx import Node

from edgekit.errors import LoweringError
from edgekit.interface import MethodSpec, Preprocessing
from edgekit.targets.base import Metadata
from edgekit.targets.stored_weights import add_constant

_CONVOLUTION = torch.ops.aten.conv2d.default
_ALIASES = (torch.ops.aten.alias.default, torch.ops.aten.lift_fresh_copy.default)


def prepared(program: ExportedProgram, method: MethodSpec, metadata: Metadata) -> ExportedProgram:
    """Return the program that Core ML Tools is given. It keeps the nodes' names, so the package's values can be told by them.

    :raises LoweringError: a picture is asked for, and the model does not say how pixels are normalised.
    """
    # An empty table decomposes nothing but what functional form asks for: layer_norm, gelu, softmax, linear and
    # conv2d stay whole, and Core ML Tools has an operator for each.
    program = program.run_decompositions({})
    drop_aliases(program)
    name_inputs(program, [tensor.name for tensor in method.inputs])
    for tensor in method.inputs:
        if tensor.dtype != "image":
            continue
        if metadata.preprocessing is None:
            raise LoweringError(
                f"input {tensor.name} cannot be a picture", why="the model does not say how pixels are normalised", hint="--input tensor"
            )
        normalise_pixels(program, tensor.name, metadata.preprocessing)
    if metadata.labels:
        add_probabilities(program)
    program.graph_module.recompile()
    return program


def drop_aliases(program: ExportedProgram) -> None:
    """Remove nodes that give another name to the same values; Core ML Tools has no form for them."""
    for node in list(program.graph.nodes):
        if node.op == "call_function" and node.target in _ALIASES:
            node.replace_all_uses_with(node.args[0])
            program.graph.erase_node(node)


def name_inputs(program: ExportedProgram, names: Sequence[str]) -> None:
    """Give the inputs these names; Core ML Tools names a function's inputs after them."""
    specs = [spec for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT]
    nodes = {node.name: node for node in program.graph.nodes}
    for position, spec in enumerate(specs):  # out of the way first, in case two swap names
        nodes[spec.arg.name]._rename(f"edgekit_input_{position}")  # noqa: SLF001 - keeps the graph's names unique
    taken = {node.name: node for node in program.graph.nodes}
    for position, (spec, name) in enumerate(zip(specs, names, strict=True)):
        if name in taken:
            taken[name]._rename(f"{name}_inner")  # noqa: SLF001
        taken[f"edgekit_input_{position}"]._rename(name)  # noqa: SLF001
        spec.arg.name = name


def normalisation(preprocessing: Preprocessing) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ``m``, ``a``, ``c``, each ``(1, 3, 1, 1)``, so that ``(pixel - m) * a + c`` normalises a pixel in 0..255.

    ``m`` is ``255 * mean`` rounded to half precision: the subtraction of it is then exact for every pixel, what the
    rounding took comes back through ``c``. In half precision the root-mean-square error over all pixel values is
    5.1e-4 this way, 7.8e-4 as ``pixel * a + b``; rounding the exact result alone gives 2.7e-4. Folding into a padded
    convolution would be wrong at the borders: it pads with zeros that are normalised values, not pixels. ``ImageType``
    has a single scale for all channels.
    """
    mean, std = (np.asarray(values, dtype=np.float64).reshape(1, 3, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    m = (255 * mean).astype(np.float16).astype(np.float64)
    a = 1 / (255 * std)
    c = (m - 255 * mean) * a
    return m.astype(np.float32), a.astype(np.float32), c.astype(np.float32)


def normalise_pixels(program: ExportedProgram, name: str, preprocessing: Preprocessing) -> None:
    """Prepend the normalisation of pixels in 0..255 to the input of this name."""
    image = next(node for node in program.graph.nodes if node.op == "placeholder" and node.name == name)
    users = list(image.users)
    embedding = _unpadded_convolution(program, image)
    m, a, c = (torch.from_numpy(value) for value in normalisation(preprocessing))
    subtracted = add_constant(program, f"{name}_m", m)
    with program.graph.inserting_after(_last_placeholder(program)):
        shifted = _call(program, torch.ops.aten.sub.Tensor, (image, subtracted), like=image)
    if embedding is not None:
        _fold_into(program, embedding, a, c)
        embedding.replace_input_with(image, shifted)
        return
    factor, offset = (add_constant(program, f"{name}_{part}", value) for part, value in (("a", a), ("c", c)))
    with program.graph.inserting_after(shifted):
        scaled = _call(program, torch.ops.aten.mul.Tensor, (shifted, factor), like=image)
    with program.graph.inserting_after(scaled):
        normalised = _call(program, torch.ops.aten.add.Tensor, (scaled, offset), like=image)
    for user in users:
        user.replace_input_with(image, normalised)


def _unpadded_convolution(program: ExportedProgram, image: Node) -> Node | None:
    """Return the convolution that reads the image, where nothing else does, it pads nothing and its weights are stored; else None."""
    reader = next(iter(image.users), None)
    if reader is None or len(image.users) > 1 or reader.target is not _CONVOLUTION or reader.args[0] is not image:
        return None
    _, weight, bias, _, padding, _, groups = _convolution_arguments(reader)
    stored = all(node is None or _stored(program, node) is not None for node in (weight, bias))
    return reader if stored and groups == 1 and not any(padding) else None


def _fold_into(program: ExportedProgram, convolution: Node, a: Tensor, c: Tensor) -> None:
    """Let a convolution scale its input by ``a`` and add ``c``, both ``(1, C, 1, 1)``.

    The subtraction before it is exact in half precision, so the pixels reach it unrounded. A padded convolution cannot: it would
    have to pad with ``-c / a``.
    """
    x, weight, bias, *rest = _convolution_arguments(convolution)
    w = _stored(program, weight).double()
    shift = (w * c.double()).sum(dim=(1, 2, 3))
    b = shift if bias is None else _stored(program, bias).double() + shift
    folded = (add_constant(program, f"{convolution.name}_{part}", value.float()) for part, value in (("weight", w * a.double()), ("bias", b)))
    convolution.args = (x, *folded, *rest)


def _convolution_arguments(node: Node) -> tuple[Any, ...]:
    """Return all seven arguments of a ``conv2d``: input, weight, bias, stride, padding, dilation, groups."""
    given = dict(zip(("input", "weight", "bias", "stride", "padding", "dilation", "groups"), node.args, strict=False)) | node.kwargs
    defaults = {"bias": None, "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1}
    return tuple((defaults | given)[name] for name in ("input", "weight", "bias", "stride", "padding", "dilation", "groups"))


def _stored(program: ExportedProgram, node: Node) -> Any:
    """Return the tensor behind a parameter or buffer; None for anything else."""
    target = next((str(spec.target) for spec in program.graph_signature.input_specs if spec.arg.name == node.name), None)
    value = None if target is None else program.state_dict.get(target)
    return None if value is None else value.detach()


def add_probabilities(program: ExportedProgram) -> None:
    """Append ``softmax`` of the first output, over its last axis, as one more output."""
    output = program.graph.output_node()
    logits = output.args[0][0]
    with program.graph.inserting_before(output):
        probabilities = _call(program, torch.ops.aten.softmax.int, (logits, -1), like=logits)
    output.args = ((*output.args[0], probabilities),)
    program.graph_signature.output_specs.append(OutputSpec(kind=OutputKind.USER_OUTPUT, arg=TensorArgument(name=probabilities.name), target=None))


def _last_placeholder(program: ExportedProgram) -> Node:
    last: Node = [node for node in program.graph.nodes if node.op == "placeholder"][-1]
    return last


def _call(program: ExportedProgram, operator: Any, args: tuple[Any, ...], *, like: Node) -> Node:
    """Add a node whose result has the shape and dtype of another."""
    node: Node = program.graph.call_function(operator, args)
    node.meta["val"] = like.meta["val"]
    return node
