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


EXPORTERS: dict[str, Callable[[nn.Module, Tensor, Path], None]] = {"tflite": tflite, "executorch": executorch, "onnx": onnx}
"""Those that are timed, by target. Core ML is not here: what runs it on Linux says nothing of a phone's time."""
