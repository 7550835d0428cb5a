"""The export as a whole: in one process, killed at any moment, and beside others."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import edgekit
from edgekit.artifact import digest, manifest_path, read_manifest
from edgekit.capabilities import TARGETS
from edgekit.declared import read_labels
from edgekit.errors import BadInputError, ParityError, UsageError
from edgekit.inspection import inspect_artifact
from edgekit.interface import TensorSpec
from edgekit.pipeline import export_recipes
from edgekit.recipe import Recipe
from edgekit.sentences import describe_parity
from edgekit.targets.base import CannotRunHere
from edgekit.targets.onnx import OnnxTarget
from edgekit.verification.parity import Parity

EDGEKIT = Path(sys.executable).with_name("edgekit")


@pytest.fixture
def export(net, tmp_path):
    """Export ``net.py:build`` to ONNX."""

    def run(factory="build", targets=("onnx",), folder=tmp_path / "out", **options):
        return edgekit.export(f"{net}:{factory}", targets=list(targets), resolution=32, output_dir=folder, **options)

    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- what comes out


def test_the_same_export_gives_the_same_bytes(export, exported_once, tmp_path):
    first, second = exported_once.artifacts[0], export(folder=tmp_path / "elsewhere").artifacts[0]
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.manifest.read_bytes() == second.manifest.read_bytes()


def test_a_model_in_another_folder_gives_the_same_bytes(net, exported_once, tmp_path):
    (tmp_path / "net.py").write_bytes(net.read_bytes())
    other = edgekit.export(f"{tmp_path}/net.py:build", targets=["onnx"], resolution=32, output_dir=tmp_path).artifacts[0]
    assert other.path.read_bytes() == exported_once.artifacts[0].path.read_bytes()
    assert other.manifest.read_bytes() == exported_once.artifacts[0].manifest.read_bytes()


def test_every_target(net, cli, tmp_path):
    arguments = [word for facts in TARGETS for word in ("-t", facts.name)]
    ran = cli("export", f"{net}:build", *arguments, "--resolution", 32, "-o", tmp_path, "--json")
    assert ran.code == 0, ran.err
    rows = {row["target"]: row for row in ran.document()["artifacts"]}
    executed = {"coreml": "mil-interpreter", "tflite": "litert", "executorch": "executorch", "onnx": "onnxruntime", "coreai": "coreai"}
    assert rows.keys() == executed.keys()
    for target, row in rows.items():
        path, parity = Path(row["path"]), row["parity"]
        document = read_manifest(path).document
        assert (parity["executed_by"], document["parity"]) == (executed[target], parity)
        assert (parity["verdict"], parity["samples"], parity["top1_agreement"]) == ("pass", 9, 1.0)
        if target == "coreml":  # half precision by default: judged in both numerics, and value by value
            assert parity["numerics"]["fp16"]["sqnr_db"] == parity["sqnr_db"] >= 45
            assert parity["numerics"]["fp32"]["sqnr_db"] >= 90
            assert 0.6 * parity["operators"]["operators"] <= parity["operators"]["compared"] <= parity["operators"]["operators"]
            assert parity["operators"]["min_sqnr_db"] >= parity["operators"]["limit_db"]
            assert parity["operators"]["first_divergence"] is None
        else:
            assert parity["max_rel_error"] < 1e-4
            assert (parity["numerics"], parity["operators"]) == ({}, None)
        sections = inspect_artifact(path).inspection.sections
        assert sum(sections.values()) == row["size_bytes"] == document["artifact"]["size_bytes"]
        assert (dict(sections), digest(path)) == (document["artifact"]["sections"], row["sha256"])
        assert document["methods"][0]["inputs"][0]["layout"] == ("NHWC" if target == "tflite" else "NCHW")
        content = b"".join(file.read_bytes() for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
        for secret in (str(net.parent), str(tmp_path), str(Path(edgekit.__file__).parent)):
            assert secret.encode() not in content, target
    assert not [name for name in names(tmp_path) if name.startswith(".")]
    again = cli("verify", rows["coreml"]["path"], "--model", f"{net}:build")
    assert (again.code, again.out) == (0, "")
    assert "executed by mil-interpreter" in again.err
    assert "pass" in again.err


def test_several_outputs_keep_their_names(export):
    written = export("several").artifacts[0]
    (method,) = json.loads(written.manifest.read_text())["methods"]
    assert [(t["name"], t["shape"], t["layout"]) for t in method["outputs"]] == [("logits", [1, 3], "NC"), ("features", [1, 3, 32, 32], "other")]


def test_a_scalar_output(export):
    assert export("scalar").artifacts[0].parity.verdict == "pass"


# --- parity


def wrong(monkeypatch, change):
    """Make the onnx runtime answer something else."""
    real = OnnxTarget.open

    class Wrong:
        def __init__(self, executable):
            self.methods, self.executable = executable.methods, executable

        def run(self, method, inputs):
            return {name: change(value) for name, value in self.executable.run(method, inputs).items()}

    monkeypatch.setattr(OnnxTarget, "open", lambda self, path, *, threads=1: Wrong(real(self, path, threads=threads)))


def stop(error):
    def run(value):
        raise error

    return run


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda y: y + 0.1, "relative error"),
        (lambda y: -y, "SQNR"),
        (lambda y: y[:, ::-1], "top-1 agrees on"),
        (lambda y: y * np.float32(np.nan), "is not finite"),
        (lambda y: y * np.float32(np.inf), "is not finite"),
        (lambda y: y[:, :3], "has shape (1, 3), eager gives (1, 5)"),
        (stop(RuntimeError("kernel\nfailed")), "it does not run: RuntimeError: kernel failed"),
    ],
)
@pytest.mark.parametrize("overwrite", [True, False])
def test_wrong_numbers_are_not_published(export, exported_once, monkeypatch, tmp_path, change, reason, overwrite):
    folder = tmp_path / "out"
    if overwrite:
        folder.mkdir()
        for file in (exported_once.artifacts[0].path, exported_once.artifacts[0].manifest):
            (folder / file.name).write_bytes(file.read_bytes())
    before = {path.name: path.read_bytes() for path in folder.iterdir()} if overwrite else {}
    wrong(monkeypatch, change)
    with pytest.raises(ParityError, match="does not compute what the model computes") as caught:
        export(overwrite=overwrite)
    assert reason in caught.value.what
    assert caught.value.exit_code == 5
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_atol_works_both_ways(export, monkeypatch):
    with pytest.raises(ParityError, match="does not compute") as caught:
        export(atol=0.0)
    assert "absolute error" in caught.value.what
    wrong(monkeypatch, lambda y: y + np.float32(0.01))
    with pytest.raises(ParityError):
        export()
    parity = export(atol=0.02).artifacts[0].parity
    assert (parity.verdict, parity.tolerance.max_abs_error) == ("pass", 0.02)
    assert parity.max_abs_error == pytest.approx(0.01, abs=1e-4)


def test_what_cannot_run_here_is_not_a_pass(export, monkeypatch):
    wrong(monkeypatch, stop(CannotRunHere("needs a phone")))
    parity = export().artifacts[0].parity
    assert (parity.verdict, parity.executed_by, parity.reason) == ("not_executed", None, "needs a phone")
    assert describe_parity(parity) == "NOT EXECUTED: needs a phone"
    assert describe_parity(Parity(verdict="fail", executed_by="x", reason="shape")) == "FAIL: shape"


# --- requests


def test_labels_have_to_be_one_for_each_class(tmp_path, export):
    file = tmp_path / "labels.txt"
    file.write_text("a\nb\nc\nd\ne\n")
    written = export(labels=file).artifacts[0]
    assert json.loads(written.manifest.read_text())["labels_sha256"] == digest(file)
    assert read_labels(None, None) == ((), None)
    logits = TensorSpec(name="logits", shape=(1, 5), dtype="float32", layout="NC")
    with pytest.raises(BadInputError, match="more than 16 MiB"):
        read_labels(Path("/dev/zero"), logits)


def test_nothing_is_made_for_a_request_that_is_refused(tmp_path):
    recipe = Recipe(model="emov2-1m", target="onnx", resolution=225)
    with pytest.raises(UsageError):
        export_recipes([recipe], output_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- killed, interrupted, side by side


DRIVER = """
import json, os, signal, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
import edgekit
from edgekit.artifact import digest, read_manifest
from edgekit.cli.main import main

