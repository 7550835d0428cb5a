"""What of a program is stored small, what is left alone, and that the program computes with what is stored."""

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.evaluate import evaluate, output_names
from edgekit.full_precision import in_full_precision, mark_full_precision
from edgekit.quantization.scheme import scheme_of
from edgekit.targets.rounded_inputs import round_inputs
from edgekit.targets.stored_weights import Grain, store_weights

X = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
READERS = ["conv2d_1", "conv2d_2", "linear"]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.wide = nn.Conv2d(16, 64, 3, padding=1)
        self.near = nn.Conv2d(16, 128, 1)
        self.head = nn.Linear(192, 40)

    def features(self, x):
        x = torch.relu(self.stem(x))
        return torch.cat([self.wide(x).mean((2, 3)), self.near(x).mean((2, 3))], dim=1)

    def forward(self, x):
        return self.head(self.features(x))


class Tied(Net):
    """The head's weight is multiplied with itself, too."""

    def forward(self, x):
        return super().forward(x) @ (self.head.weight @ self.head.weight.T)


class Infinite(Net):
    def __init__(self):
        super().__init__()
        self.head.weight.data[0, 0] = -torch.inf


class Decides(nn.Linear):
    full_precision = True


class Decided(Net):
    def __init__(self):
        super().__init__()
        self.head = Decides(192, 40)


class Twice(Net):
    """One weight is read in full precision and in half."""

    def __init__(self):
        super().__init__()
        self.second = Decides(192, 40)
        self.second.weight = self.head.weight

    def forward(self, x):
        x = self.features(x)
        return self.head(x) + self.second(x)


def captured(module):
    program = torch.export.export(module.eval(), (X,), strict=False)
    mark_full_precision(program, module)
    return program.run_decompositions({})


def stored(module, scheme="palette8", *, kept=(), grain=Grain()):  # noqa: B008  it is frozen
    program = captured(module)
    readers = store_weights(program, lambda node: node in kept, scheme_of(scheme), grain)
    program.graph.lint()
    return program, [reader.name for reader in readers]


def outputs(program):
    (name,) = output_names(program)
    return evaluate(program, [X], {name})[name]


def decibels(reference, value):
    return float(10 * torch.log10((reference**2).sum() / ((reference - value) ** 2).sum()))


@pytest.mark.parametrize(("scheme", "least_db"), [("palette8", 38), ("palette6", 27), ("palette4", 14), ("w8a32", 38), ("w8a8", 38), ("w4a32", 14)])
def test_weights_are_replaced_and_computed_with(scheme, least_db):
    module = Net()
    program, readers = stored(module, scheme)
    assert readers == READERS
    assert least_db < decibels(module(X), outputs(program)) < least_db + 16
    held = {spec.target: program.state_dict[spec.target] for spec in program.graph_signature.input_specs if spec.target}
    assert {"stem.weight", "stem.bias", "wide.bias", "near.bias", "head.bias"} < held.keys()  # short, all of them
    assert not {"wide.weight", "near.weight", "head.weight"} & held.keys()
    assert sorted(str(value.dtype) for name, value in held.items() if name.startswith("edgekit_")) == sorted(
        ["torch.float32"] * 3 + ["torch.uint8" if scheme.startswith("palette") else "torch.int8"] * 3
    )


def test_the_program_that_was_given_is_left_as_it_is():
    module = Net()
    program = torch.export.export(module.eval(), (X,), strict=False)
    before = dict(program.state_dict)
    store_weights(program.run_decompositions({}), lambda _: False, scheme_of("palette4"), Grain())
    assert all(program.state_dict[name] is value for name, value in before.items())
    torch.testing.assert_close(program.module()(X), module(X))


def test_kept_nodes_keep_their_weights():
    _, readers = stored(Net(), kept=("conv2d_2",))
    assert readers == ["conv2d_1", "linear"]


@pytest.mark.parametrize("module", [Tied, Infinite, Twice])
def test_a_weight_is_left_alone(module):
    assert stored(module())[1] == READERS[:2]


def test_full_precision_survives():
    program, readers = stored(Decided())
    assert readers == READERS
    nodes = {node.name: node for node in program.graph.nodes}
    assert in_full_precision(nodes["linear"])
    assert in_full_precision(nodes["linear"].args[1])
    assert not in_full_precision(nodes["conv2d_1"].args[1])


def test_tables_and_scales_are_as_many_as_the_grain_allows():
    def parts(scheme, part, grain):
        program, _ = stored(Net(), scheme, grain=grain)
        named = {str(spec.target): program.state_dict[spec.target] for spec in program.graph_signature.input_specs if spec.target}
        return {name.split("_")[2]: tuple(value.shape) for name, value in named.items() if name.endswith(part)}

    assert parts("palette4", "_lut", Grain()) == {"wide": (1, 16), "near": (1, 16), "head": (1, 16)}
    # 4608, 1024 and 3840 bytes of indices, and 32 bytes a table.
    assert parts("palette4", "_lut", Grain(tables=0.04)) == {"wide": (4, 16), "near": (1, 16), "head": (4, 16)}
    assert parts("w4a32", "_scales", Grain(block=32)) == {"wide": (64, 1, 1, 1), "near": (128, 1, 1, 1), "head": (40, 6)}
    assert parts("w8a32", "_scales", Grain(block=32))["head"] == (40, 1)


def rounded(module, kept=()):
    program = captured(module)
    readers = store_weights(program, lambda node: node in kept, scheme_of("w8a8"), Grain())
    count = round_inputs(program, readers, [{"x": X.numpy()}, {"x": -X.numpy()}])
    program.graph.lint()
    steps = [node for node in program.graph.nodes if "quantize_per_tensor" in str(node.target) and "dequantize" not in str(node.target)]
    return program, count, steps


def test_a_value_is_rounded_once_for_all_that_read_it_in_the_range_that_was_seen():
    module = Net()
    program, count, steps = rounded(module)
    assert count == len(steps) == 2
    assert [step.args[0].name for step in steps] == ["relu", "cat"]
    assert len(next(iter(steps[0].users)).users) == 2
    _, scale, zero_point, lowest, highest, _ = steps[0].args
    assert (zero_point, lowest, highest) == (-128, -128, 127)  # nothing is negative behind a relu
    seen = torch.cat([torch.relu(module.stem(x)) for x in (X, -X)])
    assert 0.6 * seen.max() < 255 * scale <= 1.01 * seen.max()
    assert np.float16(scale) == scale
    assert 25 < decibels(module(X), outputs(program)) < 45


def test_what_is_in_full_precision_or_kept_is_not_rounded():
    assert [step.args[0].name for step in rounded(Decided())[2]] == ["relu"]
    assert [step.args[0].name for step in rounded(Net(), kept=("linear",))[2]] == ["relu"]
