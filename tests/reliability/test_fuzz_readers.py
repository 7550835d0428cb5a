"""Damaged and hostile files, a few of each kind: the stored run has many more (``benchmarks/reliability.py``)."""

import contextlib
import json
import pickle
import random

import guided
import pytest
from guarded import Reader, case_of, fuzz
from hypothesis import given, settings
from hypothesis import strategies as st
from mutate import mutated
from readers import Code, artifact_readers, checkpoint_readers, net, text_readers
from user_readers import user_binary_readers, user_text_readers

from edgekit.errors import BadInputError, EdgekitError
from edgekit.gates.base import read_base
from edgekit.models.checkpoints import load_checkpoint
from edgekit.provenance.lock import read_lock

TEXTS = ("recipe", "budgets", "gate report", "lock", "policy", "phone plan", "phone report", "labels", "manifest", "statement", "bill of materials")


USERS = ("class names", "sweep", "quantization plan", "stored result", "stored manifest", "cache entry")


@pytest.fixture(scope="module")
def texts(exported_once, tmp_path_factory):
    path, folder = exported_once.artifacts[0].path, tmp_path_factory.mktemp("seeds")
    return {reader.name: reader for reader in (*text_readers(path, folder), *user_text_readers(path, folder))}


@pytest.mark.parametrize("name", [*TEXTS, *USERS])
def test_texts(texts, name):
    outcome = fuzz(texts[name], 300)
    assert outcome.defects == []
    assert (outcome.cases, outcome.accepted + outcome.refused) == (300, 300)
    assert outcome.refused > 150  # else nothing was damaged
    assert fuzz(texts[name], 1, seed=1).cases == 1


def test_all_texts_are_tested(texts):
    assert set(texts) == {*TEXTS, *USERS}


def test_sound_files_are_accepted(texts, tmp_path):
    for number, reader in enumerate(texts.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        reader.around(folder)
        for seed in reader.seeds:
            (folder / reader.place).write_bytes(seed)
            reader.read(folder / reader.place)


def test_an_onnx_file(exported_once):
    (reader,) = artifact_readers({"onnx": exported_once.artifacts[0].path})
    outcome = fuzz(reader, 200)
    assert outcome.defects == []
    assert outcome.refused > 20


@pytest.mark.parametrize("reader", user_binary_readers(), ids=lambda reader: reader.name)
def test_pictures_and_logits(reader):
    outcome = fuzz(reader, 200)
    assert outcome.defects == []
    assert outcome.refused > 20


def test_a_search_by_coverage(exported_once):
    pytest.importorskip("atheris", reason="needs the extra fuzz")
    found = guided.search("lock", exported_once.artifacts[0].path.parent, 2)
    assert (found["ended"], found["said"], found["case"]) == (0, None, None)
    assert found["cases"] > 100
    assert found["covered"] > 50


def test_a_search_tells_what_it_found(exported_once, monkeypatch, tmp_path):
    pytest.importorskip("atheris", reason="needs the extra fuzz")
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        (tmp_path / "sitecustomize.py").write_text("import tomllib\n\ndef loads(text):\n    raise KeyError('found')\n\ntomllib.loads = loads\n")
        found = guided.search("budgets", exported_once.artifacts[0].path.parent, 2)
    assert found["ended"] != 0
    assert "KeyError" in found["said"]
    assert found["case"] is not None


def test_checkpoints_never_run_what_is_in_them(tmp_path):
    canary = tmp_path / "canary"
    for reader in checkpoint_readers(canary):
        outcome = fuzz(reader, 150)
        assert outcome.defects == []
        assert outcome.refused > 75
        for seed in reader.seeds[3:]:
            (tmp_path / reader.place).write_bytes(seed)
            with pytest.raises(EdgekitError):
                reader.read(tmp_path / reader.place)
    assert not canary.exists()
    pickle.loads(pickle.dumps(Code(canary)))
    assert canary.exists()  # it would have told


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["schema_version", "artifacts", "sha256", "a"]), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
@settings(max_examples=150, deadline=None)
def test_any_json_is_a_lock_file_or_refused(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(value))
    for read in (read_lock, read_base):
        with contextlib.suppress(BadInputError):
            read(path)


@given(st.binary(max_size=64))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_no_checkpoint(tmp_path_factory, content):
    for name in ("any.pth", "any.safetensors"):
        path = tmp_path_factory.getbasetemp() / name
        path.write_bytes(content)
        with pytest.raises(EdgekitError):
            load_checkpoint(net(), path)


# --- the harness itself


class RawError(EdgekitError):
    """As errors would be if they did not spell such signs out."""

    def __str__(self):
        return "\x1b[2Jgone"


def test_it_sees_what_goes_wrong():
    def read(path):
        import os
        import time

        match path.read_bytes()[:1]:
            case b"a":
                raise ValueError("boom")
            case b"b":
                os.kill(os.getpid(), 11)
            case b"c":
                bytearray(3 << 30)
            case b"d":
                raise RawError("gone")
            case b"e":
                time.sleep(60)

    import guarded

    def seen(first):
        reader = Reader(name="bad", seeds=[first * 9000], read=read, place="bad")
        outcome = fuzz(reader, 6)
        return {defect.partition(": ")[2].partition(":")[0] for defect in outcome.defects}

    guarded.LONGEST_S, before = 1, guarded.LONGEST_S
    try:
        assert "ValueError" in seen(b"a")
        assert "the process ended with signal 11" in seen(b"b")
        assert "MemoryError" in seen(b"c")
        assert "the error holds signs that steer a terminal" in seen(b"d")
        assert "longer than 1 s" in seen(b"e")
    finally:
        guarded.LONGEST_S = before


def test_a_case_can_be_had_again():
    reader = Reader(name="x", seeds=[b"some text of no kind"], read=len, place="x")
    assert case_of(reader, 7, 0) == case_of(reader, 7, 0)
    assert len({case_of(reader, number, 0) for number in range(50)}) > 40
    assert mutated([b""], random.Random(0), text=True) is not None
