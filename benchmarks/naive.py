"""The vendors' converters as ``edgekit bench --against naive`` calls them, under the name that the benchmarks know."""

from edgekit.bench.naive import EXPORTERS, INTEGER_EXPORTERS, coreml, executorch, onnx, tflite

__all__ = ["EXPORTERS", "INTEGER_EXPORTERS", "coreml", "executorch", "onnx", "tflite"]
