"""The stored run of bad days: part by part, taken up again, and what was not run is named."""

import importlib.util
import json
import sys
from types import SimpleNamespace

import pytest


@pytest.fixture
def run(request, monkeypatch, tmp_path):
    """Run ``benchmarks/reliability.py`` with parts of our own: exit code and what is stored."""
    folder = request.config.rootpath / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    spec = importlib.util.spec_from_file_location("reliability", folder / "reliability.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def started(parts, *arguments):
        made = [SimpleNamespace(name=name, kind="faults", run=work) for name, work in parts.items()]
        monkeypatch.setitem(sys.modules, "reliability_parts", SimpleNamespace(parts=lambda folder, **options: made))
        monkeypatch.setattr(sys, "argv", ["reliability.py", "--output", str(tmp_path / "stored.json"), *arguments])
        code = module.main()
        return code, json.loads((tmp_path / "stored.json").read_text())

    return started


def fine(folder):
    return {"cases": 3, "broken": 0}


def breaks(folder):
    raise OSError("no room")


def test_parts_are_stored_one_by_one_and_taken_up_again(run):
    code, stored = run({"kills": fine, "full": breaks, "fuzz lock": fine})
    assert code == 1
    assert ([row["part"] for row in stored["parts"]], stored["not_run"]) == (["kills", "fuzz lock"], ["full"])
    assert {"date", "cpu", "versions"} <= stored["parts"][0]["context"].keys()
    code, stored = run({"kills": breaks, "full": fine, "fuzz lock": breaks})  # only what is missing runs
    assert (code, stored["not_run"]) == (0, [])
    assert [row["part"] for row in stored["parts"]] == ["kills", "full", "fuzz lock"]


def test_parts_are_chosen_by_how_they_begin(run):
    _, stored = run({"kills": fine, "kills of the cache": fine, "full": breaks}, "--only", "kills")
    assert stored["not_run"] == ["full"]


def test_a_promise_that_was_not_kept_is_stored_and_fails(run):
    code, stored = run({"kills": lambda folder: {"cases": 3, "broken": 2}})
    assert (code, stored["parts"][0]["figures"]["broken"]) == (1, 2)
