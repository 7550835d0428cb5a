"""Documents of the right form with one member that is another: what changes of bytes seldom make, since most of them are no JSON any more."""

import contextlib
import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readers import text_readers
from user_readers import user_text_readers

from edgekit.errors import EdgekitError

NAMES = (
    *("gate report", "lock", "policy", "phone plan", "phone report", "manifest", "statement", "bill of materials"),
    *("quantization plan", "stored result", "stored manifest"),
)
TEXT = st.sampled_from(["", "\x1b[2J", "../../etc/passwd", "$(touch x)", "a" * 5000, "\ud800", "NaN", "fp32", "0" * 64])
NUMBER = st.sampled_from([0, -1, 1, 2**31, 2**63, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf")]) | st.integers() | st.floats()
LEAF = st.none() | st.booleans() | NUMBER | TEXT | st.text(max_size=4)
VALUE = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=6)


@pytest.fixture(scope="module")
def documents(exported_once, tmp_path_factory):
    """The JSON readers, their folders, and the sound documents."""
    path, folder = exported_once.artifacts[0].path, tmp_path_factory.mktemp("seeds")
    found = {}
    for reader in (*text_readers(path, folder), *user_text_readers(path, folder)):
        if reader.name in NAMES:
            place = tmp_path_factory.mktemp("documents")
            reader.around(place)
            found[reader.name] = reader, place / reader.place, [json.loads(seed) for seed in reader.seeds]
    return found


def members(value, above=()):
    """Yield the place of every member, as the keys that lead there."""
    if above:
        yield above
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from members(each, (*above, key))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_member_that_is_another_is_accepted_or_refused(documents, name, data):
    reader, place, seeds = documents[name]
    document = copy.deepcopy(data.draw(st.sampled_from(seeds)))
    *above, key = data.draw(st.sampled_from(list(members(document))))
    holder = document
    for step in above:
        holder = holder[step]
    holder[key] = data.draw(VALUE)
    place.write_text(json.dumps(document), encoding="utf-8", errors="surrogatepass")
    with contextlib.suppress(EdgekitError):
        reader.read(place)
