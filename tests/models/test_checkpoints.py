"""Weights files: what is read, what is refused and in which words, and that nothing in them runs."""

import argparse
import hashlib
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from edgekit.errors import CheckpointError
from edgekit.models.checkpoints import file_sha256, load_checkpoint, read_state_dict
from edgekit.models.emov2 import CONFIGS, EMOv2

_MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def build(width: int = 4, classes: int = 3) -> nn.Module:
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(3, width, 1), norm=nn.BatchNorm2d(width), head=nn.Linear(width, classes)))


@pytest.fixture
def weights() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return build().state_dict()


def save(content: object, path: Path, *, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def refusal(path: Path, model: nn.Module | None = None) -> CheckpointError:
    """Load into a model and return the error, having checked that the model is as it was."""
    model = model or build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(model, path)
    assert same(before, model.state_dict())
    assert caught.value.exit_code == 3
    assert caught.value.where == str(path)
    return caught.value


# --- accepted


@pytest.mark.parametrize("legacy", [False, True])
def test_both_forms_of_torch_save_load(weights, tmp_path, legacy):
    model = build()
    load_checkpoint(model, save(weights, tmp_path / "w.pth", legacy=legacy))
    assert same(model.state_dict(), weights)


def test_safetensors_load(weights, tmp_path):
    save_file(weights, tmp_path / "w.safetensors")
    model = build()
    load_checkpoint(model, tmp_path / "w.safetensors")
    assert same(model.state_dict(), weights)


def test_the_content_decides_not_the_name(weights, tmp_path):
    save_file(weights, tmp_path / "w.pth")
    assert same(read_state_dict(tmp_path / "w.pth"), weights)
    with (tmp_path / "zip.safetensors").open("wb") as file:
        torch.save(weights, file)
    assert same(read_state_dict(tmp_path / "zip.safetensors"), weights)
    with (tmp_path / "pickle.safetensors").open("wb") as file:
        torch.save(weights, file, _use_new_zipfile_serialization=False)
    assert same(read_state_dict(tmp_path / "pickle.safetensors"), weights)


@pytest.mark.parametrize("container", ["net", "net_E", "state_dict", "model"])
def test_containers_with_other_things_beside_the_weights(weights, tmp_path, container):
    content = {container: weights, "epoch": 300, "optimizer": {"state": {0: torch.ones(2)}}, "args": argparse.Namespace(lr=1e-3), "scaler": None}
    assert same(read_state_dict(save(content, tmp_path / "w.pth")), weights)


def test_net_is_preferred_and_an_absent_one_passed_over(weights, tmp_path):
    ema = {name: value + 1 for name, value in weights.items()}
    assert same(read_state_dict(save({"net_E": ema, "net": weights}, tmp_path / "both.pth")), weights)
    assert same(read_state_dict(save({"net": None, "net_E": ema}, tmp_path / "ema.pth")), ema)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_stripped(weights, tmp_path, prefix):
    path = save({prefix + name: value for name, value in weights.items()}, tmp_path / "w.pth")
    assert same(read_state_dict(path), weights)


def test_a_wrapped_model_loads_a_plain_file(weights, tmp_path):
    model = nn.DataParallel(build())
    load_checkpoint(model, save(weights, tmp_path / "w.pth"))
    assert same(model.module.state_dict(), weights)


def test_a_name_that_only_some_tensors_begin_with_is_kept(tmp_path):
    content = {"module.weight": torch.ones(1), "head.weight": torch.ones(1)}
    assert read_state_dict(save(content, tmp_path / "w.pth")).keys() == content.keys()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int32])
def test_values_take_the_dtype_of_the_model(weights, tmp_path, dtype):
    stored = {name: (value * 8).to(dtype) if value.is_floating_point() else value.int() for name, value in weights.items()}
    model = build()
    load_checkpoint(model, save(stored, tmp_path / "w.pth"))
    assert all(torch.equal(value, stored[name].to(value.dtype)) and value.dtype == weights[name].dtype for name, value in model.state_dict().items())


def test_the_batch_counter_may_be_absent(weights, tmp_path):
    model = build()
    del weights["norm.num_batches_tracked"]
    load_checkpoint(model, save(weights, tmp_path / "w.pth"))
    assert torch.equal(model.state_dict()["norm.running_mean"], weights["norm.running_mean"])
    assert model.norm.num_batches_tracked == 0


def test_the_file_may_be_read_only_and_may_vanish_afterwards(weights, tmp_path):
    path = save(weights, tmp_path / "w.pth")
    path.chmod(0o400)
    model = build()
    load_checkpoint(model, path)
    path.unlink()
    assert same(model.state_dict(), weights)


