"""Only the named files leave a package, and nothing that is wrong with it goes unsaid."""

import stat
import tarfile
import zipfile

import pytest
from packing import FILES, WANTED, WANTED_BYTES, ar, deb, tgz, whl

import edgekit.data.unpack as module
from edgekit.data.unpack import unpack
from edgekit.errors import BadInputError

MAKE = {"p.tgz": tgz, "p.whl": whl, "p.deb": deb}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", MAKE)
def test_the_named_files_and_no_others(tmp_path, folder, name):
    unpack(MAKE[name](tmp_path / name), WANTED, folder, max_bytes=WANTED_BYTES)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a.txt": b"first", "b.bin": FILES["package/sub/b.bin"]}
    assert {path.name for path in tmp_path.iterdir()} == {name, "out"}


@pytest.mark.parametrize("name", MAKE)
def test_a_byte_more_than_expected_is_refused(tmp_path, folder, name):
    with pytest.raises(BadInputError, match=f"{name} holds more than {WANTED_BYTES - 1} bytes") as caught:
        unpack(MAKE[name](tmp_path / name), WANTED, folder, max_bytes=WANTED_BYTES - 1)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("name", MAKE)
def test_a_missing_file_is_named(tmp_path, folder, name):
    with pytest.raises(BadInputError, match=f"{name} does not hold package/c"):
        unpack(MAKE[name](tmp_path / name), (*WANTED, "package/c"), folder, max_bytes=WANTED_BYTES)


@pytest.mark.parametrize("name", MAKE)
def test_names_that_lead_elsewhere_write_nothing(tmp_path, folder, name):
    hostile = {"../evil": b"x", str(tmp_path / "evil"): b"x", "package/../../evil": b"x", **FILES}
    unpack(MAKE[name](tmp_path / name, hostile), WANTED, folder, max_bytes=WANTED_BYTES)
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_package_is_refused(tmp_path, folder, name, share):
    package = MAKE[name](tmp_path / name)
    content = package.read_bytes()
    package.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BadInputError, match=name):
        unpack(package, ("package/sub/b.bin", "package/other.py"), folder, max_bytes=10_000)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_a_link_or_device_in_place_of_a_file_is_refused(tmp_path, folder, kind):
    info = tarfile.TarInfo("package/a.txt")
    info.type, info.linkname = kind, "/etc/passwd"
    package = tgz(tmp_path / "p.tgz", {}, extra=(info,))
    with pytest.raises(BadInputError, match=r"package/a\.txt in p\.tgz is not a plain file"):
        unpack(package, ("package/a.txt",), folder, max_bytes=100)
    assert not list(folder.iterdir())


def test_a_link_in_a_wheel_is_refused(tmp_path, folder):
    with zipfile.ZipFile(tmp_path / "p.whl", "w") as archive:
        info = zipfile.ZipInfo("package/a.txt")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(BadInputError, match=r"package/a\.txt in p\.whl is not a plain file"):
        unpack(tmp_path / "p.whl", ("package/a.txt",), folder, max_bytes=100)


def test_a_file_that_is_there_twice_is_refused(tmp_path, folder):
    package = tgz(tmp_path / "p.tgz", FILES, extra=(tarfile.TarInfo("package/a.txt"),))
    with pytest.raises(BadInputError, match=r"p\.tgz holds package/a\.txt twice"):
        unpack(package, WANTED, folder, max_bytes=WANTED_BYTES)


@pytest.mark.parametrize(("limit", "value"), [("_MAX_MEMBERS", 2), ("_MAX_PASSED_BYTES", 2000)])
def test_too_many_or_too_large_members_are_refused_though_not_wanted(tmp_path, folder, monkeypatch, limit, value):
    monkeypatch.setattr(module, limit, value)
    with pytest.raises(BadInputError, match=r"p\.tgz is too large to be unpacked"):
        unpack(tgz(tmp_path / "p.tgz"), ("package/other.py",), folder, max_bytes=100)


def test_an_ar_archive_without_data_is_refused(tmp_path, folder):
    (tmp_path / "p.deb").write_bytes(ar({"debian-binary": b"2.0\n"}))
    with pytest.raises(BadInputError, match=r"p\.deb cannot be unpacked") as caught:
        unpack(tmp_path / "p.deb", WANTED, folder, max_bytes=100)
    assert caught.value.why == "it holds no data.tar.xz"
