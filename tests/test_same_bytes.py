"""The same request gives the same bytes, for every target: in another process, folder, time zone, year, language, and order of sets."""

import json
import os
import subprocess
import sys

import edgekit
from edgekit.artifact import digest
from edgekit.capabilities import TARGETS

ELSEWHERE = """
import json, os, sys, time

real, real_ns = time.time, time.time_ns
time.time, time.time_ns = (lambda: real() - 1e9), (lambda: real_ns() - 10**18)
os.umask(0o077)

import torch

torch.set_num_threads(2)
import edgekit

made = edgekit.export(sys.argv[1], targets=json.loads(sys.argv[3]), resolution=32, output_dir=sys.argv[2], atol=1.0)
print(json.dumps([str(row.path) for row in made.artifacts]))
"""


def test_same_request_same_bytes_wherever_it_is_made(net, tmp_path):
    targets = [facts.name for facts in TARGETS]
    here = edgekit.export(f"{net}:build", targets=targets, resolution=32, output_dir=tmp_path / "here", atol=1.0).artifacts
    (tmp_path / "elsewhere" / "temporary").mkdir(parents=True)
    (tmp_path / "copy").mkdir()
    copy = tmp_path / "copy" / net.name
    copy.write_bytes(net.read_bytes())
    environment = {"PYTHONHASHSEED": "4711", "TZ": "Asia/Kathmandu", "LANG": "C", "LC_ALL": "C", "TMPDIR": str(tmp_path / "elsewhere" / "temporary")}
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, f"{copy}:build", str(tmp_path / "there"), json.dumps(targets)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
        cwd=tmp_path / "elsewhere",
    )
    assert done.returncode == 0, done.stderr
    there = {name: tmp_path / "there" / name for name in (row.path.name for row in here)}
    assert {row.path.name: digest(there[row.path.name]) for row in here} == {row.path.name: row.sha256 for row in here}
    for row in here:  # what the file says of itself, too: errors against eager, origins, operators
        assert json.loads((tmp_path / "there" / row.manifest.name).read_text()) == json.loads(row.manifest.read_text())
