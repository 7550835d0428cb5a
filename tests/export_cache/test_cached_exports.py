"""The same export again, from the command line: a copy that was checked, and nothing else than an export would have written."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit import artifact
from edgekit.targets.onnx import OnnxTarget
from edgekit.user_code import is_user_file
from edgekit.verification.parity import Parity, combine, parity_from_json
from edgekit.verification.tolerances import TOLERANCES


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EDGEKIT_CACHE_GB", "0.1")
    return tmp_path / "cache" / "exports"


@pytest.fixture
def own(net, tmp_path):
    """The test's own copy of a user's model, not written just now, with a helper that it imports."""
    folder = tmp_path / "user"
    folder.mkdir()
    (folder / "cached_helper.py").write_text("SCALE = 1.0\n")
    (folder / "cached_net.py").write_text(net.read_text().replace("import torch\n", "import cached_helper\nimport torch\n", 1))
    for file in folder.iterdir():
        os.utime(file, (1e9, 1e9))
    yield folder / "cached_net.py"
    for name in ("cached_net", "cached_helper"):
        sys.modules.pop(name, None)


@pytest.fixture
def again(cli, own, tmp_path, monkeypatch):
    """Export the model, in a process that has imported neither it nor other tests' models; return what ``--json`` says."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and Path(file).is_absolute() and is_user_file(file) and not Path(file).is_relative_to(Path(__file__).parents[2]):
            monkeypatch.delitem(sys.modules, name)

    def run(*more, code=0):
        for name in ("cached_net", "cached_helper"):
            sys.modules.pop(name, None)
        ran = cli("export", f"{own}:build", "-t", "onnx", "--resolution", 32, "-o", tmp_path / "out", "--json", "--overwrite", *more)
        assert ran.code == code, ran.err
        return ran

    return run


def row_of(ran):
    (row,) = ran.document()["artifacts"]
    return row


def test_the_same_again_is_a_copy_and_says_so(cache, again, tmp_path):
    first = row_of(again("--lock", tmp_path / "first.lock", "--provenance"))
    assert first["from_cache"] is None
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    shutil.rmtree(tmp_path / "out")
    ran = again("--lock", tmp_path / "second.lock", "--provenance")
    second = row_of(ran)
    assert "onnx: cache" in ran.err
    assert "onnx: lower" not in ran.err
    assert second["from_cache"]["proved"] in ran.err
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert len(before) == 4
    assert (tmp_path / "second.lock").read_bytes() == (tmp_path / "first.lock").read_bytes()
    for key in ("seconds", "from_cache"):
        del first[key], second[key]
    assert second == first


def test_what_is_another_export_is_built(cache, again, own, tmp_path, monkeypatch):
    def cached(*more):
        return row_of(again(*more))["from_cache"] is not None

    assert [cached(), cached()] == [False, True]
    assert not cached("--no-cache")
    assert not cached("--atol", "0.5")
    own.with_name("cached_helper.py").write_text("SCALE = 1.5\n")
    os.utime(own.with_name("cached_helper.py"), (1e9, 1e9))
    assert not cached()  # the helper is not what it was
    monkeypatch.setenv("NET_SEED", "7")
    assert not cached()  # weights are others, and no file tells
    assert cached()
    monkeypatch.setenv("EDGEKIT_CACHE_GB", "0")
    assert not cached()


def test_a_lock_is_checked_on_what_is_built(cache, again, tmp_path):
    again("--lock", tmp_path / "a.lock")
    assert row_of(again("--check-lock", tmp_path / "a.lock"))["from_cache"] is None


def test_an_artifact_that_is_there_stays_without_overwrite(cache, again, refused, own, tmp_path):
    again()
    (path,) = (tmp_path / "out").glob("*.onnx")
    before = path.stat().st_mtime_ns
    assert "already there" in refused(3, "export", f"{own}:build", "-t", "onnx", "--resolution", 32, "-o", tmp_path / "out")
    assert path.stat().st_mtime_ns == before


def test_damage_is_said_and_built_again(cache, again):
    sound = row_of(again())
    (file,) = cache.glob("*/*.onnx")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    ran = again()
    assert "onnx: cache" in ran.err
    assert "removed, and built again" in ran.err
    assert (row_of(ran)["from_cache"], row_of(ran)["sha256"]) == (None, sound["sha256"])
    assert file.read_bytes() == content
    assert row_of(again())["from_cache"]


def test_what_failed_or_was_not_executed_is_not_kept(cache, again, monkeypatch):
    monkeypatch.setattr("edgekit.pipeline.check_artifact", lambda *given: Parity(verdict="not_executed", executed_by=None, reason="no"))
    again()
    again("--atol", "0", code=0)
    monkeypatch.undo()
    monkeypatch.setenv("EDGEKIT_CACHE", str(cache.parent))
    monkeypatch.setenv("EDGEKIT_CACHE_GB", "0.1")
    again("--atol", "1e-30", code=5)
    assert not cache.exists() or list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_said_and_is_no_error(cache, again):
    cache.parent.write_bytes(b"")
    ran = again()
    assert "the export could not be kept" in ran.err
    assert row_of(ran)["from_cache"] is None


