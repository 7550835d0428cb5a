"""Capturing models that index by masks: what is static then, what is refused, and samples on which scores are equal."""

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgekit.capabilities import TARGETS, target_facts
from edgekit.errors import CaptureError, DataDependentError, ParityError
from edgekit.masks.assumed import ASSUMED_PLACES
from edgekit.masks.captured import captured, check_samples
from edgekit.ops.kept_places import KEPT_PLACES
from edgekit.programs import rewritten_program

SOURCE = """\
import torch
from torch import nn


class Inner(nn.Module):
    def forward(self, s):
        return helper(s)


def helper(s):
    return s[s > 0.5]


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Inner()

    def forward(self, s):
        return self.inner(s).sum()


class Length(nn.Module):
    def forward(self, s):
        kept = s[s > 0.5]
        return kept.sum() if len(kept) > 4 else kept.max()


class Distinct(nn.Module):
    def forward(self, s):
        return torch.unique(s).sum()


class Number(nn.Module):
    def forward(self, s):
        return s * s.sum().item()


class Branch(nn.Module):
    def forward(self, s):
        if s.sum() > 0:
            return s
        return -s


class Unread(nn.Module):
    def forward(self, s):
        kept = s[s > 0.5]
        return s * kept.shape[0]
"""


@pytest.fixture
def user(tmp_path):
    file = tmp_path / "my_model.py"
    file.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("my_model", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def line_of(code: str, place: int = 0) -> int:
    return [number for number, line in enumerate(SOURCE.splitlines(), 1) if code in line][place]


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("facts", TARGETS, ids=lambda facts: facts.name)
def test_a_mask_of_no_percentile_is_refused_for_every_target(user, facts):
    with pytest.raises(DataDependentError) as caught:
        rewritten_program("net", user.Outer().eval(), facts, (noise(9),))
    error = caught.value
    assert error.exit_code == 4
    assert error.summary == "cannot export net: how many values a mask selects is decided by what a tensor holds"
    assert error.what == "a boolean mask of 9 places, made by gt, in inner"
    assert error.where == f"my_model.py:{line_of('return s[s > 0.5]')}, in helper    return s[s > 0.5]"
    assert error.why.startswith("an exported graph is static; how many it keeps depends on the values")
    assert "torch.quantile(s, q)" in error.hint


@pytest.mark.parametrize("name", ["Length", "Unread"])
def test_the_mask_is_named_not_what_asks_for_its_length(user, name):
    with pytest.raises(DataDependentError) as caught:
        captured("net", getattr(user, name)(), (noise(9),))
    place = ["Length", "Unread"].index(name)
    assert caught.value.where == f"my_model.py:{line_of('kept = s[s > 0.5]', place)}, in forward    kept = s[s > 0.5]"


@pytest.mark.parametrize("facts", TARGETS, ids=lambda facts: facts.name)
def test_other_sizes_that_depend_on_data_are_refused(user, facts):
    with pytest.raises(DataDependentError) as caught:
        rewritten_program("net", user.Distinct(), facts, (noise(9),))
    error = caught.value
    assert error.summary == "cannot export net: a size is decided by what a tensor holds"
    assert error.what.startswith("aten._unique2, whose result has the shape (u")
    assert error.where == f"my_model.py:{line_of('torch.unique')}, in forward    return torch.unique(s).sum()"
    assert "torch.topk(s, k).indices" in error.hint


def test_a_number_that_depends_on_data_is_refused(user):
    with pytest.raises(DataDependentError) as caught:
        captured("net", user.Number(), (noise(9),))
    assert caught.value.what == "aten.item, whose result is a number that depends on the values"
    assert caught.value.where == f"my_model.py:{line_of('.item()')}, in forward    return s * s.sum().item()"


def test_a_branch_is_refused_as_before(user):
    with pytest.raises(CaptureError) as caught:
        captured("net", user.Branch(), (noise(9),))
    assert caught.value.where == f"my_model.py:{line_of('if s.sum() > 0:')}, in forward    if s.sum() > 0:"


class Attention(nn.Module):
    """What PyTorch cannot capture with a size that depends on data."""

    def forward(self, x):
        s = x.sum(-1)
        q = x[:, (s > s.quantile(0.5))[0]][:, None]
        return F.scaled_dot_product_attention(q, q, q)


class Plain(nn.Module):
    def forward(self, x):
        return x * 2


class Dropped(nn.Module):
    """Takes rows and reads nothing but their number."""

    def forward(self, s):
        return s / s[s > s.quantile(0.5)].shape[0]


class Twice(nn.Module):
    def forward(self, s):
        mask = s > s.quantile(0.5)
        y = s.clone()
        y[mask] = s[mask] * 2
        return y


class Counting(nn.Module):
    """Indexes once more each time."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, s):
        self.calls += 1
        for _ in range(self.calls):
            s = s[s > s.amin()]
        return s


def places(program):
    return [node for node in program.graph.nodes if node.target == KEPT_PLACES]


def test_all_sizes_are_static():
    found = captured("net", Attention(), (noise(1, 8, 4),))
    assert len(places(found.program)) == 1
    assert all(isinstance(size, int) for node in found.program.graph.nodes for size in getattr(node.meta.get("val"), "shape", ()))
    for seed in range(1, 5):
        x = noise(1, 8, 4, seed=seed)
        assert torch.equal(found.program.module()(x), Attention()(x))


def test_a_model_without_masks_is_captured_once():
    found = captured("net", Plain(), (noise(3),))
    assert found.masks == ()
    assert [node.name for node in found.program.graph.nodes] == ["x", "mul", "output"]


def test_a_number_of_rows_is_proved_also_where_no_row_is_read():
    found = captured("net", Dropped(), (noise(9),))
    assert [mask.kept for mask in found.masks] == [4]
    assert not [node for node in found.program.graph.nodes if node.target in (KEPT_PLACES, ASSUMED_PLACES)]
    assert torch.equal(found.program.module()(noise(9, seed=1)), noise(9, seed=1) / 4)


def test_one_mask_that_is_used_twice_is_found_once():
    found = captured("net", Twice(), (noise(9),))
    assert (len(found.masks), len(places(found.program))) == (2, 1)
    assert torch.equal(found.program.module()(noise(9, seed=1)), Twice()(noise(9, seed=1)))


def test_a_forward_that_does_something_else_each_time_is_refused():
    with pytest.raises(CaptureError) as caught:
        captured("net", Counting(), (noise(9),))
    assert "masks while it is captured" in caught.value.summary
    assert "the same each time" in caught.value.hint


# --- equal scores


@pytest.mark.parametrize(
    ("values", "kept"),
    [([0.0] * 9, 0), ([0.0, 1, 2, 3, 4, 4, 4, 5, 6], 2), ([float("nan"), 1, 2, 3, 4, 5, 6, 7, 8], 0)],
)
def test_a_sample_on_which_a_mask_keeps_another_number_stops_the_export(values, kept):
    model, sample = Twice(), torch.tensor(values)
    found = captured("net", model, (noise(9),))
    check_samples("net", model, found.masks, [(noise(9, seed=1),), (torch.arange(9.0),)])
    with pytest.raises(ParityError) as caught:
        check_samples("net", model, found.masks, [(noise(9, seed=1),), (sample,)])
    error = caught.value
    assert error.exit_code == 5
    assert error.what == f"a mask of 9 places keeps {kept} on sample 2 of 2; of distinct scores it keeps 4"
    assert error.where.startswith("test_captured.py:")
    assert error.where.endswith("y[mask] = s[mask] * 2")


def test_equal_scores_beside_the_threshold_are_no_difference():
    model = Twice()
    found = captured("net", model, (noise(9),))
    check_samples("net", model, found.masks, [(torch.tensor([0.0, 0, 0, 0, 4, 5, 5, 5, 5]),)])


def test_equal_scores_on_the_example_are_refused():
    with pytest.raises(DataDependentError) as caught:
        captured("net", Twice(), (torch.zeros(9),))
    assert caught.value.why.endswith("of 9 distinct values it keeps 4, and on the example 0: some are equal there, or not a number")


class Long(nn.Module):
    def forward(self, s):
        return s[s >= s.amin()]


def test_a_mask_that_no_rewrite_takes_is_refused():
    with pytest.raises(DataDependentError) as caught:
        rewritten_program("net", Long(), target_facts("tflite"), (noise(1025),))
    error = caught.value
    assert error.what == "a boolean mask of 1025 places"
    assert error.where.startswith(Path(__file__).name)
    assert error.why == "its mask has 1025 places, and each would be compared with each; up to 1024 it is done"
