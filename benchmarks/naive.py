"""The vendors' converters, called directly on an eager model as their own documentation shows; no rewrites."""

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


EXPORTERS = {"tflite": tflite, "executorch": executorch, "onnx": onnx}
"""Core ML is not here: nothing on Linux runs it, so there is no time to compare."""
