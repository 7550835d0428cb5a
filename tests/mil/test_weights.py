"""The weights file against Core ML Tools' own writer."""

import numpy as np
import pytest
import torch

from edgekit.errors import ArtifactError
from edgekit.mil.weights import WeightsFile
from edgekit.quiet import quiet
from edgekit.targets.coreml.toolbox import coremltools

GENERATOR = np.random.default_rng(0)


def integers(low, high, kind, count):
    return GENERATOR.integers(low, high, count, endpoint=True).astype(kind)


VALUES = {
    "fp32": ("float", GENERATOR.standard_normal(7).astype(np.float32)),
    "fp16": ("fp16", GENERATOR.standard_normal(7).astype(np.float16)),
    "int8": ("int8", integers(-128, 127, np.int8, 9)),
    "uint8": ("uint8", integers(0, 255, np.uint8, 9)),
    "int16": ("int16", integers(-(2**15), 2**15 - 1, np.int16, 5)),
    "uint16": ("uint16", integers(0, 2**16 - 1, np.uint16, 5)),
    "int32": ("int32", integers(-(2**31), 2**31 - 1, np.int32, 5)),
    "uint32": ("uint32", integers(0, 2**32 - 1, np.uint32, 5)),
    "int4": ("int4", integers(-8, 7, np.int8, 21)),
    "uint1": ("uint1", integers(0, 1, np.uint8, 21)),
    "uint2": ("uint2", integers(0, 3, np.uint8, 21)),
    "uint3": ("uint3", integers(0, 7, np.uint8, 21)),
    "uint4": ("uint4", integers(0, 15, np.uint8, 21)),
    "uint6": ("uint6", integers(0, 63, np.uint8, 21)),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weight.bin"


@pytest.fixture
def writer(path):
    coremltools()
    with quiet():
        from coremltools.libmilstoragepython import _BlobStorageWriter

        return _BlobStorageWriter(str(path))


def write(writer, dtype):
    name, values = VALUES[dtype]
    stored = values.view(np.uint16) if dtype == "fp16" else values
    return getattr(writer, f"write_{name}_data")(stored), values


def test_every_type_comes_back_as_it_was_written(writer, path):
    written = {dtype: write(writer, dtype) for dtype in VALUES}
    del writer  # it completes the file
    file = WeightsFile(path)
    for dtype, (offset, values) in written.items():
        read = file.read(offset, dtype, (values.size, 1))
        np.testing.assert_array_equal(read[:, 0], values, err_msg=dtype)
        assert read.dtype == values.dtype, dtype


def test_truth_values_are_bytes(writer, path):
    offset = writer.write_uint8_data(np.array([1, 0, 1], np.uint8))
    read = WeightsFile(path).read(offset, "bool", (3,))
    assert read.tolist() == [True, False, True]


def test_brain_floats(path):
    """No writer of Core ML Tools stores them: PyTorch's bits stand behind an entry made by hand."""
    values = torch.tensor([1.5, -3.25, 1e30], dtype=torch.bfloat16)
    data = values.view(torch.int16).numpy().tobytes()
    entry = b"".join(number.to_bytes(length, "little") for number, length in ((0xDEADBEEF, 4), (5, 4), (len(data), 8), (128, 8), (0, 40)))
    path.write_bytes(bytes(64) + entry + data)
    np.testing.assert_array_equal(WeightsFile(path).read(64, "bf16", (3,)), values.float().numpy())


def damaged(path, change):
    content = bytearray(path.read_bytes())
    changed = change(content)
    path.write_bytes(bytes(changed if changed is not None else content))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content[:70], "ends before"),
        (lambda content: content[:130], "outside the file"),
        (lambda content: content.__setitem__(64, 0), "no entry"),
        (lambda content: content.__setitem__(68, 4), "holds int8"),
        (lambda content: content.__setitem__(72, 8), "do not hold 7 values"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(writer, path, change, reason):
    offset, values = write(writer, "fp32")
    del writer
    damaged(path, change)
    with pytest.raises(ArtifactError) as caught:
        WeightsFile(path).read(offset, "fp32", values.shape)
    assert "weight.bin" in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize(("dtype", "count"), [("int4", 23), ("uint3", 30), ("fp16", 6)])
def test_another_count_than_was_stored(writer, path, dtype, count):
    offset, _ = write(writer, dtype)
    del writer
    with pytest.raises(ArtifactError, match=f"{count} values of {dtype}"):
        WeightsFile(path).read(offset, dtype, (count,))


def test_a_file_that_is_missing_or_empty(path):
    with pytest.raises(ArtifactError, match="cannot be read"):
        WeightsFile(path)
    path.write_bytes(b"")
    with pytest.raises(ArtifactError, match="cannot be read"):
        WeightsFile(path)
