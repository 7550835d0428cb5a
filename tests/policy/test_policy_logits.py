"""The ``.npz`` of logits: read exactly, and refused with a sentence where it is not one."""

import hashlib
import io
import pickle
import struct
import zipfile

import numpy as np
import pytest

from edgekit.errors import BadInputError
from edgekit.policy import logits as module
from edgekit.policy.logits import LogitsArray, read_logits
from edgekit.policy.scores import scores_of

VALUES = np.random.default_rng(0).standard_normal((3, 20, 4)).astype(np.float32)
LABELS = np.arange(20) % 4


@pytest.fixture
def saved(tmp_path):
    def save(**arrays):
        path = tmp_path / "val.npz"
        np.savez(path, **arrays)
        return path

    return save


def npy(array_or_header, content=b""):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, array_or_header)
    return stream.getvalue() + content


def zipped(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_exit_is_read_as_it_is(tmp_path, dtype, save):
    path, values = tmp_path / "val.npz", VALUES.astype(dtype)
    save(path, logits=values, labels=LABELS.astype(np.int32), costs_macs=np.array([10, 20, 30]), more=np.zeros(2))
    data = read_logits(path)
    assert (data.shape, data.labels.tolist(), data.costs_macs) == ((3, 20, 4), LABELS.tolist(), (10, 20, 30))
    hasher = hashlib.sha256()
    assert np.array_equal(np.stack(list(data.each_exit(hasher))), values)
    assert hasher.hexdigest() == hashlib.sha256(values.tobytes()).hexdigest()


def test_file_and_array_give_the_same_scores_and_compression_the_same_digest(tmp_path, saved):
    inside = scores_of(LogitsArray(values=VALUES, labels=LABELS), "margin")
    np.savez_compressed(tmp_path / "small.npz", labels=LABELS, logits=VALUES)
    for path in (saved(logits=VALUES, labels=LABELS), tmp_path / "small.npz"):
        found = scores_of(read_logits(path), "margin")
        assert found.sha256 == inside.sha256
        assert np.array_equal(found.micro, inside.micro)
        assert np.array_equal(found.named, VALUES.argmax(2))


def test_one_exit_is_in_memory_at_a_time(saved):
    data = read_logits(saved(logits=VALUES))
    walk = data.each_exit(hashlib.sha256())
    assert next(walk).base is None
    assert data.labels is None
    assert data.costs_macs is None


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"other": np.zeros(3)}, "holds no logits"),
        ({"logits": VALUES[0]}, r"logits of shape \(20, 4\)"),
        ({"logits": VALUES.astype(int)}, "logits of type int64"),
        ({"logits": VALUES.astype(">f4")}, "logits of type >f4"),
        ({"logits": VALUES[:1]}, "logits of 1 exits"),
        ({"logits": VALUES[:, :0]}, "logits of 0 samples"),
        ({"logits": VALUES[:, :, :1]}, "logits of 1 classes"),
        ({"logits": np.zeros((65, 1, 2), dtype=np.float32)}, "logits of 65 exits"),
        ({"logits": VALUES.transpose(0, 2, 1).copy().transpose(0, 2, 1)[:, :, :]}, None),
        ({"logits": np.asfortranarray(VALUES)}, "column order"),
        ({"logits": VALUES.astype(object)}, "Python objects"),
        ({"logits": VALUES, "labels": LABELS[:5]}, "labels in val.npz has shape"),
        ({"logits": VALUES, "labels": LABELS.astype(float)}, "type float64"),
        ({"logits": VALUES, "labels": LABELS + 1}, "labels from 1 to 4"),
        ({"logits": VALUES, "labels": LABELS - 1}, "labels from -1 to 2"),
        ({"logits": VALUES, "labels": np.array([{}] * 20)}, "Python objects"),
        ({"logits": VALUES, "costs_macs": np.array([1, 2])}, "costs_macs in val.npz has shape"),
        ({"logits": VALUES, "costs_macs": np.array([1, np.nan, 3])}, "not finite"),
    ],
)
def test_what_is_not_logits_is_refused(saved, arrays, told):
    path = saved(**arrays)
    if told is None:
        assert read_logits(path).shape == (3, 20, 4)
        return
    with pytest.raises(BadInputError, match=told):
        read_logits(path)


def test_a_missing_file_a_text_and_a_folder_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("logits")
    for path in (tmp_path / "none.npz", tmp_path / "text.npz", tmp_path):
        with pytest.raises(BadInputError, match="cannot read"):
            read_logits(path)


def test_every_truncation_is_refused(saved, tmp_path):
    whole = saved(logits=VALUES, labels=LABELS).read_bytes()
    short = tmp_path / "short.npz"
    for length in range(0, len(whole), 97):
        short.write_bytes(whole[:length])
        with pytest.raises(BadInputError):
            read_logits(short)


def test_a_flipped_bit_in_the_logits_is_noticed(saved):
    path = saved(logits=VALUES)
    content = bytearray(path.read_bytes())
    content[600] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(BadInputError, match="CRC"):
        list(read_logits(path).each_exit(hashlib.sha256()))


def test_a_header_that_promises_more_than_is_there_is_refused_before_memory_is_taken(tmp_path):
    header = npy({"descr": "<f4", "fortran_order": False, "shape": (7, 50_000, 1000)})
    with pytest.raises(BadInputError, match="has 64 bytes"):
        read_logits(zipped(tmp_path / "bomb.npz", logits=header + bytes(64)))


def test_an_exit_that_is_too_large_is_refused(monkeypatch, saved):
    monkeypatch.setattr(module, "MAX_EXIT_BYTES", 319)
    with pytest.raises(BadInputError, match="too large"):
        read_logits(saved(logits=VALUES))


def test_no_pickle_is_ever_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    header = npy({"descr": "|O", "fortran_order": False, "shape": (3, 20, 4)})
    for members in ({"logits": header + pickle.dumps(Harm())}, {"logits": pickle.dumps(Harm())}):
        with pytest.raises(BadInputError):
            read_logits(zipped(tmp_path / "evil.npz", **members))
    assert not (tmp_path / "harm").exists()


def test_strange_headers_are_refused(tmp_path):
    huge = b"\x93NUMPY\x01\x00" + struct.pack("<H", 60_000) + b"(" * 60_000
    version = b"\x93NUMPY\x03\x00" + struct.pack("<I", 4) + b"{}  "
    negative = npy({"descr": "<f4", "fortran_order": False, "shape": (-3, 20, 4)})
    structured = npy({"descr": [("a", "<f4")], "fortran_order": False, "shape": (3, 20, 4)}, VALUES.tobytes())
    for content in (huge, version, negative, structured, b"", b"\x93NUMPY"):
        with pytest.raises(BadInputError):
            read_logits(zipped(tmp_path / "odd.npz", logits=content))
