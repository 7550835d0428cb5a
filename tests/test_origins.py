"""Where nodes come from: the table in a manifest, and reading it back without trusting it."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from edgekit.errors import ArtifactError
from edgekit.origins import Origin, Origins, origins_from_json, origins_table


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(4, 4)

    def forward(self, x):
        twice = x * 2
        return self.proj(twice) + twice


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(4, 4)
        self.block = Block()

    def forward(self, x):
        return self.block(self.stem(x)).relu()


def table():
    return origins_table({"forward": torch.export.export(Net(), (torch.zeros(1, 4),), strict=False)}, {"forward": ["logits"]})


def line_of(code):
    (number,) = (number for number, line in enumerate(Path(__file__).read_text().splitlines(), 1) if line.strip() == code)
    return number


def test_nodes_have_module_and_line():
    origins = origins_from_json(table())
    stem = f"test_origins.py:{line_of('return self.block(self.stem(x)).relu()')}, in forward"
    assert origins.of_node("forward", "linear") == Origin(module="stem", line=stem)
    assert origins.of_node("forward", "mul") == Origin(module="block", line=f"test_origins.py:{line_of('twice = x * 2')}, in forward")
    assert origins.of_node("forward", "relu") == Origin(module=None, line=stem)  # between the modules
    assert origins.of_node("forward", "logits") == origins.of_node("forward", "relu")  # an output, by its own name
    assert origins.of_node("forward", "nobody") == Origin()


def test_a_module_has_a_line_where_all_its_nodes_have_the_same():
    origins = origins_from_json(table())
    assert origins.of_module("forward", "block.proj").line == f"test_origins.py:{line_of('return self.proj(twice) + twice')}, in forward"
    assert origins.of_module("forward", "block") == Origin(module="block", line=None)
    assert origins.of_module("forward", "mean_26") == Origin()  # no module of this model


def test_methods_do_not_mix_and_an_only_one_answers_to_any_name():
    one, other = {"conv": Origin(module="a")}, {"conv": Origin(module="b")}
    assert Origins({"forward": one}).of_node("main", "conv") == Origin(module="a")
    both = Origins({"forward": one, "exit": other})
    assert (both.of_node("exit", "conv").module, both.of_node("main", "conv").module) == ("b", None)


def test_the_table_is_json_the_same_every_time_and_holds_no_path():
    text = json.dumps(table())
    assert text == json.dumps(table())
    assert "/" not in text
    assert "return" not in text  # places, not code


def test_it_is_in_a_manifest(exported_once):
    document = json.loads(exported_once.artifacts[0].manifest.read_text())
    origins = origins_from_json(document["origins"])
    assert origins.of_node("forward", "logits").module == "head"
    assert origins.of_node("forward", "logits").line.startswith("net.py:")


NODES = {"conv": [0, 0]}


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        3,
        [],
        {},
        {"modules": [], "lines": []},
        {"modules": "ab", "lines": ["c"], "nodes": {"forward": NODES}},
        {"modules": [3], "lines": ["c"], "nodes": {"forward": NODES}},
        {"modules": ["a"], "lines": [], "nodes": {"forward": NODES}},
        {"modules": ["a"], "lines": ["c"], "nodes": {"forward": {"conv": [0]}}},
        {"modules": ["a"], "lines": ["c"], "nodes": {"forward": {"conv": [0, -1]}}},
        {"modules": ["a"], "lines": ["c"], "nodes": {"forward": {"conv": [0, True]}}},
        {"modules": ["a"], "lines": ["c"], "nodes": {"forward": {"conv": ["0", 0]}}},
        {"modules": ["a"], "lines": ["c"], "nodes": {"forward": [0]}},
        {"modules": ["a"], "lines": ["c"], "nodes": NODES},
    ],
)
def test_nonsense_is_refused(nonsense):
    with pytest.raises(ArtifactError, match="origins cannot be read"):
        origins_from_json(nonsense)
