"""``edgekit export`` when it works, and what it prints for people and programs."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.artifact import digest, read_manifest
from edgekit.targets.onnx import OnnxTarget

EDGEKIT = Path(sys.executable).with_name("edgekit")
NUMBER = (int, float)
TYPES = {
    "target": str,
    "precision": str,
    "path": str,
    "manifest": str,
    "size_bytes": int,
    "sha256": str,
    "methods": list,
    "seconds": float,
    "rewrites": list,
    "delegation": dict,
    "parity": dict,
    "quantization": type(None),
    "notes": list,
    "from_cache": type(None),
}


def test_json_is_what_the_contract_says(cli, net, tmp_path):
    ran = cli("export", f"{net}:build", "-t", "onnx", "--resolution", 32, "-o", tmp_path / "out", "--json")
    assert ran.code == 0, ran.err
    document = ran.document()
    assert document.keys() == {"schema_version", "command", "model", "trained", "artifacts"}
    assert (document["schema_version"], document["command"], document["model"], document["trained"]) == (1, "export", f"{net}:build", None)
    (row,) = document["artifacts"]
    assert {key: type(value) for key, value in row.items()} == TYPES
    assert (row["target"], row["precision"], row["methods"]) == ("onnx", "fp32", ["forward"])
    path = Path(row["path"])
    assert path == tmp_path / "out" / "net-build_32_fp32.onnx"
    assert Path(row["manifest"]) == tmp_path / "out" / "net-build_32_fp32.onnx.manifest.json"
    assert (row["size_bytes"], row["sha256"]) == (path.stat().st_size, digest(path))
    fired = {rewrite["name"]: rewrite["sites"] for rewrite in row["rewrites"]}
    assert fired["fold_batch_norm"] == 1
    for rewrite in row["rewrites"]:
        assert type(rewrite["sites"]) is int
        assert all(skip.keys() == {"site", "reason"} for skip in rewrite["skips"])
    assert row["delegation"]["share"] is None
    assert row["delegation"]["not_delegated"] == {}
    parity = row["parity"]
    assert (parity["verdict"], parity["executed_by"], parity["samples"], parity["top1_agreement"]) == ("pass", "onnxruntime", 9, 1.0)
    assert 0 <= parity["max_abs_error"] < 1e-4
    assert parity["sqnr_db"] > 90
    assert parity["tolerance"]["max_rel_error"] == 1e-4
    assert "onnx: verify" in ran.err  # the stages are for people
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [path.name, path.name + ".manifest.json"]


def test_trained_false_null_and_true(cli, net, tmp_path):
    import torch

    from edgekit.models.source import load_source

    torch.save(load_source(f"{net}:build", resolution=32).module.state_dict(), tmp_path / "net.pth")
    ran = cli("export", f"{net}:build", "-t", "onnx", "--resolution", 32, "-o", tmp_path, "--weights", tmp_path / "net.pth", "--json")
    assert ran.document()["trained"] is True
    manifest = json.loads(Path(ran.document()["artifacts"][0]["manifest"]).read_text())
    assert manifest["model"]["trained"] is True
    assert manifest["model"]["weights_sha256"] == digest(tmp_path / "net.pth")
    assert manifest["recipe"]["weights"] == "net.pth"


def test_an_untrained_export_says_so_everywhere(cli, tmp_path):
    ran = cli("export", "emov2-1m", "-t", "onnx", "--resolution", 32, "--num-classes", 3, "-o", tmp_path)
    assert ran.code == 0, ran.err
    assert "UNTRAINED" in ran.err
    path = tmp_path / "emov2-1m_32_fp32.onnx"
    assert read_manifest(path).document["model"]["trained"] is False
    assert b"untrained" in path.read_bytes()


def test_overwrite_is_needed_to_replace(cli, refused, net, tmp_path):
    arguments = ("export", f"{net}:build", "-t", "onnx", "--resolution", 32, "-o", tmp_path)
    assert cli(*arguments).code == 0
    path = tmp_path / "net-build_32_fp32.onnx"
    before = path.stat().st_mtime_ns
    for dry in ([], ["--dry-run"]):
        said = refused(3, *arguments, *dry)
        assert "net-build_32_fp32.onnx is already there" in said
        assert "--overwrite" in said
    assert path.stat().st_mtime_ns == before
    assert cli(*arguments, "--overwrite").code == 0
    assert path.stat().st_mtime_ns > before
    assert read_manifest(path) is not None


def test_quiet_says_nothing_when_it_works(cli, net, tmp_path):
    ran = cli("export", f"{net}:build", "-t", "onnx", "--resolution", 32, "-o", tmp_path, "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert (tmp_path / "net-build_32_fp32.onnx").exists()


def test_quiet_still_says_what_went_wrong(refused, net, tmp_path):
    said = refused(3, "export", f"{net}:raises", "-t", "onnx", "--resolution", 32, "-o", tmp_path, "--quiet")
    assert said.startswith("error: the factory")


def test_dry_run_writes_nothing(cli, net, tmp_path):
    ran = cli("export", f"{net}:build", "-t", "onnx", "-t", "tflite", "--resolution", 32, "-o", tmp_path / "a" / "b", "--dry-run")
    assert ran.code == 0
    assert "net-build_32_fp32.onnx" in ran.out
    assert list(tmp_path.iterdir()) == []
    document = cli("export", f"{net}:build", "-t", "onnx", "--resolution", 32, "-o", tmp_path / "a", "--dry-run", "--json").document()
    assert document["dry_run"] is True
    assert [row["path"] for row in document["artifacts"]] == [str(tmp_path / "a" / "net-build_32_fp32.onnx")]
    assert list(tmp_path.iterdir()) == []


def test_what_a_model_prints_does_not_touch_stdout(cli, net, tmp_path):
    ran = cli("export", f"{net}:talks", "-t", "onnx", "--resolution", 32, "-o", tmp_path, "--json")
    assert ran.document()["artifacts"]
    assert "building the model" in ran.err
    assert "said by a child" in ran.err


def test_a_later_target_that_fails_leaves_the_earlier_ones_told(cli, net, tmp_path, monkeypatch):
    from edgekit.errors import LoweringError

    def stop(self, job):
        raise LoweringError("cannot lower to onnx: no")

    monkeypatch.setattr(OnnxTarget, "lower", stop)
    ran = cli("export", f"{net}:build", "-t", "tflite", "-t", "onnx", "--resolution", 32, "-o", tmp_path, "--json")
    assert ran.code == 4
    assert ran.document()["error"]["kind"] == "LoweringError"
    (row,) = ran.document()["artifacts"]
    assert row["target"] == "tflite"
    assert f"wrote {row['path']}" in ran.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net-build_32_fp32.tflite", "net-build_32_fp32.tflite.manifest.json"]


def test_a_recipe_holds_the_whole_request(cli, net, tmp_path):
    (tmp_path / "net.py").write_bytes(net.read_bytes())
    (tmp_path / "r.toml").write_text('model = "net.py:build"\ntarget = "onnx"\nresolution = 32\n')
    ran = cli("export", "--recipe", tmp_path / "r.toml", "-o", tmp_path / "out", "--json")
    assert ran.code == 0, ran.err
    assert ran.document()["artifacts"][0]["path"] == str(tmp_path / "out" / "net-build_32_fp32.onnx")


@pytest.mark.parametrize("colour", [True, False])
def test_on_a_terminal_an_error_has_its_own_line_and_colour_only_where_wanted(net, tmp_path, colour):
    leader, follower = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | ({} if colour else {"NO_COLOR": "1"})
    command = [EDGEKIT, "export", f"{net}:raises", "-t", "onnx", "--resolution", "32", "-o", tmp_path]
    process = subprocess.Popen(command, stderr=follower, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment)
    os.close(follower)
    seen = b""
    while True:
        try:
            seen += os.read(leader, 4096)
        except OSError:  # Linux says so when the other side has closed
            break
    os.close(leader)
    assert process.wait(60) == 3
    shown = seen.decode().replace("\r\n", "\n")
    last_begin, _, rest = shown.partition("...")
    assert "build" in last_begin
    assert rest.startswith("\r\033[K")
    assert ("\033[1;31merror:\033[0m the factory" in rest) is colour
    assert ("\033[1;31m" in shown) is colour
    assert ("\033[Kerror: the factory" in shown) is not colour
