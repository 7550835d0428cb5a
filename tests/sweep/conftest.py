import os

import pytest
import sweep_cells

from edgekit.export_cache.key import own_digest
from edgekit.sweep.local import LocalExecutor
from edgekit.sweep.run import run_cells
from edgekit.sweep_store.store import SweepStore


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(sweep_cells.HERE), prepend=os.pathsep)


@pytest.fixture
def swept(tmp_path):
    """Run cells on a store; return the summary and what was heard."""

    def run(*cells, slots=2, code=None, executor=None, **options):
        heard = sweep_cells.Heard()
        with SweepStore.open(tmp_path / "s.sweep", write=True) as store:
            summary = run_cells(
                sweep_cells.by_key(*cells), store, executor or LocalExecutor(slots), code=code or own_digest(), listener=heard, **options
            )
        return summary, heard

    return run
