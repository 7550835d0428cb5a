"""``edgekit inspect MODEL``: sites, forms and multiply-adds, as tables for people and as one JSON document."""

import torch

from edgekit.capabilities import target_facts
from edgekit.macs import eager_macs
from edgekit.methods import AllExits
from edgekit.models.build import build_model
from edgekit.models.registry import model_entry

TARGETS = ("--target", "executorch", "--target", "onnx")


def test_a_network_of_passes_as_json(cli):
    ran = cli("inspect", "imcnet-cifar10", *TARGETS, "--json")
    document = ran.document()
    assert (ran.code, document["schema_version"], document["command"]) == (0, 1, "inspect")
    assert (document["model"], document["macs"]) == ("imcnet-cifar10", model_entry("imcnet-cifar10").macs)
    site = next(site for site in document["sites"] if site["question"] == "selected regions")
    assert site["sites"] == ["middle"]
    assert site["asks"]
    of_onnx = site["targets"]["onnx"]
    row = next(form for form in target_facts("onnx").forms if form.rewrite == "fixed_count_gather")
    assert (of_onnx["chosen"], of_onnx["why"]) == (row.rewrite, row.measured)
    forms = {form["form"]: form for form in of_onnx["forms"]}
    assert {name: form["status"] for name, form in forms.items()} == {
        "fixed_count_gather": "chosen",
        "fixed_count_one_hot": "possible",
        "fixed_count_one_hot_compared": "possible",
        "dense_mask_passes": "possible",
    }
    # By gather a pass computes what eager does; each other form costs more there, and as much more in the whole program.
    assert forms["fixed_count_gather"]["site_macs"] == site["eager_macs"]
    for form in forms.values():
        more = form["site_macs"] - site["eager_macs"]
        assert more > 0 or form["status"] == "chosen"
        assert form["macs"] - forms["fixed_count_gather"]["macs"] == more
    # What was there before is there still.
    rewrites = {row["name"]: row for row in document["targets"]["onnx"]}
    assert rewrites["fixed_count_gather"]["sites"] == ["middle"]
    assert rewrites["fixed_count_gather"]["max_error"] <= 1e-4
    assert "onnx: other forms" in ran.err


def test_exits_as_json(cli):
    entry = model_entry("chase-tiny")
    document = cli("inspect", "chase-tiny", *TARGETS, "--json").document()
    site = document["sites"][0]
    assert (site["question"], site["sites"]) == ("early exits", list(entry.methods))
    everything = eager_macs(AllExits(build_model("chase-tiny").exit_stages(), "max_softmax").eval(), (torch.zeros(1, 3, 32, 32),))
    classifiers = [everything.at(f"stages.{number}.classifier") for number in range(len(entry.exit_macs))]
    assert all(classifiers)
    for target in ("executorch", "onnx"):
        told = site["targets"][target]
        assert told["chosen"] == "methods"
        forms = {form["form"]: form for form in told["forms"]}
        assert forms.keys() == {"methods", "select", "all", "last", "exit=1", "exit=2", "exit=3"}
        steps = forms["methods"]["methods"]
        assert [step["name"] for step in steps] == list(entry.methods)
        assert [step["cumulative_macs"] for step in steps] == list(entry.exit_macs)
        assert forms["all"]["macs"] == forms["select"]["macs"] == entry.macs == document["macs"]
        # A cut network has no classifiers on the way: those before an exit are what it spares.
        assert [forms[f"exit={number}"]["macs"] for number in (1, 2, 3)] == [
            so_far - sum(classifiers[: number - 1]) for number, so_far in enumerate(entry.exit_macs[:3], start=1)
        ]
        assert forms["last"]["macs"] == entry.macs - sum(classifiers[:3])
    assert site["targets"]["onnx"]["why"] != site["targets"]["executorch"]["why"]


def test_as_tables(cli, net):
    ran = cli("inspect", "chase-tiny", *TARGETS, "--quiet")
    assert ran.err == ""
    lines = ran.out.splitlines()
    assert lines[0] == "chase-tiny  32x32  0.08 M parameters  3.32 M multiply-adds as written, on the first sample"
    header = next(line for line in lines if line.split()[:2] == ["MMACs", "here"])
    assert header.split() == ["MMACs", "here", "executorch", "onnx"]
    assert next(line.split() for line in lines if line.startswith("  methods ")) == ["methods", "+0.00", "3.32*", "3.32*"]
    assert next(line.split() for line in lines if line.startswith("  exit=1 ")) == ["exit=1", "-2.45", "0.86", "0.86"]
    assert any("exit_2 0.39 (1.26)" in line for line in lines)
    assert any(line.startswith("  why onnx: exits cannot be called one by one") for line in lines)
    assert sum(line.startswith("MMACs: multiply-adds of the target's whole program") for line in lines) == 1
    assert any(line.split()[:3] == ["layer_norm_as_linears", "2", "sites"] for line in lines)


