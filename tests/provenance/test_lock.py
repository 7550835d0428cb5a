"""Lock files: what is written, what is refused, and what a rebuild that differs is told."""

import json
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest

import edgekit
from edgekit.artifact import read_manifest
from edgekit.errors import LockError, LockMismatchError, UsageError
from edgekit.provenance.lock import locked_from, read_lock, require_same, require_tools, update_lock
from edgekit.provenance.proofs import Proofs


@pytest.fixture
def document(onnx_artifact):
    return read_manifest(onnx_artifact).document


@pytest.fixture
def lock(document, tmp_path):
    path = tmp_path / "edgekit.lock"
    update_lock(path, [document])
    return path


def changed(document, **rows):
    """A copy of a manifest with other members: ``artifact__sha256`` is one of the artifact's."""
    copy = json.loads(json.dumps(document))
    for path, value in rows.items():
        *parents, last = path.split("__")
        place = copy
        for parent in parents:
            place = place[parent]
        place[last] = value
    return copy


def test_what_is_written_is_read(lock, document):
    (name,) = read_lock(lock).artifacts
    row = read_lock(lock).artifacts[name]
    assert row == locked_from(document)
    assert (name, row.sha256, row.tools) == (document["artifact"]["name"], document["artifact"]["sha256"], document["tools"])
    assert sum(row.sections.values()) == row.size_bytes
    require_same(read_lock(lock), document)


def test_others_stay_and_equal_content_is_equal_bytes(lock, document):
    before = lock.read_bytes()
    update_lock(lock, [document])
    assert lock.read_bytes() == before
    update_lock(lock, [changed(document, artifact__name="other.onnx")])
    assert list(read_lock(lock).artifacts) == [document["artifact"]["name"], "other.onnx"]
    assert sorted(path.name for path in lock.parent.glob(".*")) == []


REBUILT = [
    ({"artifact__sha256": "0" * 64}, "same request, tools and kind of processor"),
    ({"artifact__sha256": "0" * 64, "model__weights_sha256": "1" * 64}, "made from another weights"),
    ({"artifact__sha256": "0" * 64, "recipe_sha256": "1" * 64, "model__code_sha256": "2" * 64}, "made from another recipe, code"),
]


@pytest.mark.parametrize(("rows", "words"), REBUILT)
def test_another_artifact_is_told_why(lock, document, rows, words):
    with pytest.raises(LockMismatchError, match="is not the artifact that") as caught:
        require_same(read_lock(lock), changed(document, **rows))
    assert words in caught.value.why
    assert caught.value.exit_code == 6


def test_sections_and_processors_are_named(lock, document):
    known = read_lock(lock)
    ((name, row),) = known.artifacts.items()
    other = attrs.evolve(known, artifacts={name: attrs.evolve(row, sha256="0" * 64, processor="m68k", sections={"weights": 1})})
    with pytest.raises(LockMismatchError) as caught:
        require_same(other, document)
    assert "locked on another kind of processor, m68k" in caught.value.why
    assert f"weights 1 to {row.sections['weights']:,} bytes" in caught.value.why


def test_other_tools_and_unknown_artifacts_stop_before_anything_is_built(lock, document):
    known, name = read_lock(lock), document["artifact"]["name"]
    require_tools(known, name, document["tools"])
    with pytest.raises(LockMismatchError, match="locked with other versions") as caught:
        require_tools(known, name, document["tools"] | {"onnx": "9.9"})
    assert caught.value.what == f"onnx: {document['tools']['onnx']}, here 9.9"
    with pytest.raises(LockMismatchError, match="does not know other"):
        require_tools(known, "other", {})


BAD = [
    ("", "is not a lock file"),
    ("[]", "is not a JSON object"),
    ('{"schema_version": 2, "artifacts": {}}', "schema version 2"),
    ('{"schema_version": 1, "artifacts": []}', "artifacts is not a JSON object"),
    ('{"schema_version": 1, "artifacts": {"a": {}}}', "a lacks sha256"),
    ('{"schema_version": 1, "artifacts": {}, "artifacts": {}}', "stands there twice"),
]


@pytest.mark.parametrize(("text", "words"), BAD)
def test_what_is_no_lock_file(tmp_path, text, words):
    (tmp_path / "bad.lock").write_text(text)
    with pytest.raises(LockError) as caught:
        read_lock(tmp_path / "bad.lock")
    assert words in str(caught.value)


MEMBERS = [
    ("sha256", None, "sha256 has to be a string"),
    ("sha256", "A" * 64, "sha256 is no sha256"),
    ("weights_sha256", "12", "weights_sha256 is no sha256"),
    ("size_bytes", "12", "size_bytes has to be an integer"),
    ("tools", [], "tools is not a JSON object"),
    ("tools", {"torch": 2}, "torch has to be a string"),
    ("sections", {"weights": True}, "weights has to be an integer"),
    ("extra", 1, "unknown key 'extra'"),
]


@pytest.mark.parametrize(("member", "value", "words"), MEMBERS)
def test_members_that_are_none(lock, member, value, words):
    content = json.loads(lock.read_text())
    for row in content["artifacts"].values():
        row[member] = value
    lock.write_text(json.dumps(content))
    with pytest.raises(LockError) as caught:
        read_lock(lock)
    assert words in str(caught.value)


def test_exports_that_end_at_once_lose_no_row(document, tmp_path):
    names = [f"{number}.onnx" for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: update_lock(tmp_path / "lock", [changed(document, artifact__name=name)]), names))
    assert sorted(read_lock(tmp_path / "lock").artifacts) == sorted(names)


def test_an_export_writes_a_lock_and_another_reproduces_it(net, tmp_path, monkeypatch):
    options = {"targets": ["onnx"], "resolution": 32}
    edgekit.export(f"{net}:build", output_dir=tmp_path / "one", proofs=Proofs(lock=tmp_path / "edgekit.lock"), **options)
    checked = Proofs(check_lock=tmp_path / "edgekit.lock")
    edgekit.export(f"{net}:build", output_dir=tmp_path / "two", proofs=checked, **options)
    assert (tmp_path / "two" / "net-build_32_fp32.onnx").exists()
    monkeypatch.setenv("NET_SEED", "1")  # other weights, from the same code
    with pytest.raises(LockMismatchError, match="is not the artifact that"):
        edgekit.export(f"{net}:build", output_dir=tmp_path / "three", proofs=checked, **options)
    assert list((tmp_path / "three").iterdir()) == []


def test_a_lock_that_cannot_be_kept_stops_an_export_at_once(net, tmp_path, lock):
    for proofs, kind in (
        (Proofs(lock=lock, check_lock=lock), UsageError),
        (Proofs(check_lock=tmp_path / "none.lock"), LockError),
        (Proofs(check_lock=lock), LockMismatchError),  # of 32 pixels, not of 48
    ):
        with pytest.raises(kind):
            edgekit.export(f"{net}:raises", targets=["onnx"], resolution=48, output_dir=tmp_path / "out", proofs=proofs)
