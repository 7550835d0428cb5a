"""Atomic publishing: whatever happens, and whenever, nothing half-written lies under a final name."""

import errno
import fcntl
import json
import os
import signal
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit import artifact
from edgekit.artifact import check_output, digest, manifest_path, publish, read_manifest, size_bytes, staging, write_manifest
from edgekit.errors import ArtifactError, OutputError

KINDS = ("file", "folder")


def make(place: Path, kind: str, content: str) -> None:
    if kind == "file":
        place.write_text(content)
    else:
        (place / "Data").mkdir(parents=True)
        (place / "Manifest.json").write_text("{}")
        (place / "Data" / "weights.bin").write_text(content)


def document(staged: Path) -> dict:
    return {"schema_version": 1, "artifact": {"sha256": digest(staged)}}


def place(folder: Path, kind: str, content: str, *, overwrite: bool = False) -> Path:
    final = folder / "net.onnx"
    with staging(folder) as stage:
        make(stage / final.name, kind, content)
        publish(stage / final.name, document(stage / final.name), final, overwrite=overwrite)
    return final


def content_of(final: Path) -> str:
    return (final if final.is_file() else final / "Data" / "weights.bin").read_text()


def leftovers(folder: Path) -> list[Path]:
    return list(folder.glob(".edgekit-staging-*"))


# --- digest and size


def test_the_digest_of_a_file_is_its_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert digest(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert size_bytes(tmp_path / "a") == 3


@given(st.dictionaries(st.sampled_from(["a", "b", "c/d", "c/e", "f/g/h"]), st.binary(max_size=4), min_size=1), st.randoms())
def test_the_digest_of_a_folder_is_of_names_and_contents_in_any_order(tmp_path_factory, files, random):
    first, second = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
    names = list(files)
    for root in (first, second):
        random.shuffle(names)
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(files[name])
    assert digest(first) == digest(second)
    assert size_bytes(first) == sum(map(len, files.values()))
    before = digest(first)
    (first / names[0]).write_bytes(files[names[0]] + b"x")
    assert digest(first) != before
    (second / names[0]).rename(second / "renamed")
    assert digest(second) != before


# --- publishing


@pytest.mark.parametrize("kind", KINDS)
def test_publish_and_replace(tmp_path, kind):
    final = place(tmp_path, kind, "old")
    assert read_manifest(final).sha256 == digest(final)
    with pytest.raises(OutputError, match=r"net\.onnx appeared while it was being exported"):
        place(tmp_path, kind, "new")
    assert content_of(final) == "old"
    place(tmp_path, kind, "new", overwrite=True)
    assert content_of(final) == "new"
    assert read_manifest(final).sha256 == digest(final)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.onnx", "net.onnx.manifest.json"]


@pytest.mark.parametrize(("before", "after"), [("file", "folder"), ("folder", "file")])
def test_a_folder_may_replace_a_file_and_back(tmp_path, before, after):
    place(tmp_path, before, "old")
    assert content_of(place(tmp_path, after, "new", overwrite=True)) == "new"


def test_others_may_read_what_was_published(tmp_path):
    final = place(tmp_path, "folder", "x")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(final.stat().st_mode) == 0o777 & ~mask
    assert stat.S_IMODE(manifest_path(final).stat().st_mode) == 0o666 & ~mask


def renames(monkeypatch, at: int, action) -> None:
    """Do ``action`` in place of the rename number ``at``."""
    count, rename = 0, Path.rename

    def counted(self, target):
        nonlocal count
        count += 1
        if count == at:
            action()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", counted)


class Stopped(BaseException):
    pass


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [1, 2, 3, 4])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Stopped()])
def test_an_error_at_any_step_brings_the_old_pair_back(tmp_path, monkeypatch, kind, at, error):
    final = place(tmp_path, kind, "old")

    def stop():
        raise error

    renames(monkeypatch, at, stop)
    with pytest.raises((OutputError, Stopped)) as caught:
        place(tmp_path, kind, "new", overwrite=True)
    if isinstance(error, OSError):
        assert caught.value.why == "No space left on device"
    assert content_of(final) == "old"
    assert read_manifest(final).sha256 == digest(final)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("at", [1, 2])