def test_sha256_of_a_file(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert file_sha256(tmp_path / "f") == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(CheckpointError, match="cannot be read"):
        file_sha256(tmp_path / "none")


# --- code in the file


class Intruder:
    """Unpickles by calling a function that leaves a trace."""

    def __init__(self, call, *arguments) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("form", ["zip", "legacy", "plain pickle"])
@pytest.mark.parametrize("call", [os.mkdir, exec, Path.touch])
def test_code_in_a_file_does_not_run_and_is_named(weights, tmp_path, form, call):
    trace = tmp_path / "trace"
    intruder = Intruder(exec, f"open({str(trace)!r}, 'w').close()") if call is exec else Intruder(call, trace if call is Path.touch else str(trace))
    path = tmp_path / "w.pth"
    if form == "plain pickle":
        path.write_bytes(pickle.dumps({"net": intruder}, protocol=2))
    else:
        save({"net": weights, "extra": intruder}, path, legacy=form == "legacy")
    error = refusal(path)
    assert not trace.exists()
    assert "could run code" in error.summary
    assert {os.mkdir: "mkdir", exec: "exec", Path.touch: "getattr"}[call] in error.what
    assert "torch.save(model.state_dict()" in error.hint
    # The file is a live one: unpickled without care, it leaves its trace.
    torch.load(path, weights_only=False) if form != "plain pickle" else pickle.loads(path.read_bytes())
    assert trace.exists()


def test_a_whole_model_is_refused_by_its_class(tmp_path):
    error = refusal(save(build(), tmp_path / "w.pth"))
    assert "torch.nn.modules.container.Sequential" in error.what


def test_a_torchscript_program_is_refused(tmp_path):
    torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "w.pt")
    assert "TorchScript" in refusal(tmp_path / "w.pt").summary


# --- damaged and foreign files


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
@given(data=st.data())
@_MANY
def test_a_file_cut_anywhere_is_refused(tmp_path_factory, form, data):
    folder = tmp_path_factory.mktemp("cut")
    path = folder / "w.pth"
    content = build(1, 1).state_dict()
    save_file(content, path) if form == "safetensors" else save(content, path, legacy=form == "legacy")
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    error = refusal(path, build(1, 1))
    # Cut inside the name of a type, the older form asks for a type that does not exist.
    assert any(word in error.summary for word in ("truncated", "empty", "not a weights file", "more than weights"))


@given(data=st.data())
@_MANY
def test_a_changed_byte_in_an_archive_is_seen_or_harmless(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("flip") / "w.pth"
    content = build(1, 1).state_dict()
    whole = bytearray(save(content, path).read_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    try:
        found = read_state_dict(path)
    except CheckpointError:
        return
    assert same(found, content)


def test_a_changed_weight_is_named_by_its_entry(weights, tmp_path):
    path = save(weights, tmp_path / "w.pth")
    whole = path.read_bytes()
    needle = weights["conv.weight"].numpy().tobytes()
    assert whole.count(needle) == 1
    path.write_bytes(whole.replace(needle, bytes(len(needle))))
    assert "checksum of entry w/data/0" in refusal(path).why


@given(content=st.binary(max_size=200), start=st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02", struct.pack("<Q", 40) + b"{"]))
@_MANY
def test_noise_is_refused(tmp_path_factory, content, start):
    path = tmp_path_factory.mktemp("noise") / "w.pth"
    path.write_bytes(start + content)
    refusal(path)


@pytest.mark.parametrize("claim_bytes", [100_000_000_000, 2**64 - 1, 100_000_001, 500])
@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_a_safetensors_header_larger_than_the_file(tmp_path, claim_bytes, name):
    (tmp_path / name).write_bytes(struct.pack("<Q", claim_bytes) + b'{"a":{}}')
    assert f"header of {claim_bytes} bytes; the file has 16" in refusal(tmp_path / name).why


def test_a_safetensors_tensor_larger_than_the_file(tmp_path):
    header = b'{"conv.weight":{"dtype":"F32","shape":[25000000000],"data_offsets":[0,100000000000]}}'
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))
    assert "truncated or damaged" in refusal(tmp_path / "w.safetensors").summary


def test_a_tensor_that_claims_more_than_its_bytes_takes_no_memory(tmp_path):
    huge = torch.zeros(1).expand(25_000_000_000)
    error = refusal(save({"conv.weight": huge}, tmp_path / "w.pth"))
    assert "conv.weight is (25000000000,) in the file" in error.what


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", bytes(50_000_000))
    assert "compressed" in refusal(tmp_path / "w.pth").why


def test_a_zip_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("word/document.xml", "text")
    error = refusal(tmp_path / "w.pth")
    assert "not one of torch.save" in error.summary
    assert "document.xml" in error.what


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "w.pth is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "w.pth is a Git LFS pointer, not the weights"),
        (b"\n<!DOCTYPE html><html>", "w.pth is a web page, not the weights"),
        (b"\x1f\x8b\x08\x00 and so on", "w.pth is not a weights file"),
    ],
)
def test_what_arrives_in_place_of_weights(tmp_path, content, sentence):
    (tmp_path / "w.pth").write_bytes(content)
    assert refusal(tmp_path / "w.pth").summary == sentence


