"""The vendors' converters as ``edgekit bench --against naive`` calls them, under the name that the benchmarks know."""

from edgekit.bench.naive import EXPORTERS, coreml, executorch, onnx, tflite

__all__ = ["EXPORTERS", "coreml", "executorch", "onnx", "tflite"]