def test_an_error_at_any_step_of_a_first_export_leaves_nothing(tmp_path, monkeypatch, at):
    def stop():
        raise Stopped

    renames(monkeypatch, at, stop)
    with pytest.raises(Stopped):
        place(tmp_path, "file", "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_killed_at_any_step(tmp_path, monkeypatch, kind, at):
    final = place(tmp_path, kind, "old")
    child = os.fork()
    if child == 0:
        renames(monkeypatch, at, lambda: os.kill(os.getpid(), signal.SIGKILL))
        try:
            place(tmp_path, kind, "new", overwrite=True)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    assert killed is (at < 5)
    if final.exists():
        assert content_of(final) == ("old" if at == 1 else "new")
        assert read_manifest(final).sha256 == digest(final)  # the pair belongs together
    else:
        assert at in (2, 3, 4)
    assert bool(leftovers(tmp_path)) is killed
    monkeypatch.undo()
    place(tmp_path, kind, "next", overwrite=True)
    assert content_of(final) == "next"
    assert leftovers(tmp_path) == []


def test_a_stale_manifest_without_artifact_is_replaced(tmp_path):
    manifest_path(tmp_path / "net.onnx").write_text("stale")
    assert read_manifest(place(tmp_path, "file", "new")) is not None


# --- staging


def test_staging_removes_itself_also_after_an_exception(tmp_path):
    with pytest.raises(Stopped), staging(tmp_path / "new" / "folder") as stage:  # noqa: PT012
        assert stage.parent == tmp_path / "new" / "folder"
        (stage / "half").write_text("x")
        raise Stopped
    assert leftovers(tmp_path / "new" / "folder") == []


def test_a_leftover_is_removed_and_a_folder_in_use_is_not(tmp_path):
    leftover = tmp_path / ".edgekit-staging-killed"
    (leftover / "deep").mkdir(parents=True)
    with staging(tmp_path) as first:
        assert not leftover.exists()
        (first / "half").write_text("x")
        with staging(tmp_path) as second:
            assert first != second
            assert (first / "half").exists()
        assert first.exists()


def test_a_link_named_like_a_leftover_is_not_followed(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".edgekit-staging-link").symlink_to(tmp_path / "precious")
    with staging(tmp_path / "out"):
        pass
    assert (tmp_path / "precious" / "file").exists()


def test_a_staging_folder_that_is_not_locked_yet_is_not_taken_for_a_leftover(tmp_path, monkeypatch):
    """Between making its folder and locking it, an export holds the output folder's lock."""
    seen = []
    make_folder = artifact.tempfile.mkdtemp

    def watched(**options):
        made = make_folder(**options)
        descriptor = os.open(tmp_path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
        seen.append(made)
        return made

    monkeypatch.setattr(artifact.tempfile, "mkdtemp", watched)
    with staging(tmp_path) as stage:
        assert [str(stage)] == seen
        descriptor = os.open(tmp_path, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # free while the export works
        os.close(descriptor)


# --- where it may go


def test_check_output_makes_nothing(tmp_path):
    check_output(tmp_path / "a" / "b" / "net.onnx", overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_check_output_refusals(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write to"):
        check_output(tmp_path / "file" / "net.onnx", overwrite=True)
    with pytest.raises(OutputError, match="cannot write to"):
        check_output(tmp_path / "file" / "deeper" / "net.onnx", overwrite=True)
    with pytest.raises(OutputError, match="file is already there"):
        check_output(tmp_path / "file", overwrite=False)
    check_output(tmp_path / "file", overwrite=True)
    with pytest.raises(OutputError, match="cannot write to"), staging(tmp_path / "file" / "deeper"):
        pass


# --- manifests


def test_write_manifest_is_canonical(tmp_path):
    write_manifest({"b": 1, "a": {"d": "é", "c": None}}, tmp_path / "one")
    write_manifest({"a": {"c": None, "d": "é"}, "b": 1}, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        write_manifest({"a": float("nan")}, tmp_path / "three")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "3", "{}", '{"artifact": 3}', '{"artifact": {"sha256": "x"}}', "[" * 100_000, "\x00", '{"artifact": []}']
)
def test_what_is_no_manifest(tmp_path, text):
    final = place(tmp_path, "file", "x")
    manifest_path(final).write_text(text)
    with pytest.raises(ArtifactError, match=r"net\.onnx\.manifest\.json is not a manifest"):
        read_manifest(final)


def test_bytes_that_are_no_text_are_no_manifest(tmp_path):
    final = place(tmp_path, "file", "x")
    manifest_path(final).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ArtifactError, match="is not a manifest"):
        read_manifest(final)


def test_a_manifest_of_another_schema_size_or_artifact(tmp_path, monkeypatch):
    final = place(tmp_path, "file", "x")
    good = json.loads(manifest_path(final).read_text())
    manifest_path(final).write_text(json.dumps(good | {"schema_version": 2}))
    with pytest.raises(ArtifactError, match="has schema version 2"):
        read_manifest(final)
    manifest_path(final).write_text(json.dumps(good))
    final.write_text("edited")
    with pytest.raises(ArtifactError, match="is not the artifact its manifest describes"):
        read_manifest(final)
    monkeypatch.setattr(artifact, "_MAX_MANIFEST_BYTES", 10)
    with pytest.raises(ArtifactError, match="too large to be a manifest"):
        read_manifest(final)


def test_no_manifest_is_none(tmp_path):
    (tmp_path / "a.onnx").write_text("x")
    assert read_manifest(tmp_path / "a.onnx") is None


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EIO, "Input/output error")])
def test_a_system_that_fails_while_an_artifact_is_made_is_told_as_an_error(tmp_path, error):
    with pytest.raises(OutputError, match=error.strerror), staging(tmp_path / "out"):
        raise error
    assert list((tmp_path / "out").iterdir()) == []


def test_what_lies_in_a_staging_folder_and_cannot_be_read_is_told_and_what_lies_elsewhere_is_not_ours(tmp_path):
    with pytest.raises(OutputError, match="No such file"), staging(tmp_path) as staged:
        (staged / "gone").read_bytes()
    with pytest.raises(FileNotFoundError), staging(tmp_path):
        (tmp_path / "elsewhere").read_bytes()
