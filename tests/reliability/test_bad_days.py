"""A few faults of each kind; the stored run has hundreds (``benchmarks/reliability.py``)."""

import sys
from pathlib import Path

import cache_faults
import damage
import faults
import pytest

from edgekit.export_cache import evidence
from edgekit.user_code import is_user_file

pytestmark = pytest.mark.alone


@pytest.fixture(autouse=True)
def only_these_models(monkeypatch):
    """Forget models that other tests of this process imported: their files are new, or gone, and beside such nothing is kept in the cache."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not Path(file).is_absolute() or not is_user_file(file):
            continue
        if not Path(file).is_file() or Path(file).stat().st_mtime > evidence._LOADED:
            monkeypatch.delitem(sys.modules, name)


@pytest.fixture(scope="module")
def models(net, tmp_path_factory):
    """Two networks whose artifacts have one name and other weights."""
    found = []
    for number in range(2):
        file = tmp_path_factory.mktemp(f"model{number}") / "net.py"
        file.write_text(net.read_text().replace('"NET_SEED", "0"', f'"NET_SEED", "{number}"'))
        faults.make_old(file)
        found.append(f"{file}:build")
    return tuple(found)


def test_killed_exports_leave_nothing_half(models, tmp_path):
    found = faults.kills(models, tmp_path, 8)
    assert found["half_written"] == 0
    assert found["killed"] >= 4
    assert found["next_export"] == "whole"
    assert found["leftovers_after"] == 0


@pytest.mark.parametrize("what", ["full", "read-only"])
def test_a_system_that_fails_leaves_the_old_artifact(models, tmp_path, what):
    found = faults.failing(models, tmp_path, what, every=4)
    assert (found["crashed"], found["hung"], found["half_written"], found["artifact_gone"]) == (0, 0, 0, 0)
    assert found["refused"] >= 2


def test_a_folder_that_goes_away_is_an_error_and_no_crash(models, tmp_path):
    found = faults.failing(models, tmp_path, "vanishing", every=8)
    assert (found["crashed"], found["hung"], found["half_written"]) == (0, 0, 0)


@pytest.mark.parametrize(("same", "overwrite"), [(True, True), (False, True), (True, False)])
def test_exports_at_once(models, tmp_path, same, overwrite):
    found = faults.simultaneous(models, tmp_path, 3, same=same, overwrite=overwrite)
    assert (found["crashed"], found["hung"], found["state"], found["leftovers"]) == (0, 0, "whole", 0)
    assert found["exported"] == (3 if overwrite else 1)


def test_a_clock_that_goes_back_changes_nothing(models, tmp_path):
    assert faults.clock_back(models, tmp_path) == {"ended": "exported", "same_bytes": True, "state": "whole", "leftovers": 0}


def test_damage_is_noticed(models, tmp_path):
    assert damage.damaged(models, tmp_path, 60)["missed"] == 0
    found = damage.damaged_cache(tmp_path / "cache", 40)
    assert (found["wrong_and_missed"], found["not_rebuilt"]) == (0, 0)
    assert found["noticed"] > 30


def test_killed_exports_leave_no_corrupt_cache(models, tmp_path):
    found = cache_faults.kills_of_cached(models, tmp_path, 4)
    assert (found["crashed"], found["hung"], found["corrupt_entries"], found["next_export_is_answered"]) == (0, 0, 0, True)
    assert found["leftovers_after"] == 0
    assert found["killed"] >= 1
    assert found["whole_entries"] >= 1


def test_a_cache_that_is_full_harms_no_export(models, tmp_path):
    found = cache_faults.failing_cache(models, tmp_path, "full", every=6)
    assert found == {"cases": found["cases"], "exported": found["cases"], "refused": 0, "crashed": 0, "hung": 0, "corrupt_entries": 0}


def test_damaged_entries_are_noticed_and_built_again(models, tmp_path):
    assert cache_faults.damaged_entries(models, tmp_path, 40) == {"cases": 40, "noticed": 40, "missed": 0, "not_rebuilt": 0}