net, out = sys.argv[1], Path(sys.argv[2])

def start(folder, *more, seed="0", factory="build"):
    child = os.fork()
    if child:
        return child
    os.environ["NET_SEED"] = seed
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.argv = ["edgekit", "export", f"{net}:{factory}", "-t", "onnx", "--resolution", "32", "-o", str(folder), *more]
    try:
        main()
    except SystemExit as stopped:
        os._exit(stopped.code)
    finally:
        os._exit(99)

def wait(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def state(folder):
    final = folder / "net-build_32_fp32.onnx"
    hidden = len(list(folder.glob(".edgekit-staging-*")))
    if not final.exists():
        return {"artifact": None, "hidden": hidden}
    return {"artifact": digest(final), "manifest": read_manifest(final).sha256, "hidden": hidden}

told = {}
edgekit.export(f"{net}:build", targets=["onnx"], resolution=32, output_dir=out / "warm")  # imports, once for all children
assert wait(start(out / "old")) == 0
begin = time.perf_counter()
assert wait(start(out / "new", seed="1")) == 0
seconds = time.perf_counter() - begin
told["old"], told["new"], told["seconds"] = state(out / "old"), state(out / "new"), seconds

told["killed"] = []
folder = out / "kill"
KILLS = 10
for index in range(KILLS):
    if index == 0 or state(folder) != told["old"]:
        assert wait(start(folder, "--overwrite")) == 0
    clean = state(folder)
    child = start(folder, "--overwrite", seed="1")
    time.sleep(seconds * (0.3 + 0.75 * index / (KILLS - 1)))
    os.kill(child, signal.SIGKILL)
    told["killed"].append({"clean": clean, "code": wait(child), "after": state(folder)})
assert wait(start(folder, "--overwrite")) == 0
told["recovered"] = state(folder)

told["both"] = []
for more in ([], ["--overwrite"]):
    folder = out / f"both-{len(told['both'])}"
    children = [start(folder, *more, seed=seed) for seed in "01"]
    told["both"].append({"codes": sorted(map(wait, children)), "after": state(folder)})
folder = out / "names"
children = [start(folder, factory=factory) for factory in ("build", "several", "scalar")]
told["names"] = {"codes": list(map(wait, children)), "files": sorted(p.name for p in folder.iterdir())}
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(net, tmp_path_factory):
    """What came of exports in processes that were killed, or ran at once; they are forked from one that has imported everything."""
    folder = tmp_path_factory.mktemp("driver")
    ran = subprocess.run([sys.executable, "-c", DRIVER, str(net), str(folder)], capture_output=True, text=True, timeout=200, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_a_killed_export_leaves_the_old_pair_none_or_the_new_pair(told):
    old, new = told["old"]["artifact"], told["new"]["artifact"]
    assert old != new
    for run in told["killed"]:
        assert run["clean"] == {"artifact": old, "manifest": old, "hidden": 0}  # the leftovers of the kill before are gone
        after = run["after"]
        assert after["artifact"] in (old, new, None)
        assert after.get("manifest") == after["artifact"]
    assert sum(run["code"] == -signal.SIGKILL for run in told["killed"]) >= 5
    assert any(run["after"]["hidden"] for run in told["killed"])  # some were killed at work
    assert told["recovered"] == {"artifact": old, "manifest": old, "hidden": 0}


def test_two_exports_at_once_to_one_name(told):
    for index, run in enumerate(told["both"]):
        overwrite = index % 2 == 1
        assert run["codes"] == ([0, 0] if overwrite else [0, 3])
        assert run["after"]["artifact"] in (told["old"]["artifact"], told["new"]["artifact"])
        assert run["after"]["manifest"] == run["after"]["artifact"]
        assert run["after"]["hidden"] == 0


def test_exports_at_once_into_one_folder_do_not_hurt_each_other(told):
    assert told["names"]["codes"] == [0, 0, 0]
    stems = [f"net-{factory}_32_fp32.onnx" for factory in ("build", "scalar", "several")]
    assert told["names"]["files"] == sorted(stems + [f"{stem}.manifest.json" for stem in stems])


def test_an_interrupted_export_cleans_up_and_exits_130(net, tmp_path):
    command = [EDGEKIT, "export", f"{net}:build", "-t", "onnx", "--resolution", "32", "-o", tmp_path]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".edgekit-staging-*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)  # impatience does not stop the cleaning up
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.rstrip().endswith("interrupted; nothing half-written is left")
    assert list(tmp_path.iterdir()) == []


def test_a_leftover_manifest_does_not_make_an_artifact(export, tmp_path):
    (tmp_path / "out").mkdir()
    stale = manifest_path(tmp_path / "out" / "net-build_32_fp32.onnx")
    stale.write_text("{}")
    written = export().artifacts[0]
    assert read_manifest(written.path).sha256 == written.sha256
