"""What other packages add by entry points: models by name, rewrites and rows; and what does not fit."""

import subprocess
import sys
import textwrap

import pytest

from edgekit import plugins
from edgekit.capabilities import target_facts
from edgekit.errors import PluginError
from edgekit.export_cache.key import ground
from edgekit.plugins import factory_of, forget, plugin_code, plugin_forms, plugin_models, plugin_rewrites
from edgekit.recipe import Recipe

NETS = """
    import torch
    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, image):
            return torch.sinc(self.conv(image)).mean((2, 3))


    def build():
        torch.manual_seed(0)
        return Net().eval()
"""
RULES = """
    import torch
    from edgekit.rewrites.graph import argument, is_call


    class SincApart:
        name = "sinc_apart_by_a_package"

        def match(self, node, editor):
            return is_call(node, torch.ops.aten.sinc.default)

        def check(self, node, editor, target):
            return ()

        def replace(self, node, plan, editor):
            x = editor.call(torch.ops.aten.mul.Tensor, argument(node, 0, "self"), torch.pi, before=node)
            return [(node, editor.call(torch.ops.aten.div.Tensor, editor.call(torch.ops.aten.sin.default, x, before=node), x, before=node))]


    REWRITES = (SincApart(),)
"""
ROWS = """
    from edgekit.capabilities import Form

    FORMS = {"onnx": (Form(rewrite="sinc_apart_by_a_package", measured="torch.onnx has no sinc"),)}
"""
POINTS = """
    [edgekit.models]
    packaged-net = packaged_nets.nets:build

    [edgekit.rewrites]
    rules = packaged_nets.rules:REWRITES

    [edgekit.forms]
    rows = packaged_nets.rows:FORMS
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that is installed as far as Python can tell."""
    folder = tmp_path / "packaged_nets"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    for name, text in (("nets", NETS), ("rules", RULES), ("rows", ROWS)):
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    points(tmp_path, POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    yield tmp_path
    forget()
    for name in [name for name in sys.modules if name.startswith("packaged_nets")]:
        del sys.modules[name]


def points(place, text, name="packaged_nets"):
    described = place / f"{name}-1.0.dist-info"
    described.mkdir(exist_ok=True)
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text(textwrap.dedent(text))
    forget()


def test_nothing_is_added_where_nothing_is_installed():
    forget()
    assert factory_of("packaged-net") == "packaged-net"
    assert plugins.plugin_rewrites() == ()


def test_a_model_has_its_name(package):
    (model,) = plugin_models()
    assert (model.name, model.factory, model.package) == ("packaged-net", "packaged_nets.nets:build", "packaged-nets")
    assert Recipe(model="packaged-net", target="onnx").model == "packaged_nets.nets:build"
    assert "packaged_nets.nets" not in sys.modules


def test_rows_reach_their_target(package):
    assert target_facts("onnx").wants("sinc_apart_by_a_package")
    assert not target_facts("tflite").wants("sinc_apart_by_a_package")


def test_it_can_be_switched_off(package, monkeypatch):
    monkeypatch.setenv("EDGEKIT_PLUGINS", "off")
    assert plugin_models() == ()
    assert not target_facts("onnx").wants("sinc_apart_by_a_package")


def test_an_export_depends_on_a_packages_code(package):
    before = ground()["plugins"]
    (package / "packaged_nets" / "rules.py").write_text("REWRITES = ()\n")
    assert ground()["plugins"] == plugin_code() != before


def test_a_model_is_exported_by_its_name_with_the_packages_rewrite(package):
    """In a process of its own: rewrites are put together when they are imported."""
    code = """
        import sys
        sys.path.insert(0, sys.argv[1])
        import edgekit
        (done,) = edgekit.export("packaged-net", targets=["onnx"], resolution=16, output_dir=sys.argv[2]).artifacts
        import json
        manifest = json.loads(open(done.manifest).read())
        print(done.path.name, done.parity.verdict, [row["sites"] for row in manifest["rewrites"] if row["name"] == "sinc_apart_by_a_package"])
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(package), str(package / "out")], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    name, verdict, sites = ran.stdout.split(maxsplit=2)
    assert (name, verdict) == ("nets-build_16_fp32.onnx", "pass")
    assert "sinc" in sites


@pytest.mark.parametrize(
    ("text", "asked", "said"),
    [
        ("[edgekit.rewrites]\nrules = packaged_nets.rules:NOTHING", plugin_rewrites, "cannot import what packaged-nets adds"),
        ("[edgekit.rewrites]\nrules = packaged_nets.nets:build", plugin_rewrites, "what packaged-nets adds to edgekit does not fit"),
        ("[edgekit.forms]\nrows = packaged_nets.rules:REWRITES", plugin_forms, "what packaged-nets adds to edgekit does not fit"),
    ],
)
def test_what_does_not_fit_is_named(package, text, asked, said):
    points(package, text)
    with pytest.raises(PluginError) as caught:
        asked()
    assert caught.value.summary.startswith(said)
    assert "edgekit." in caught.value.what
    assert caught.value.exit_code == 3


def test_two_packages_of_one_name_are_named(package):
    points(package, "[edgekit.models]\npackaged-net = other:build", "other_nets")
    with pytest.raises(PluginError, match="two packages register a model packaged-net") as caught:
        plugin_models()
    assert caught.value.what == "other-nets, packaged-nets"
