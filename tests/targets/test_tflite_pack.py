"""Flatbuffers that are written with each vector once."""

import numpy as np
import pytest


@pytest.fixture
def model():
    """Two tensors with scales of their own and zero points that are equal."""
    from ai_edge_litert import schema_py_generated as schema

    tensors = []
    for number in range(2):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = f"t{number}".encode(), np.array([1000], np.int32), schema.TensorType.INT8, 0
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.full(1000, 0.5 + number, np.float32)
        tensor.quantization.zeroPoint = np.zeros(1000, np.int64)
        tensors.append(tensor)
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = tensors, np.array([0], np.int32), np.array([1], np.int32), []
    made = schema.ModelT()
    made.version, made.subgraphs, made.buffers, made.operatorCodes = 3, [graph], [schema.BufferT()], []
    return made


def test_equal_vectors_are_written_once_and_read_back_apart(model):
    from ai_edge_litert.tools import flatbuffer_utils

    from edgekit.targets.tflite.pack import pack

    plain = len(flatbuffer_utils.convert_object_to_bytearray(model))
    packed = pack(model)
    assert plain - len(packed) >= 8 * 1000  # of bytes of zeros
    again = flatbuffer_utils.read_model_from_bytearray(bytearray(packed))
    for number, tensor in enumerate(again.subgraphs[0].tensors):
        assert tensor.name == f"t{number}".encode()
        np.testing.assert_array_equal(tensor.quantization.scale, np.full(1000, 0.5 + number, np.float32))
        np.testing.assert_array_equal(tensor.quantization.zeroPoint, np.zeros(1000, np.int64))


def test_vectors_of_equal_bytes_and_other_types_stay_apart(model):
    from ai_edge_litert.tools import flatbuffer_utils

    from edgekit.targets.tflite.pack import pack

    first, second = model.subgraphs[0].tensors
    first.quantization.scale, second.quantization.scale = np.zeros(2000, np.float32), np.zeros(1000, np.float32)
    again = flatbuffer_utils.read_model_from_bytearray(bytearray(pack(model)))
    sizes = [(len(tensor.quantization.scale), len(tensor.quantization.zeroPoint)) for tensor in again.subgraphs[0].tensors]
    assert sizes == [(2000, 1000), (1000, 1000)]
