"""Everything that decides an artifact's bytes is in its key; nothing else is."""

import os
import shutil

import pytest

from edgekit.export_cache import key as keys
from edgekit.export_cache.key import ground, is_known_by_name, key_of
from edgekit.recipe import Recipe

ASKED = {"model": "emov2-nano", "target": "onnx"}


def key(ground=None, name="a.onnx", evidence=None, **options):
    return key_of(Recipe(**ASKED | options), name, ground or {"edgekit": "1"}, evidence)


@pytest.mark.parametrize("option", ["weights", "labels", "plan"])
def test_files_count_by_their_contents(tmp_path, option):
    more = {"precision": "w8a8", "target": "tflite"} if option == "plan" else {}
    one, same, other = tmp_path / "a" / "file", tmp_path / "b" / "file", tmp_path / "c" / "file"
    for path, text in ((one, "1"), (same, "1"), (other, "2")):
        path.parent.mkdir()
        path.write_text(text)
    assert key(**{option: one}, **more) == key(**{option: same}, **more)
    assert len({key(**more), key(**{option: one}, **more), key(**{option: other}, **more)}) == 3
    with pytest.raises(OSError):
        key(**{option: tmp_path / "none"}, **more)


def test_every_option_counts():
    rows = ({}, {"target": "tflite"}, {"resolution": 64}, {"num_classes": 3}, {"atol": 1.0}, {"early_exit": "last"}, {"model": "emov2-1m"})
    names = ({"name": "b.onnx"}, {"evidence": "1"}, {"ground": {"edgekit": "2"}})
    assert len({key(**row) for row in (*rows, *names)}) == len(rows) + len(names)


def test_only_what_its_name_tells_is_known_by_it():
    assert is_known_by_name(Recipe(**ASKED))
    assert not is_known_by_name(Recipe(**ASKED | {"model": "net.py:build"}))
    assert not is_known_by_name(Recipe(model="emov2-nano", target="tflite", precision="w8a8", data="cifar10"))


def test_the_ground_is_the_source_the_packages_the_processor_and_settings(tmp_path, monkeypatch):
    own, packages = tmp_path / "own", tmp_path / "packages"
    shutil.copytree(keys._OWN / "planner", own / "planner")
    (packages / "some-1.0.dist-info").mkdir(parents=True)
    monkeypatch.setattr(keys, "_OWN", own)
    monkeypatch.setattr("sys.path", [str(packages), str(tmp_path / "gone")])
    seen = [ground()]
    (own / "planner" / "tables" / "new.json").write_text("{}")
    seen.append(ground())
    file = next(path for path in own.rglob("*.py") if path.stat().st_size > 100)
    file.write_bytes(file.read_bytes() + b"\n")
    seen.append(ground())
    file.rename(file.with_name("moved.py"))
    seen.append(ground())
    (packages / "some-1.0.dist-info").rename(packages / "some-1.1.dist-info")
    seen.append(ground())
    os.utime(packages / "some-1.1.dist-info", (1, 1))  # installed again
    seen.append(ground())
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    seen.append(ground())
    monkeypatch.setattr(keys, "_processor", lambda: iter(["another"]))
    seen.append(ground())
    assert len({tuple(one.values()) for one in seen}) == len(seen)
    (own / "__pycache__").mkdir()
    (own / "__pycache__" / "a.pyc").write_bytes(b"1")
    monkeypatch.setenv("EDITOR", "ed")
    monkeypatch.chdir(tmp_path)
    assert ground() == seen[-1]