def test_a_missing_file_a_folder_and_a_pipe(tmp_path):
    assert refusal(tmp_path / "w.pth").summary == "there is no file w.pth"
    assert refusal(tmp_path).summary == f"{tmp_path.name} is a folder, not a weights file"
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe").summary == "pipe is no regular file, not a weights file"
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "file" / "w.pth").summary == "w.pth cannot be read"


def test_an_unreadable_file(weights, tmp_path, monkeypatch):
    path = save(weights, tmp_path / "w.pth")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # a mode of 0 would not stop root
    error = refusal(path)
    assert (error.summary, error.why) == ("w.pth cannot be read", "Permission denied")


@pytest.mark.parametrize(
    ("content", "summary", "what"),
    [
        ([torch.ones(1)], "w.pth holds no state dict", "it holds a list"),
        (torch.ones(1), "w.pth holds no state dict", "it holds a Tensor"),
        ({"epoch": 3, "net": {}}, "w.pth holds no weights", "it holds: epoch, net"),
        ({}, "w.pth holds no weights", None),
    ],
)
def test_files_without_weights(tmp_path, content, summary, what):
    error = refusal(save(content, tmp_path / "w.pth"))
    assert error.summary == summary
    assert (error.what or None) == what


@pytest.mark.parametrize(
    "tensor", [torch.eye(3).to_sparse(), torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), torch.ones(3, device="meta")]
)
def test_tensors_that_are_no_plain_ones(tmp_path, tensor):
    assert "head.weight in w.pth is no plain tensor" in refusal(save({"head.weight": tensor}, tmp_path / "w.pth")).summary


# --- a file of another model


def test_another_emov2_is_told_by_the_first_tensors_that_differ(tmp_path):
    with torch.device("meta"):
        small, large = EMOv2(CONFIGS["1m"]), EMOv2(CONFIGS["5m"])
    path = save({name: torch.zeros(()).expand(value.shape) for name, value in small.state_dict().items()}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(large, path)
    error = caught.value
    assert error.summary == "w.pth does not fit this EMOv2"
    assert error.what.startswith("missing: stage1.2.norm.weight, stage1.2.norm.bias, stage1.2.norm.running_mean and ")
    assert "other shape: stage0.0.conv.weight is (16, 3, 3, 3) in the file, (24, 3, 3, 3) in the model" in error.what
    assert error.hint == "is this the file of another size of this model?"


def test_another_number_of_classes_is_told_with_what_fits(tmp_path):
    error = refusal(save(build(classes=10).state_dict(), tmp_path / "w.pth"))
    assert error.what == "other shape: head.weight is (10, 4) in the file, (3, 4) in the model, head.bias is (10,) in the file, (3,) in the model"
    assert "--num-classes 10" in error.hint


def test_another_width_is_not_taken_for_another_number_of_classes(tmp_path):
    error = refusal(save(build(width=8).state_dict(), tmp_path / "w.pth"))
    assert "--num-classes" not in error.hint
    assert "head.weight" not in error.what  # the first three, then a count
    assert error.what.endswith(" and 4 more")


def test_missing_and_unexpected_names(weights, tmp_path):
    del weights["head.bias"]
    error = refusal(save({**weights, "head.scale": torch.ones(1)}, tmp_path / "w.pth"))
    assert error.what == "missing: head.bias; unexpected: head.scale"


def test_a_file_of_another_architecture(tmp_path):
    assert "another architecture" in refusal(save({"blocks.0.attn.qkv.weight": torch.ones(1)}, tmp_path / "w.pth")).hint


def test_names_in_errors_are_fit_for_a_terminal(weights, tmp_path):
    error = refusal(save({**weights, "\x1b[2Jevil\n" + "x" * 5000: torch.ones(1)}, tmp_path / "w.pth"))
    assert "\x1b" not in str(error)
    assert "unexpected: ?[2Jevil?xxx" in error.what
    assert len(error.what) < 300


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_no_numbers_are_named(weights, tmp_path, value):
    weights["head.weight"][1, 2] = value
    error = refusal(save(weights, tmp_path / "w.pth"))
    assert "head.weight in w.pth holds values that are no numbers" in error.summary
    assert error.what == "1 of 12 are NaN or infinite as float32"


def test_values_beyond_the_model_s_dtype(weights, tmp_path):
    weights["head.bias"] = torch.tensor([1.0, 1e300, 0.0], dtype=torch.float64)
    assert "1 of 3 are NaN or infinite as float32" in refusal(save(weights, tmp_path / "w.pth")).what


@pytest.mark.parametrize(("name", "value"), [("head.bias", torch.ones(3, dtype=torch.complex64)), ("norm.num_batches_tracked", torch.tensor(1.5))])
def test_values_that_would_lose_a_part(weights, tmp_path, name, value):
    error = refusal(save({**weights, name: value}, tmp_path / "w.pth"))
    assert f"{name} in w.pth is {str(value.dtype).removeprefix('torch.')}, which" in error.summary