def test_what_changed_while_it_was_made_is_not_kept(cache, again, own, monkeypatch):
    lower = OnnxTarget.lower

    def edited(self, job):
        own.write_text(own.read_text() + "\n")
        return lower(self, job)

    monkeypatch.setattr(OnnxTarget, "lower", edited)
    again()
    assert not cache.exists()


def test_list_and_clear(cache, again, cli):
    row = row_of(again())
    (entry,) = cli("cache", "list", "--json").document()["entries"]
    assert (entry["name"], len(entry["key"])) == (Path(row["path"]).name, 64)
    assert entry["size_bytes"] > row["size_bytes"]
    listed = cli("cache", "list")
    assert entry["key"][:12] in listed.out
    assert "1 exports" in listed.err
    assert cli("cache", "clear", "--json").document()["entries"] == 1
    assert cli("cache", "list", "--json").document()["entries"] == []
    assert cli("cache", "clear").code == 0


def test_a_limit_that_is_no_number_is_refused(refused, monkeypatch):
    for text in ("many", "inf", "nan", "-1"):
        monkeypatch.setenv("EDGEKIT_CACHE_GB", text)
        assert "EDGEKIT_CACHE_GB" in refused(2, "cache", "list")


def test_parity_is_read_back_as_it_was():
    rows = {
        name: Parity(verdict="pass", executed_by="x", samples=2, sqnr_db=100.5, sample_sqnr_db=(100.5, 120.0), tolerance=TOLERANCES["fp32"])
        for name in ("exit_1", "exit_2")
    }
    inner = Parity(verdict="pass", executed_by="x", numerics={"fp32": rows["exit_1"]}, regions={"samples": 2}, reason="r")
    for parity in (*rows.values(), inner, combine({**rows, "exit_3": inner}, rows)):
        document = json.loads(json.dumps(parity.to_json()))
        assert parity_from_json(document).to_json() == parity.to_json()


# --- registered models: in a process that has imported nothing

_KEEP = """
import json, sys
from pathlib import Path
from edgekit.export_cache import store
from edgekit.export_cache.answer import open_cache
from edgekit.requests import recipes_for
path, cache = Path(sys.argv[1]), open_cache()
(recipe,) = recipes_for("emov2-nano", ["onnx"])
document = json.loads(Path(str(path) + ".manifest.json").read_text())
store.keep(cache.folder, cache.key(recipe, path.name), path, store.Taken(document=document, proved="2026-01-02T03:04:05Z", processor="x"), 10**9)
"""
_AGAIN = """
import sys
from edgekit.cli.main import main
try:
    main()
finally:
    sys.stderr.write("heavy: " + " ".join(name for name in ("torch", "onnx", "PIL", "packaging") if name in sys.modules) + "\\n")
"""


@pytest.fixture
def kept(cache, onnx_artifact, tmp_path):
    """A cache with an entry for emov2-nano: its bytes are another, smaller network's."""
    path = tmp_path / "emov2-nano_32_fp32.onnx"
    onnx_artifact.rename(path)
    document = json.loads(artifact.manifest_path(onnx_artifact).read_text())
    document["artifact"]["name"] = path.name
    artifact.write_manifest(document, artifact.manifest_path(path))
    subprocess.run([sys.executable, "-c", _KEEP, path], check=True, timeout=60)
    return path


def test_a_registered_model_is_answered_without_torch(kept, cache, tmp_path):
    def run(*more):
        command = [sys.executable, "-c", _AGAIN, "export", "emov2-nano", "-t", "onnx", "-o", tmp_path / "out", *more]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    ran = run("--lock", tmp_path / "a.lock")
    assert ran.returncode == 0, ran.stderr
    assert "heavy: packaging" in ran.stderr
    assert "proved 2026-01-02T03:04:05Z" in ran.stderr
    assert artifact.read_manifest(tmp_path / "out" / kept.name).sha256 == artifact.digest(kept)
    assert json.loads((tmp_path / "a.lock").read_text())["artifacts"][kept.name]["processor"] == "x"
    taken = run()
    assert taken.returncode == 3
    assert "already there" in taken.stderr
    assert "heavy: packaging" in taken.stderr


@pytest.mark.alone
def test_a_registered_model_is_answered_within_a_second(kept, tmp_path, processor_seconds):
    command = [sys.executable, "-c", _AGAIN, "export", "emov2-nano", "-t", "onnx", "-o", tmp_path / "out", "--overwrite", "--quiet"]
    assert min(processor_seconds(command) for _ in range(5)) < 1.0
