"""Two real Ray nodes on loopback, one of them killed in the middle: the same table as here."""

import contextlib
import importlib.util
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest
import sweep_cells
from sweep_cells import cell

from edgekit.errors import EdgekitError, UsageError
from edgekit.sweep.cluster import as_tar, from_tar, require_equal
from edgekit.sweep_store import table
from edgekit.sweep_store.store import SweepStore


def test_a_machine_with_other_versions_is_refused():
    here = {"edgekit": "a" * 64, "python": "3.11.7", "package torch": "2.13.0"}
    require_equal(here, dict(here), "far")
    with pytest.raises(UsageError, match="far has other versions") as refused:
        require_equal(here, {**here, "package torch": "2.12.0", "package more": "1"}, "far")
    assert "package more: none here, 1 there; package torch: 2.13.0 here, 2.12.0 there" in refused.value.what


def test_what_is_sent_stays_in_its_folder(tmp_path):
    (tmp_path / "net.onnx").write_text("net")
    (tmp_path / "net.onnx.manifest.json").write_text("{}")
    packed = as_tar(tmp_path / "net.onnx")
    (tmp_path / "there").mkdir()
    there = from_tar(packed, tmp_path / "there")
    assert (there.read_text(), sorted(path.name for path in there.parent.iterdir())) == ("net", ["net.onnx", "net.onnx.manifest.json"])
    with pytest.raises(EdgekitError, match="cannot be unpacked"):
        from_tar(packed.replace(b"net.onnx\0", b"../a.txt\0"), tmp_path / "there")
    with pytest.raises(EdgekitError, match="cannot be unpacked"):
        from_tar(packed[:700], tmp_path / "there")


@pytest.fixture
def nodes(monkeypatch):
    """A head with one CPU, and another node with one, as ``ray start`` makes them; only who has the token may use them."""
    if importlib.util.find_spec("ray") is None:  # not imported yet: it reads its settings when it is
        pytest.skip("NOT TESTED: sweeps on a cluster, a node of which is lost; pip install 'edgekit[sweep]'")
    folder = tempfile.mkdtemp(prefix="ek-ray-", dir="/tmp")  # sockets lie in it, whose names may not be long
    for name, value in {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}.items():
        monkeypatch.setenv(name, value)
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    shared = ["--num-cpus=1", "--memory=4000000000", "--object-store-memory=100000000", "--min-worker-port=0", "--max-worker-port=0", "--block"]
    head = ["--head", "--port=0", "--include-dashboard=false", f"--temp-dir={folder}", *shared]
    started = []
    said = ""
    try:
        for number in range(2):
            address = "".join(re.findall(r"ray start --address='([0-9.]+:[0-9]+)'", said))
            log = Path(folder) / f"log{number}"
            with log.open("wb") as stream:
                command = [str(Path(sys.executable).with_name("ray")), "start", *([f"--address={address}", *shared] if number else head)]
                started.append(subprocess.Popen(command, env=environment, stdout=stream, stderr=stream, start_new_session=True))
            said = said or _until_said(log, "Ray runtime started", Path(folder))
        _until_said(log, "Ray runtime started", Path(folder))
        yield address, started[1]
    finally:
        for process in reversed(started):
            kill(process)
        shutil.rmtree(folder, ignore_errors=True)


def kill(process):
    """End a node at once, with all that it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    process.wait()


def _until_said(log, words, folder, seconds=60):
    end = time.monotonic() + seconds
    while words not in (said := log.read_text()):
        if time.monotonic() > end:
            logs = [path.read_text(errors="replace")[-1000:] for path in folder.glob("session_latest/logs/gcs_server.*")]
            pytest.fail("\n".join([f"ray start said within {seconds} s:", said, *logs]))
        time.sleep(0.1)
    return log.read_text()


class _Killer(sweep_cells.Heard):
    """Kills a node when three cells have ended and two others run."""

    def __init__(self, node):
        super().__init__()
        self.node = node

    def ended(self, cell, outcome, progress):
        super().ended(cell, outcome, progress)
        if len(self.seen) == 3:
            threading.Timer(0.6, kill, [self.node]).start()


@pytest.mark.alone
def test_a_node_is_lost_and_the_table_is_the_same(nodes, tmp_path):
    from edgekit.sweep.cluster import RayExecutor
    from edgekit.sweep.local import LocalExecutor
    from edgekit.sweep.run import run_cells

    lost = []

    class Watched(RayExecutor):
        def wait(self, seconds):
            found = super().wait(seconds)
            lost.extend(outcome for outcome in found if outcome.status == "lost")
            return found

    address, node = nodes
    make = cell("net", act="make")
    shards = [cell(f"r{number}", act="read", artifact_of=make.key, start=2 * number, count=2, seconds=1) for number in range(4)]
    eager = [cell(f"e{number}", act="read", artifact_of=make.key, start=2 * number, count=2, eager=True) for number in range(4)]
    poisoned = cell("poisoned", act="crash")
    cells = sweep_cells.by_key(make, poisoned, *shards, *eager)
    row = {"model": "net", "target": "onnx", "precision": "fp32", "export": make.key, "evaluate": [one.key for one in shards], "bench": None}
    row |= {"eager": [one.key for one in eager], "pictures": 8, "eager_pictures": 8}
    tables = []
    for name, executor, heard in (
        ("cluster", Watched(address), _Killer(node)),
        ("here", LocalExecutor(1), sweep_cells.Heard()),
    ):
        with SweepStore.open(tmp_path / f"{name}.sweep", write=True) as store:
            store.add_plan("s", {"rows": [row]})
            summary = run_cells(cells, store, executor, code=sweep_cells.own_digest(), listener=heard)
            tables.append(table.document(store))
            assert store.counts() == {"done": 9, "failed": 1}
        assert list(summary.failed) == [poisoned.key]
        assert "SIGSEGV" in summary.failed[poisoned.key]
    assert tables[0] == tables[1]
    assert tables[0]["results"][0]["accuracy"] == 1.0
    assert node.poll() is not None
    assert lost
