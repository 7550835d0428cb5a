import pytest
import torch
from torch import nn

from edgekit.capture import capture
from edgekit.planner.groups import groups_of, kind_of, name_of, nodes_of


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.point = nn.Conv2d(3, 8, 1)
        self.depth = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.head = nn.Linear(8, 4)

    def forward(self, image):
        x = self.point(image)
        x = x + self.depth(x)
        x = nn.functional.silu(self.grouped(x)).mean((2, 3))
        x = self.head(x).reshape(1, 2, 2)
        return torch.bmm(x, x).softmax(-1).flatten(1)


@pytest.fixture(scope="module")
def programs():
    return {"forward": capture("net", Net().eval(), (torch.randn(1, 3, 8, 8),))}


def test_nodes_of_a_module_that_do_one_kind_of_work(programs):
    found = {(group.path, group.kind): len(group.nodes) for group in groups_of(programs)}
    assert {key[1]: count for key, count in found.items() if key[0] not in ("point", "depth", "grouped", "head")} == {
        "add": 1,
        "activation": 1,
        "mean": 1,
        "matmul": 1,
        "softmax": 1,
    }
    assert {key for key in found if key[0] in ("point", "depth", "grouped", "head")} == {
        ("point", "conv"),
        ("depth", "depthwise"),
        ("grouped", "conv"),
        ("head", "linear"),
    }


def test_every_node_is_in_one_group_at_most(programs):
    groups = groups_of(programs)
    names = [name for group in groups for name in group.nodes]
    assert len(names) == len(set(names))
    assert set(nodes_of(groups, "forward")) == set(names)
    assert nodes_of(groups, "another") == {}


def test_what_moves_data_is_in_none(programs):
    moving = [name_of(node) for node in programs["forward"].graph.nodes if kind_of(node) == "moving"]
    assert moving == ["reshape", "flatten"]


class Counts(nn.Module):
    def forward(self, image):
        return image * (image > 0).sum()


def test_integers_are_no_work_on_floats():
    program = capture("counts", Counts(), (torch.randn(1, 3, 4, 4),))
    assert [kind_of(node) for node in program.graph.nodes if node.op == "call_function"] == [None, None, "mul"]


class Norm(nn.Module):
    def forward(self, x):
        centred = x - x.mean(1, keepdim=True)
        return centred * torch.rsqrt((centred * centred).mean(1, keepdim=True) + 1e-6)


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.point = Norm(), nn.Conv2d(3, 3, 1)

    def forward(self, image):
        return image + self.point(self.norm(image)) * 2


def test_a_norm_that_is_written_out_is_one_piece_of_work():
    found = {
        (group.path, group.kind): len(group.nodes) for group in groups_of({"forward": capture("net", Normed().eval(), (torch.randn(1, 3, 8, 8),))})
    }
    assert {key: count for key, count in found.items() if key[0] == "norm"} == {("norm", "norm"): 7}
    assert sorted(kind for path, kind in found if path != "norm") == ["add", "conv", "mul"]


class Clipped(nn.Module):
    def __init__(self):
        super().__init__()
        self.fused, self.shared = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, image):
        x = nn.functional.relu6(self.fused(image))
        y = self.shared(x)
        return nn.functional.relu(y) * y


def test_a_clip_goes_with_the_product_that_it_alone_reads():
    found = {group.path: len(group.nodes) for group in groups_of({"forward": capture("net", Clipped().eval(), (torch.randn(1, 3, 8, 8),))})}
    assert found["fused"] == 2
    assert found["shared"] == 1
