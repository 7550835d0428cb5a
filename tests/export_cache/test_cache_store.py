"""The folder of entries: whole or absent, checked when taken, bounded."""

import fcntl
import os
import shutil

import attrs
import pytest

from edgekit import artifact
from edgekit.errors import OutputError
from edgekit.export_cache import store
from edgekit.export_cache.store import DamagedError, Taken

KEY, OTHER, THIRD = "a" * 64, "b" * 64, "c" * 64
PROVED = "2026-01-02T03:04:05Z"


@pytest.fixture(params=["file", "folder"])
def made(request, tmp_path):
    """An artifact of 300 bytes and what is kept beside it."""
    path = tmp_path / "made" / "net.bin"
    path.parent.mkdir()
    if request.param == "file":
        path.write_bytes(bytes(range(100)) * 3)
    else:
        (path / "inner").mkdir(parents=True)
        (path / "inner" / "weights").write_bytes(bytes(range(100)) * 2)
        (path / "model").write_bytes(bytes(100))
    return path, taken_of(path)


def taken_of(path):
    document = {"schema_version": 1, "artifact": {"name": path.name, "sha256": artifact.digest(path)}, "why": "é"}
    return Taken(document=document, proved=PROVED, processor="x86_64 AVX2")


def kept(tmp_path, made, key=KEY, most=1_000_000):
    store.keep(tmp_path / "cache", key, *made, most)
    return tmp_path / "cache"


def fresh(tmp_path):
    place = tmp_path / "taken"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return place / "net.bin"


def test_what_was_kept_comes_back(tmp_path, made):
    cache, into = kept(tmp_path, made), fresh(tmp_path)
    assert store.has(cache, KEY)
    assert store.take(cache, KEY, into) == made[1]
    assert artifact.digest(into) == artifact.digest(made[0])
    assert store.take(cache, OTHER, into) is None
    (row,) = store.entries(cache)
    assert (row.key, row.name, row.proved) == (KEY, "net.bin", PROVED)
    assert [path.name for path in cache.iterdir()] == [KEY]  # and nothing else is left


def test_every_damage_is_noticed(tmp_path, made):
    cache = kept(tmp_path, made)
    files = artifact.files_of(cache / KEY)
    assert len(files) >= 3
    for file in files:
        sound = file.read_bytes()
        for damaged in (sound[:-1], b"", sound[:9] + bytes([sound[9] ^ 4]) + sound[10:], sound + b"\n"):
            file.write_bytes(damaged)
            with pytest.raises(DamagedError):
                store.take(cache, KEY, fresh(tmp_path))
        file.unlink()
        with pytest.raises(DamagedError):
            store.take(cache, KEY, fresh(tmp_path))
        file.write_bytes(sound)
    assert store.take(cache, KEY, fresh(tmp_path)) == made[1]


def test_a_link_is_damage(tmp_path, made):
    cache = kept(tmp_path, made)
    file = artifact.files_of(cache / KEY / "net.bin")[0]
    shutil.move(file, tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")  # the bytes are right
    with pytest.raises(DamagedError, match="a link"):
        store.take(cache, KEY, fresh(tmp_path))


def test_an_entry_under_another_name_or_no_folder_is_damage(tmp_path, made):
    cache = kept(tmp_path, made)
    with pytest.raises(DamagedError, match="another artifact"):
        store.take(cache, KEY, fresh(tmp_path).with_name("other.bin"))
    (cache / OTHER).write_bytes(b"")
    with pytest.raises(DamagedError, match="no folder"):
        store.take(cache, OTHER, fresh(tmp_path))
    assert store.discard(cache, [KEY, OTHER, THIRD]) == 2
    assert list(cache.iterdir()) == []


def test_the_longest_unused_leave(tmp_path, made):
    cache = kept(tmp_path, made)
    size = store.entries(cache)[0].size_bytes
    store.keep(cache, OTHER, *made, 3 * size)
    os.utime(cache / KEY, (1, 1))
    os.utime(cache / OTHER, (2, 2))
    assert store.take(cache, KEY, fresh(tmp_path))  # now it is the other that was not used for longest
    store.keep(cache, THIRD, *made, 2 * size)
    assert {row.key for row in store.entries(cache)} == {KEY, THIRD}
    os.utime(cache / KEY, (2**33, 2**33))  # as if the clock had gone back since
    store.keep(cache, OTHER, *made, size)
    assert [row.key for row in store.entries(cache)] == [OTHER]


def test_one_that_is_being_taken_stays(tmp_path, made):
    cache = kept(tmp_path, made)
    held = os.open(cache / KEY, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)
    store.keep(cache, OTHER, *made, 1000)
    assert store.has(cache, KEY)
    os.close(held)
    store.keep(cache, THIRD, *made, 1000)
    assert [row.key for row in store.entries(cache)] == [THIRD]


def test_what_is_too_large_or_was_replaced_is_not_kept(tmp_path, made):
    assert not store.has(kept(tmp_path, made, most=299), KEY)
    path, taken = made
    other = attrs.evolve(taken, document={**taken.document, "artifact": {"name": path.name, "sha256": "0" * 64}})
    assert not store.has(kept(tmp_path, (path, other)), KEY)
    assert store.entries(tmp_path / "cache") == []


def test_what_a_killed_export_left_is_no_entry_and_goes(tmp_path, made):
    cache = kept(tmp_path, made)
    (cache / ".edgekit-staging-left").mkdir()
    shutil.copytree(cache / KEY, cache / ".edgekit-staging-left" / OTHER)
    assert [row.key for row in store.entries(cache)] == [KEY]
    store.keep(cache, THIRD, *made, 1_000_000)
    assert {path.name for path in cache.iterdir()} == {KEY, THIRD}


def test_two_that_keep_the_same_keep_one(tmp_path, made):
    kept(tmp_path, made)
    assert [row.key for row in store.entries(kept(tmp_path, made))] == [KEY]


def test_a_place_that_is_no_folder_is_an_error_for_the_caller(tmp_path, made):
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(OutputError):
        kept(tmp_path, made)
    assert store.entries(tmp_path / "cache") == []