def test_a_refused_form_is_told_with_its_reason(cli, tmp_path):
    file = tmp_path / "windows.py"
    file.write_text(
        "import torch\nfrom torch import nn\nfrom edgekit.ops.spanning_attention import SpanningAttention\n\n\n"
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        torch.manual_seed(0)\n"
        "        self.stem, self.attend = nn.Conv2d(3, 6, 1), SpanningAttention(6, 6, head_dim=3, window=4)\n\n"
        "    def forward(self, image):\n        return self.attend(self.stem(image)).mean((2, 3))\n\n\n"
        "def build():\n    return Net()\n"
    )
    out = cli("inspect", f"{file}:build", "--resolution", "8", "--target", "coreml", "--quiet").out
    row = next(line.split() for line in out.splitlines() if line.split()[:1] == ["static_windows_rank6_channels_last"])
    assert row == ["static_windows_rank6_channels_last", "no"]
    assert "no  coreml static_windows_rank6_channels_last: coreml holds tensors of rank 5 at most, and this form has rank 6" in out


def test_a_model_without_sites_says_what_its_targets_get(cli, net):
    ran = cli("inspect", f"{net}:build", "--resolution", "32", "--target", "onnx")
    assert ran.code == 0
    assert "whole program" not in ran.out
    assert "fold_batch_norm" in ran.out


OWN = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head = nn.Conv2d(3, 4, 3, 2, 1), nn.Linear(4, 5)

    def forward(self, image):
        x = self.stem(image).flatten(2)
        largest = x.sort(dim=-1, descending=True, stable=True).values[..., :4]
        return self.head(torch.linalg.inv(largest + 9 * torch.eye(4)).sum(1))


def build():
    return Net()
"""


def test_places_are_told_by_operator_and_line_and_what_is_left_ends_strict_with_4(cli, tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN)
    asked = ("inspect", f"{file}:build", "--resolution", "8", "--target", "onnx")
    lax = cli(*asked, "--json").document()
    (place,) = [place for place in lax["places"] if place["operator"] == "aten.sort.stable"]
    assert place["line"].startswith("own.py:14, in forward    largest = x.sort(")
    (taken,) = place["taken"]
    assert (taken["target"], taken["rewrite"], taken["count"], taken["question"]) == ("onnx", "stable_sorts_by_counting", 1, "sort")
    assert taken["why"] == next(row.measured for row in target_facts("onnx").forms if row.rewrite == "stable_sorts_by_counting")
    assert taken["exact"] == "Exact, infinities and whole numbers included"
    assert taken["max_error"] <= 1e-4
    assert lax["obstacles"] is None
    strict = cli(*asked, "--strict", "--json")
    document = strict.document()
    assert (strict.code, document["error"]["exit_code"]) == (4, 4)
    assert document["places"] == lax["places"]
    (left,) = document["obstacles"]
    assert (left["target"], document["error"]["where"]) == ("onnx", left["where"])
    assert left["where"].startswith("own.py:15, in forward")
    assert "linalg_inv" in left["what"]
    assert "Newton" in left["hint"]


def test_nothing_is_left_of_a_plain_network(cli, net):
    ran = cli("inspect", f"{net}:build", "--resolution", "32", "--target", "onnx", "--target", "coreml", "--strict", "--quiet")
    assert (ran.code, ran.err) == (0, "")
    assert "nothing is left: each target wrote, loaded and ran the model" in ran.out
    assert "  aten.batch_norm.default  user_net.py" in ran.out or "  aten.batch_norm.default  " in ran.out


def test_strict_is_for_models(cli, tmp_path):
    ran = cli("inspect", str(tmp_path / "net.onnx"), "--strict")
    assert ran.code == 2
    assert "--strict is for a model" in ran.err


def test_exits_written_as_conditions_are_sites_like_declared_ones(cli, tmp_path):
    file = tmp_path / "conditions.py"
    file.write_text(
        "import torch\nfrom torch import nn\n\n\n"
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        torch.manual_seed(0)\n"
        "        self.stem, self.rest = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3)\n"
        "        self.first, self.last = nn.Linear(6, 5), nn.Linear(8, 5)\n\n"
        "    def forward(self, image):\n        x = self.stem(image)\n        first = self.first(x.mean((2, 3)))\n"
        "        sure = first.softmax(-1).max() > 0.5\n"
        "        go_on = lambda x, first: self.last(self.rest(x).mean((2, 3)))\n"
        "        return torch.cond(sure, lambda x, first: first.clone(), go_on, (x, first))\n\n\n"
        "def build():\n    return Net()\n"
    )
    document = cli("inspect", f"{file}:build", "--resolution", "8", "--target", "tflite", "--json").document()
    (site,) = [site for site in document["sites"] if site["question"] == "early exits"]
    stem, first, rest, last = 6 * 6 * 6 * 27, 6 * 5, 8 * 4 * 4 * 54, 8 * 5
    forms = {form["form"]: form for form in site["targets"]["tflite"]["forms"]}
    assert forms["methods"]["methods"] == [
        {"name": "exit_1", "macs": stem + first, "cumulative_macs": stem + first},
        {"name": "exit_2", "macs": rest + last, "cumulative_macs": stem + first + rest + last},
    ]
    assert (forms["exit=1"]["macs"], forms["last"]["macs"]) == (stem + first, stem + rest + last)
    assert document["macs"] == stem + first + rest + last
    assert any(row["max_error"] is not None and row["sites"] for row in document["targets"]["tflite"])
