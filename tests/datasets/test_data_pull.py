"""What is pulled is complete and the expected bytes, or it is not there; with a client that is handed in."""

import hashlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from attrs import evolve
from packing import FILES, WANTED, WANTED_BYTES, tgz

from edgekit.data import catalogue
from edgekit.data import pull as module
from edgekit.data.catalogue import DATA_SETS, DataSet, Package
from edgekit.data.pull import is_pulled, place_of, pull, pulled
from edgekit.errors import BadInputError, OutputError, UnknownNameError


class Client:
    """Writes a package as a registry's client would, and counts."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.calls = 0

    def __call__(self, package: Package, folder: Path, progress=None) -> Path:
        self.calls += 1
        file = folder / f"{package.name}.tgz"
        file.write_bytes(self.content)
        if progress is not None:
            progress(len(self.content), package.size_bytes)
        return file


@pytest.fixture
def content(tmp_path):
    return tgz(tmp_path / "made.tgz").read_bytes()


@pytest.fixture
def row(content, monkeypatch):
    package = Package(registry="npm", name="some", version="1.0", sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
    row = DataSet(name="some", holds="", licence="", package=package, members=WANTED, unpacked_bytes=WANTED_BYTES, splits=("train",))
    monkeypatch.setattr(catalogue, "DATA_SETS", (row,))
    return row


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_data_set_is_fetched_checked_and_unpacked_once(row, content, cache):
    client, seen = Client(content), []
    place = pull("some", cache_dir=cache, fetch=client, progress=lambda *bytes: seen.append(bytes))
    assert names(place) == {"a.txt", "b.bin", "inventory.json"}
    assert (place / "b.bin").read_bytes() == FILES["package/sub/b.bin"]
    assert names(cache / "data") == {place.name, ".some.lock"}  # neither the package nor parts of it
    assert seen == [(len(content), len(content))]
    assert pull("some", cache_dir=cache, fetch=client) == pulled("some", cache_dir=cache) == place
    assert client.calls == 1


def test_other_bytes_are_deleted_with_what_the_client_kept(row, content, cache):
    client = Client(content[:-1] + b"x")
    with pytest.raises(BadInputError, match=r"the file is not the expected some 1\.0") as caught:
        pull("some", cache_dir=cache, fetch=client)
    assert caught.value.exit_code == 3
    assert row.package.sha256 in caught.value.what
    assert names(cache / "data") == {".some.lock"}
    assert not is_pulled(row, cache)


def test_after_an_interruption_what_was_fetched_whole_is_used(row, content, cache, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    client = Client(content)
    with monkeypatch.context() as patched:
        patched.setattr(module, "unpack", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pull("some", cache_dir=cache, fetch=client)
    assert not is_pulled(row, cache)
    pull("some", cache_dir=cache, fetch=client)
    assert client.calls == 1


def test_after_an_interruption_half_a_package_is_not_used(row, content, cache):
    def dies(package, folder, progress=None):
        (folder / "some.tgz").write_bytes(content[:100])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull("some", cache_dir=cache, fetch=dies)
    client = Client(content)
    assert (pull("some", cache_dir=cache, fetch=client) / "a.txt").read_bytes() == b"first"
    assert client.calls == 1


@pytest.mark.parametrize("damage", ["changed", "missing", "inventory"])
def test_a_damaged_data_set_is_refused_and_fetched_again(row, content, cache, damage):
    client = Client(content)
    place = pull("some", cache_dir=cache, fetch=client)
    if damage == "changed":
        (place / "a.txt").write_bytes(b"First")
    elif damage == "missing":
        (place / "a.txt").unlink()
    else:
        (place / "inventory.json").write_text(json.dumps({"a.txt": "0"}))
    with pytest.raises(BadInputError, match="some in the cache is damaged") as caught:
        pulled("some", cache_dir=cache)
    assert caught.value.hint == "fetch it again: edgekit data pull some"
    assert (pull("some", cache_dir=cache, fetch=client) / "a.txt").read_bytes() == b"first"
    assert client.calls == 2


def test_two_at_once_fetch_once(row, content, cache):
    inside, release = threading.Event(), threading.Event()

    class Slow(Client):
        def __call__(self, package, folder, progress=None):
            inside.set()
            assert release.wait(30)
            return super().__call__(package, folder, progress)

    class Heard:
        def __init__(self):
            self.stages = []

        def begin(self, stage):
            self.stages.append(stage)
            if stage.startswith("wait"):
                release.set()  # the first goes on only once the second waits

        def end(self, stage, seconds, detail):
            pass

        fail = begin

    client, heard = Slow(content), Heard()
    first = threading.Thread(target=pull, args=("some",), kwargs={"cache_dir": cache, "fetch": client})
    first.start()
    assert inside.wait(30)
    pull("some", cache_dir=cache, fetch=client, listener=heard)
    first.join(30)
    assert client.calls == 1
    assert heard.stages == ["wait for some"]


def test_a_package_can_be_handed_in_and_is_checked_as_well(row, content, cache, tmp_path):
    def never(*arguments):
        pytest.fail("fetched")

    file = tmp_path / "handed.tgz"
    file.write_bytes(content)
    assert (pull("some", cache_dir=cache, package_file=file, fetch=never) / "a.txt").read_bytes() == b"first"
    assert file.read_bytes() == content
    place_of(row, cache).joinpath("a.txt").unlink()
    file.write_bytes(content + b"x")
    with pytest.raises(BadInputError, match="is not the expected some"):
        pull("some", cache_dir=cache, package_file=file, fetch=never)
    with pytest.raises(BadInputError, match="cannot read"):
        pull("some", cache_dir=cache, package_file=tmp_path / "no.tgz", fetch=never)
    other = tmp_path / "handed.bin"
    other.write_bytes(content)
    with pytest.raises(BadInputError, match=r"handed\.bin does not end in \.tgz"):
        pull("some", cache_dir=cache, package_file=other, fetch=never)


def test_what_was_not_pulled_is_said(row, cache):
    with pytest.raises(BadInputError, match="some is not here yet") as caught:
        pulled("some", cache_dir=cache)
    assert caught.value.hint == "edgekit data pull some"
    with pytest.raises(UnknownNameError, match="unknown data set 'sone'") as caught:
        pull("sone", cache_dir=cache)
    assert caught.value.hint == "did you mean 'some'?"


def test_a_cache_that_is_no_folder_is_said(row, content, cache):
    cache.write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be kept in the cache"):
        pull("some", cache_dir=cache, fetch=Client(content))


def test_another_version_of_a_package_lies_in_another_folder(row, cache):
    newer = evolve(row, package=evolve(row.package, sha256="f" * 64))
    assert place_of(newer, cache) != place_of(row, cache)


def test_the_rows_are_sound():
    assert [row.name for row in DATA_SETS] == ["cifar10", "groceries", "fashion-mnist", "lite0"]
    for row in DATA_SETS:
        assert len(row.package.sha256) == 64
        assert len(set(row.files)) == len(row.members)
        assert not any(member.startswith(("/", "./")) or ".." in member for member in row.members)
        assert 0 < row.unpacked_bytes < 200_000_000


def test_the_catalogue_is_light():
    program = "import sys, edgekit.data.catalogue, edgekit.data.pull; print('numpy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "False"
