"""Every way of asking for what cannot be: the exit code, the sentence, and nothing on stdout."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import edgekit
from edgekit.targets import registry

EDGEKIT = Path(sys.executable).with_name("edgekit")


def line_of(file: Path, code: str) -> int:
    (number,) = (number for number, line in enumerate(file.read_text().splitlines(), 1) if line.strip() == code)
    return number


@pytest.fixture(scope="session")
def weights(net, tmp_path_factory):
    """A checkpoint that fits ``net.py:build``."""
    file = tmp_path_factory.mktemp("weights") / "net.pth"
    torch.save(edgekit.models.source.load_source(f"{net}:build", resolution=32).module.state_dict(), file)
    return file


# --- names and options: 2


@pytest.mark.parametrize(
    ("arguments", "sentence", "hint"),
    [
        (("emov2-5n", "-t", "onnx"), "unknown model 'emov2-5n'", "did you mean 'emov2-5m'?"),
        (("emov2-1m", "-t", "onix"), "unknown target 'onix'", "did you mean 'onnx'?"),
        (("emov2-1m", "-t", "nope"), "unknown target 'nope'", "coreai, coreml, executorch, litert, onnx, tflite"),
        (("emov2-1m", "-t", "onnx", "--precision", "int3"), "unknown precision 'int3'", "precisions: "),
        (("emov2-1m", "-t", "onnx", "--precision", "fp16"), "onnx cannot be written at precision fp16", "onnx takes fp32"),
        (("emov2-1m", "-t", "onnx", "--resolution", "225"), "emov2-1m cannot run at resolution 225", "--resolution 224 or 256"),
        (("emov2-1m", "-t", "onnx", "--resolution", "0"), "resolution is 0", "at least 1 pixel"),
        (("net.py:build", "-t", "onnx", "--resolution", "-5"), "resolution is -5", "at least 1 pixel"),
        (("emov2-1m", "-t", "onnx", "--backend", "xnnpack"), "onnx has no backend", "--backend is for executorch"),
        (("emov2-1m", "-t", "executorch", "--backend", "xnnpak"), "unknown backend 'xnnpak'", "did you mean 'xnnpack'?"),
        (("emov2-1m", "-t", "onnx", "--input", "image"), "onnx has no image input", "--input tensor"),
        (("emov2-1m", "-t", "onnx", "--deployment-target", "iOS17"), "onnx has no deployment target", "leave out --deployment-target"),
        (("emov2-1m", "-t", "onnx", "-t", "onnx"), "target onnx is asked for twice", "onnx"),
        (("emov2-1m", "-t", "tflite", "-t", "litert"), "target tflite is asked for twice", "tflite"),
        (("emov2-1m",), "no target to export to", "--target coreml, tflite"),
        (("-t", "onnx"), "no model to export", "edgekit models"),
        (("emov2-1m", "-t", "onnx", "--atol", "-1"), "atol is -1.0", "zero or more"),
        (("emov2-1m", "-t", "onnx", "--atol", "nan"), "atol is nan", "zero or more"),
        (("emov2-1m", "-t", "onnx", "--atol", "inf"), "atol is inf", "zero or more"),
        (("emov2-1m", "-t", "onnx", "--num-classes", "0"), "num_classes is 0", "at least 1"),
    ],
)
@pytest.mark.parametrize("dry", [True, False])
def test_a_request_that_contradicts_itself(refused, tmp_path, arguments, sentence, hint, dry):
    said = refused(2, "export", *arguments, "-o", tmp_path / "out", *(["--dry-run"] if dry else []))
    assert sentence in said
    assert hint in said
    assert not (tmp_path / "out").exists()


def test_a_missing_extra_names_the_pip_command(refused, tmp_path, monkeypatch):
    found = registry.importlib.util.find_spec
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name, *rest: None if name == "onnxruntime" else found(name, *rest))
    said = refused(2, "export", "emov2-1m", "-t", "onnx", "-o", tmp_path)
    assert "missing: onnxruntime" in said
    assert "pip install 'edgekit[onnx]'" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("exprot",), "No such command 'exprot'"),
        (("export", "emov2-1m", "--tagret", "onnx"), "No such option"),
        (("export", "emov2-1m", "--resolution", "big"), "valid integer"),
        (("verify",), "Missing argument"),
    ],
)
def test_words_the_command_line_does_not_know(refused, arguments, sentence):
    assert sentence in refused(2, *arguments)


def test_no_arguments_show_the_help(cli):
    ran = cli()
    assert ran.code == 2
    assert "edgekit export" in ran.out + ran.err


# --- files: 3


def test_weights_of_another_size_name_the_first_keys_that_differ(refused, tmp_path):
    file = tmp_path / "emov2-2m.pth"
    torch.save(edgekit.build_model("emov2-2m").state_dict(), file)
    said = refused(3, "export", "emov2-1m", "-t", "onnx", "--weights", file, "-o", tmp_path / "out")
    assert "emov2-2m.pth does not fit this EMOv2" in said
    other, own = edgekit.build_model("emov2-2m").state_dict(), edgekit.build_model("emov2-1m").state_dict()
    differing = [key for key in own if key not in other or own[key].shape != other[key].shape] + [key for key in other if key not in own]
    assert any(key in said for key in differing[:3])
    assert not (tmp_path / "out").exists()


def test_truncated_weights(refused, net, weights, tmp_path):
    cut = tmp_path / "cut.pth"
    cut.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    assert "cut.pth" in refused(3, "export", f"{net}:build", "-t", "onnx", "--resolution", 32, "--weights", cut, "-o", tmp_path)


def test_foreign_weights(refused, net, tmp_path):
    page = tmp_path / "page.pth"
    page.write_text("<html>404: not found</html>")
    assert "page.pth" in refused(3, "export", f"{net}:build", "-t", "onnx", "--resolution", 32, "--weights", page, "-o", tmp_path)


def test_weights_that_are_not_there(refused, net, tmp_path):
    for dry in ([], ["--dry-run"]):
        said = refused(3, "export", f"{net}:build", "-t", "onnx", "--resolution", 32, "--weights", tmp_path / "no.pth", "-o", tmp_path, *dry)
        assert "there is no file no.pth" in said


class Attack:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("container", ["pickle", "zip"])
def test_code_in_a_checkpoint_is_not_run(refused, net, tmp_path, container):
    file, marker = tmp_path / "attack.pth", tmp_path / "marker"
    if container == "zip":
        torch.save({"stem.weight": Attack(marker)}, file)
    else:
        file.write_bytes(pickle.dumps({"stem.weight": Attack(marker)}, protocol=2))
    said = refused(3, "export", f"{net}:build", "-t", "onnx", "--resolution", 32, "--weights", file, "-o", tmp_path / "out")
    assert "attack.pth" in said
    assert not marker.exists()


def test_an_output_folder_that_cannot_be_made(refused, net, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for dry in ([], ["--dry-run"]):
        said = refused(3, "export", f"{net}:build", "-t", "onnx", "--resolution", 32, "-o", tmp_path / "file" / "below", *dry)
        assert "cannot write to" in said
        assert "Not a directory" in said
    assert (tmp_path / "file").read_text() == "in the way"


def test_an_output_folder_with_an_impossible_name(refused, net, tmp_path):
    assert "File name too long" in refused(3, "export", f"{net}:build", "-t", "onnx", "--resolution", 32, "-o", tmp_path / ("x" * 300))


@pytest.mark.parametrize(
    ("factory", "parts"),
    [
        ("raises", ("raised ValueError", "boom", "raise ValueError")),
        ("exits", ("raised SystemExit", "usage: train.py")),
        ("nothing", ("returned a NoneType", "torch.nn.Module")),
        ("not_callable", ("is a int, not a function",)),
        ("no_such", ("has no 'no_such'", "build, ")),
        ("empty", ("returns an empty dict",)),
        ("in_place", ("writes into its input", "image.clone()")),
        ("bfloat16", ("returns logits as torch.bfloat16",)),
        ("fixed_size", ("does not run on an image of shape (1, 3, 32, 32)", "48")),
    ],
)
def test_a_factory_that_gives_no_model(refused, net, tmp_path, factory, parts):
    said = refused(3, "export", f"{net}:{factory}", "-t", "onnx", "--resolution", 32, "-o", tmp_path / "out")
    for part in parts:
        assert part in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("factory", "code"), [("raises", 'raise ValueError("boom")'), ("fixed_size", "return super().forward(image + torch.zeros(1, 3, 48, 48))")]
)
def test_an_error_in_the_users_code_names_file_and_line(refused, net, tmp_path, factory, code):
    said = refused(3, "export", f"{net}:{factory}", "-t", "onnx", "--resolution", 32, "-o", tmp_path)
    assert f"where   net.py:{line_of(net, code)}, in " in said


def test_a_file_that_does_not_exist(refused, tmp_path):
    said = refused(3, "export", f"{tmp_path}/no.py:build", "-t", "onnx", "-o", tmp_path)
    assert "no file no.py" in said
    assert str(tmp_path) in said


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("def build(:\n    pass\n", ("SyntaxError", "user.py:1    def build(:")),
        ("import no_such_package_xyz\n", ("ModuleNotFoundError", "user.py:1, in <module>    import no_such_package_xyz")),
        ("import sys\nsys.exit(3)\n", ("SystemExit", "user.py:2, in <module>    sys.exit(3)")),
        ("build = dict\n", ("user.py:build is not a factory",)),
    ],
)
def test_a_file_that_cannot_be_imported(refused, tmp_path, text, parts):
    (tmp_path / "user.py").write_text(text)
    said = refused(3, "export", f"{tmp_path}/user.py:build", "-t", "onnx", "-o", tmp_path / "out")
    for part in parts:
        assert part in said


def test_a_package_that_does_not_exist(refused, tmp_path):
    assert "cannot import no_such_package_xyz" in refused(3, "export", "no_such_package_xyz:build", "-t", "onnx", "-o", tmp_path)


def test_labels_that_do_not_fit(refused, net, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\ndog\n")
    said = refused(3, "export", f"{net}:build", "-t", "onnx", "--resolution", 32, "--labels", labels, "-o", tmp_path)
    assert "labels.txt has 2 labels, the model 5 classes" in said
    said = refused(3, "export", f"{net}:scalar", "-t", "onnx", "--resolution", 32, "--labels", labels, "-o", tmp_path)
    assert "not (batch, classes)" in said


@pytest.mark.parametrize("text", ["model = 3\n", "modle = 'x'\ntarget = 'onnx'\n", "model = 'emov2-1m'\ntarget = 'nope'\n", "= ="])
def test_a_recipe_that_cannot_be_used(refused, tmp_path, text):
    recipe = tmp_path / "r.toml"
    recipe.write_text(text)
    assert "r.toml" in refused(3, "export", "--recipe", recipe, "-o", tmp_path)


def test_a_recipe_and_options(refused, tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text("model = 'emov2-1m'\ntarget = 'onnx'\n")
    said = refused(2, "export", "--recipe", recipe, "--precision", "fp32", "-o", tmp_path)
    assert "also given: precision" in said


# --- the model: 4


def test_a_branch_on_a_value_names_the_line(refused, net, tmp_path):
    said = refused(4, "export", f"{net}:branch", "-t", "onnx", "--resolution", 32, "-o", tmp_path / "out")
    code = "if image.mean().item() * 2 > 0:"
    assert f"where   net.py:{line_of(net, code)}, in forward    {code}" in said
    assert "torch.cond" in said
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


# --- --json


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "command"),
    [
        (("export", "emov2-5n", "-t", "onnx"), 2, "UnknownNameError", "export"),
        (("export", "no.py:build", "-t", "onnx"), 3, "ModelSourceError", "export"),
        (("export", "--recipe", "no.toml"), 3, "RecipeError", "export"),
        (("verify", "no.onnx"), 3, "ArtifactError", "verify"),
        (("inspect", "no.onnx"), 3, "ArtifactError", "inspect"),
        (("inspect", "emov2-5n"), 2, "UnknownNameError", "inspect"),
        (("exprot",), 2, "UsageError", "exprot"),
        (("export", "emov2-1m", "--resolution", "big"), 2, "UsageError", "export"),
    ],
)
def test_json_of_an_error_is_one_document(cli, arguments, code, kind, command):
    ran = cli(*arguments, "--json")
    assert ran.code == code
    document = ran.document()
    assert (document["schema_version"], document["command"]) == (1, command)
    assert document["error"].keys() == {"kind", "message", "exit_code", "what", "where", "why", "try"}
    assert (document["error"]["kind"], document["error"]["exit_code"]) == (kind, code)
    assert document["error"]["message"].splitlines()[0] in ran.err
    if command == "export" and kind != "UsageError":
        assert document["artifacts"] == []
        assert document["model"] == (None if "--recipe" in arguments else arguments[1])


def test_a_defect_is_one_sentence_and_one_document(cli, monkeypatch):
    monkeypatch.setattr("edgekit.inspection.inspect_model", lambda *args, **options: 1 / 0)
    ran = cli("inspect", "emov2-1m", "--json")
    assert ran.code == 1
    assert ran.document()["error"]["message"] == "internal error: ZeroDivisionError: division by zero"
    assert "Traceback" not in ran.err
    trace = Path(ran.err.split("report it with ")[1].split()[0])
    assert "ZeroDivisionError" in trace.read_text()
    trace.unlink()


# --- the console script itself


def script(*arguments, **environment):
    return subprocess.run(
        [EDGEKIT, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        env=os.environ | environment,
        check=False,
    )


def test_the_script_ends_with_the_errors_code(tmp_path):
    ran = script("export", "emov2-5n", "--target", "onnx", "--json", "-o", tmp_path / "out")
    assert ran.returncode == 2
    assert json.loads(ran.stdout)["error"]["try"] == "did you mean 'emov2-5m'?"
    assert ran.stderr.startswith("error: unknown model 'emov2-5n'")
    assert not (tmp_path / "out").exists()


def test_the_script_knows_its_version_and_its_commands():
    assert script("--version").stdout == f"edgekit {edgekit.__version__}\n"
    ran = script("exprot")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "No such command 'exprot'" in ran.stderr
    assert script("verify", "no.onnx").returncode == 3


def test_a_reader_that_leaves_is_no_error():
    ran = subprocess.run(f"{EDGEKIT} models | true", shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in ran.stderr
    assert "internal error" not in ran.stderr


@pytest.mark.parametrize("verbose", [False, True])
def test_the_original_text_is_shown_where_it_is_asked_for(refused, net, tmp_path, verbose):
    said = refused(4, "export", f"{net}:branch", "-t", "onnx", "--resolution", 32, "-o", tmp_path, *(["--verbose"] if verbose else []))
    assert "if image.mean().item() * 2 > 0" in said
    assert ("Could not guard on data-dependent expression" in said) is verbose
    assert ("--verbose shows" in said) is not verbose
