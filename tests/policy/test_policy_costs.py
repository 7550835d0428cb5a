"""Costs of exits: where they come from, and what is refused."""

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from edgekit.errors import BadInputError
from edgekit.models.chase import CHASE, CONFIGS
from edgekit.models.registry import MODELS
from edgekit.policy.costs import Costs, model_macs, read_costs, read_ms


def written(tmp_path, document) -> str:
    path = tmp_path / "costs.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


@pytest.mark.parametrize("entry", [entry for entry in MODELS if entry.exit_macs], ids=lambda entry: entry.name)
def test_the_registered_macs_are_the_networks(entry):
    with torch.device("meta"):
        stages = CHASE(CONFIGS[entry.name.removeprefix("chase-")]).eval().exit_stages()
        features = (torch.zeros(1, 3, entry.resolution, entry.resolution),)
    found = []
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        for stage in stages:
            _, features = stage(features)
            found.append(counter.get_total_flops() // 2)
    assert model_macs(entry.name) == tuple(found)
    assert (len(found), found[-1]) == (len(entry.methods), entry.macs)


def test_every_network_with_several_exits_has_them():
    assert {entry.name for entry in MODELS if entry.exit_macs} == {entry.name for entry in MODELS if entry.methods[0] == "exit_1"}


def test_models_without_exits_or_without_a_row():
    assert model_macs("my-net") is None
    with pytest.raises(BadInputError, match="emov2-5m has no early exits"):
        model_macs("emov2-5m")


def test_costs_from_a_list_a_file_and_an_object(tmp_path):
    assert read_costs("1e8,4e8,9e8") == Costs(macs=(100_000_000, 400_000_000, 900_000_000))
    assert read_costs(written(tmp_path, [1, 2, 3])) == Costs(macs=(1, 2, 3))
    assert read_costs(written(tmp_path, {"macs": [1, 2], "ms": [0.5, 1], "bytes": None})) == Costs(macs=(1, 2), ms=(0.5, 1.0))


def test_milliseconds_from_a_list_a_file_and_an_object(tmp_path):
    assert read_ms("4.3, 9.1") == (4.3, 9.1)
    assert read_ms(written(tmp_path, [4.3, 9.1])) == (4.3, 9.1)
    assert read_ms(written(tmp_path, {"ms": [4.3, 9.1]})) == (4.3, 9.1)


def row(method, p50, artifact="a.pte", threads=1):
    return {"artifact": artifact, "method": method, "threads": threads, "p50_ms": p50}


def test_stages_of_a_bench_result_are_added_up(tmp_path):
    rows = [row("exit_2", 0.5), row("exit_1", 2.0), row("exit_3", 1.25), row("all", 9.0)]
    assert read_ms(written(tmp_path, {"schema_version": 1, "command": "bench", "results": rows})) == (2.0, 2.5, 3.75)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([row("forward", 1.0)], "no method exit_1"),
        ([row("exit_1", 1.0), row("exit_2", 1.0, artifact="b.pte")], "a.pte, 1 threads; b.pte, 1 threads"),
        ([row("exit_1", 1.0), row("exit_2", 1.0, threads=2)], "one run"),
        ([row("exit_1", 1.0), row("exit_3", 1.0)], "no bench result"),
        ([{"method": "exit_1"}], "no bench result"),
        (None, "no bench result"),
    ],
)
def test_bench_results_without_one_run_of_exits_are_refused(tmp_path, rows, told):
    with pytest.raises(BadInputError) as raised:
        read_ms(written(tmp_path, {"command": "bench", "results": rows}))
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("{", "is not a list of costs"),
        ("[1, NaN]", "is not a list of costs"),
        ([], None),
        ({}, "holds no costs"),
        ({"mac": [1]}, "holds no costs"),
        (["1", 2], "lists of numbers"),
        ([True, 2], "lists of numbers"),
        ({"macs": 3}, "lists of numbers"),
        ([2, 1], "fall from one exit to the next"),
        ([0, 1], "not all positive"),
        ("[1e999, 1]", "not finite"),
    ],
)
def test_what_is_no_list_of_costs_is_refused(tmp_path, document, told):
    if told is None:
        with pytest.raises(BadInputError, match="0 costs"):
            read_costs(written(tmp_path, document)).check(3)
        return
    with pytest.raises(BadInputError, match=told):
        read_costs(written(tmp_path, document))


def test_a_missing_file_is_refused():
    for read in (read_costs, read_ms):
        with pytest.raises(BadInputError, match="cannot read"):
            read("none.json")
