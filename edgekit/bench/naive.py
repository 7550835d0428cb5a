"""The vendors' converters, called directly on an eager model as their own documentation shows; no rewrites.

Each takes the model, a normalised image ``(1, 3, R, R)`` and where the file goes, and raises whatever the vendor raises.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn


def tflite(model: nn.Module, image: Tensor, path: Path) -> None:
    """LiteRT-Torch's ``convert``."""
    import litert_torch

    litert_torch.convert(model, (image,)).export(str(path))


def executorch(model: nn.Module, image: Tensor, path: Path) -> None:
    """ExecuTorch's XNNPACK recipe."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    program = torch.export.export(model, (image,))
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    path.write_bytes(lowered.to_executorch().buffer)


def onnx(model: nn.Module, image: Tensor, path: Path) -> None:
    """``torch.onnx.export`` with the dynamo exporter."""
    torch.onnx.export(model, (image,), str(path), dynamo=True, external_data=False, verbose=False)


def coreml(model: nn.Module, image: Tensor, path: Path) -> None:
    """Core ML Tools' ``convert``, for iOS 17; half precision is its default.

    As it stands it refuses EMOv2: ``Unsupported fx node alias`` after ``torch.export``, a ``TypeError`` after
    ``torch.jit.trace`` (9.0 with NumPy 2). The aliases are taken out here, or there would be nothing to compare with.
    """
    import coremltools as ct

    from edgekit.targets.coreml.prepare import drop_aliases

    program = torch.export.export(model, (image,)).run_decompositions({})
    drop_aliases(program)
    ct.convert(program, minimum_deployment_target=ct.target.iOS17, skip_model_load=True).save(str(path))


def tflite_int8(model: nn.Module, image: Tensor, path: Path) -> None:
    """LiteRT-Torch's ``convert``, then every operator in integers by the AI Edge Quantizer's static recipe, calibrated on one image.

    Its input and output are integers too.
    """
    from ai_edge_quantizer import quantizer, recipe

    from edgekit.targets.tflite.flatbuffer import methods_of, parse

    tflite(model, image, path)
    made = quantizer.Quantizer(str(path), recipe.static_wi8_ai8())
    (method,) = methods_of(parse(path.read_bytes()))
    ranges = made.calibrate({method.name: [{method.inputs[0].name: image.numpy()}]})
    path.unlink()
    made.quantize(ranges).export_model(str(path))


def executorch_int8(model: nn.Module, image: Tensor, path: Path) -> None:
    """PT2E with XNNPACK's quantizer, its symmetric configuration for every operator; calibrated on one image."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
    from executorch.exir import to_edge_transform_and_lower
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(torch.export.export(model, (image,)).module(), quantizer)
    prepared(image)
    program = torch.export.export(convert_pt2e(prepared), (image,))
    path.write_bytes(to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch().buffer)


EXPORTERS: dict[str, Callable[[nn.Module, Tensor, Path], None]] = {"tflite": tflite, "executorch": executorch, "onnx": onnx}
"""Those that are timed, by target. Core ML is not here: what runs it on Linux says nothing of a phone's time."""
INTEGER_EXPORTERS: dict[str, Callable[[nn.Module, Tensor, Path], None]] = {"tflite": tflite_int8, "executorch": executorch_int8}
"""What the vendors' tools make in 8-bit integers throughout."""
