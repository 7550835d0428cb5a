import pytest
from stored_results import Folder


@pytest.fixture
def folder(tmp_path):
    """A folder of results to be filled."""
    place = tmp_path / "results"
    place.mkdir()
    return Folder(place)
