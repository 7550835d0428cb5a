"""Damaged packages: whatever part of a program is wrong, verification fails and names the first operator concerned."""

import json
import shutil
import struct
from pathlib import Path

import pytest

import edgekit
from edgekit.artifact import digest, manifest_path
from edgekit.errors import ArtifactError
from edgekit.quiet import quiet
from edgekit.targets.coreml.package import operations_in, read_package

NET = '''\
"""Attention between two convolutions of one shape; 16 tokens of 16 channels, so that a wrong axis fits as well as the right one."""

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.norm = nn.LayerNorm(16)
        self.query, self.key, self.value = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 16)
        self.scale = nn.Parameter(torch.full((16,), scale))

    def forward(self, x):
        y = self.norm(x)
        weights = (self.query(y) @ self.key(y).transpose(1, 2)).softmax(-1)
        return x + self.scale * (weights @ self.value(y))


class Net(nn.Module):
    def __init__(self, scale=1.0):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 8, 8)
        self.one = nn.Conv2d(16, 16, 3, padding=1)
        self.two = nn.Conv2d(16, 16, 3, padding=1)
        self.block = Block(scale)
        self.head = nn.Linear(16, 5)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=2.0 * parameter[0].numel() ** -0.5)

    def forward(self, image):
        x = self.stem(image)
        x = torch.tanh(self.one(x)) - torch.sigmoid(self.two(x))
        x = self.block(x.flatten(2).transpose(1, 2))
        return self.head(x.mean(1))


def plain():
    return Net()


def hidden():
    return Net(scale=1e-6)
'''


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    file = tmp_path_factory.mktemp("net") / "net.py"
    file.write_text(NET)
    return file


@pytest.fixture(scope="module", params=["fp16", "fp32"])
def precision(request):
    return request.param


def export(net, factory, precision, folder):
    return edgekit.export(f"{net}:{factory}", targets=["coreml"], resolution=32, precision=precision, output_dir=folder).artifacts[0].path


@pytest.fixture(scope="module")
def plain(net, precision, tmp_path_factory):
    return export(net, "plain", precision, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def hidden(net, tmp_path_factory):
    return export(net, "hidden", "fp16", tmp_path_factory.mktemp("hidden"))


def copied(path, folder):
    shutil.copy(manifest_path(path), folder)
    return shutil.copytree(path, folder / path.name)


def signed_again(path):
    """Make the manifest tell the digest of the package as it is now, so that only computing it can find the damage."""
    manifest = manifest_path(path)
    document = json.loads(manifest.read_text())
    document["artifact"]["sha256"] = digest(path)
    manifest.write_text(json.dumps(document))
    return path


class Program:
    """The program of a package, to be damaged."""

    def __init__(self, path):
        package = read_package(path)
        self.file, self.spec = package.spec_path, package.spec
        ((function,),) = (package.functions.values(),)
        (self.block,) = function.block_specializations.values()
        self.weights = package.spec_path.parent / "weights" / "weight.bin"

    def operations(self, kind):
        return [operation for operation in operations_in(self.block) if operation.type == kind]

    def constant(self, name):
        return next(operation for operation in self.operations("const") if operation.outputs[0].name == name)

    def set_integers(self, operation, parameter, values):
        """Give one operator another constant; equal constants are shared, so that the old one has to stay."""
        binding = operation.inputs[parameter].arguments[0]
        added = type(operation).FromString(self.constant(binding.name).SerializeToString())
        added.outputs[0].name = binding.name = f"damaged_{parameter}"
        del added.attributes["val"].immediateValue.tensor.ints.values[:]
        added.attributes["val"].immediateValue.tensor.ints.values.extend(values)
        rest = [type(operation).FromString(other.SerializeToString()) for other in self.block.operations]
        del self.block.operations[:]
        self.block.operations.extend([added, *rest])

    def swap(self, one, two):
        """Exchange the values of two parameters, each an operation and a name."""
        (first, a), (second, b) = one, two
        kept = first.inputs[a].arguments[0].name
        first.inputs[a].arguments[0].name = second.inputs[b].arguments[0].name
        second.inputs[b].arguments[0].name = kept

    def stored(self, operation, parameter):
        """Return where a parameter lies in the weights file."""
        return self.constant(operation.inputs[parameter].arguments[0].name).attributes["val"].blobFileValue

    def flip_bit(self, operation, parameter, bit):
        """Flip one bit of the last byte of a stored tensor: the high byte of its last number."""
        content = bytearray(self.weights.read_bytes())
        _, _, size, start = struct.unpack_from("<IIQQ", content, self.stored(operation, parameter).offset)
        content[start + size - 1] ^= 1 << bit
        self.weights.write_bytes(content)

    def save(self):
        self.file.write_bytes(self.spec.SerializeToString())


def weight_byte(program):
    program.flip_bit(program.operations("conv")[1], "weight", 5)


def block_weight_byte(program):
    program.flip_bit(program.operations("linear")[0], "weight", 5)


def softmax_axis(program):
    program.operations("softmax")[0].inputs["axis"].arguments[0].name = ""
    program.operations("softmax")[0].inputs["axis"].arguments[0].value.CopyFrom(scalar(program, 1))


def scalar(program, value):
    """Return an int32 scalar's message."""
    template = next(o for o in program.operations("const") if o.attributes["val"].immediateValue.tensor.WhichOneof("value") == "ints")
    message = type(template).FromString(template.SerializeToString()).attributes["val"]
    del message.type.tensorType.dimensions[:]
    message.type.tensorType.rank = 0
    del message.immediateValue.tensor.ints.values[:]
    message.immediateValue.tensor.ints.values.append(value)
    return message


def layer_norm_axes(program):
    program.set_integers(program.operations("layer_norm")[0], "axes", [1])


def subtraction(program):
    (operation,) = (o for o in program.operations("sub") if "image" not in o.inputs["y"].arguments[0].name)
    program.swap((operation, "x"), (operation, "y"))


def product(program):
    operation = program.operations("matmul")[-1]
    program.swap((operation, "x"), (operation, "y"))


def weights_of_two_convolutions(program):
    one, two = (program.stored(operation, "weight") for operation in program.operations("conv")[1:3])
    kept = one.offset
    one.offset, two.offset = two.offset, kept


def permutation(program):
    program.set_integers(program.operations("transpose")[0], "perm", [0, 1, 2])


# In half precision Core ML Tools gives a linear operator a name of its own; what reads it is then the first that can be compared.
DAMAGE = {
    weight_byte: ("conv ", "module one", "self.one(x)"),
    block_weight_byte: (("linear ", "split "), "module block", "net.py:"),
    softmax_axis: ("softmax ", "module block", "softmax(-1)"),
    layer_norm_axes: ("layer_norm ", "module block.norm", "self.norm(x)"),
    subtraction: ("sub ", "", "torch.tanh(self.one(x)) - torch.sigmoid(self.two(x))"),
    product: ("matmul ", "module block", "weights @ self.value(y)"),
    weights_of_two_convolutions: ("conv ", "module one", "self.one(x)"),
    permutation: ("transpose ", "", "transpose(1, 2)"),
}


def verdict(net, factory, path):
    return edgekit.verify(path, model=f"{net}:{factory}")


def test_undamaged_packages_pass(net, plain, tmp_path):
    parity = verdict(net, "plain", signed_again(copied(plain, tmp_path)))
    assert (parity.verdict, parity.operators.first_divergence) == ("pass", None)


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage_is_found_and_the_operator_named(damage, net, plain, tmp_path):
    path = copied(plain, tmp_path)
    program = Program(path)
    damage(program)
    program.save()
    with pytest.raises(ArtifactError, match="is not the artifact its manifest describes"):
        verdict(net, "plain", path)
    parity = verdict(net, "plain", signed_again(path))
    first = parity.operators.first_divergence
    kind, module, line = DAMAGE[damage]
    assert parity.verdict == "fail"
    assert first.startswith(kind)
    assert module in first
    assert "net.py:" in first
    assert line in first
    assert f"first operator that differs: {first}" in parity.reason


@pytest.mark.parametrize("damage", [block_weight_byte, softmax_axis, layer_norm_axes, product], ids=lambda damage: damage.__name__)
def test_damage_that_the_logits_do_not_show_is_found(damage, net, hidden, tmp_path):
    """Behind a layer scale of 1e-6 a whole block may be wrong and the outputs stay in tolerance."""
    path = copied(hidden, tmp_path)
    program = Program(path)
    damage(program)
    program.save()
    parity = verdict(net, "hidden", signed_again(path))
    assert all(row.verdict == "pass" for row in parity.numerics.values())
    assert parity.verdict == "fail"
    assert parity.operators.first_divergence.startswith(DAMAGE[damage][0])
    assert parity.reason == f"first operator that differs: {parity.operators.first_divergence}"


def test_an_unknown_operator_is_no_pass(cli, net, plain, tmp_path):
    path = copied(plain, tmp_path)
    program = Program(path)
    program.operations("softmax")[0].type = "softmax_of_the_future"
    program.save()
    parity = verdict(net, "plain", signed_again(path))
    assert (parity.verdict, parity.executed_by, parity.reason) == ("not_executed", None, "op softmax_of_the_future")
    ran = cli("verify", path, "--model", f"{net}:plain", "--json")
    assert ran.code == 5
    assert ran.document()["parity"]["verdict"] == "not_executed"
    assert "was not executed, so nothing is proved" in ran.err
    assert "op softmax_of_the_future" in ran.err


@pytest.fixture(scope="module")
def emov2(tmp_path_factory):
    with quiet():
        return edgekit.export("emov2-1m", targets=["coreml"], output_dir=tmp_path_factory.mktemp("emov2")).artifacts[0].path


def test_one_byte_of_emov2_is_found(emov2, tmp_path):
    path = copied(emov2, tmp_path)
    program = Program(path)
    convolutions = program.operations("conv")
    program.flip_bit(convolutions[len(convolutions) // 2], "weight", 6)
    parity = edgekit.verify(signed_again(path))
    assert parity.verdict == "fail"
    assert parity.operators.first_divergence.startswith(f"conv {convolutions[len(convolutions) // 2].outputs[0].name}, module stage")
    assert Path(path).name == "emov2-1m_224_fp16.mlpackage"


def test_an_operator_whose_result_is_no_number_is_named(net, plain, tmp_path):
    path = copied(plain, tmp_path)
    program = Program(path)
    content = bytearray(program.weights.read_bytes())
    kernel = program.operations("conv")[1]
    _, _, size, start = struct.unpack_from("<IIQQ", content, program.stored(kernel, "weight").offset)
    content[start + size - 1] = 0x7F  # no number, in either precision
    content[start + size - 2] = 0xFF
    program.weights.write_bytes(content)
    signed_again(path)
    parity = verdict(net, "plain", path)
    assert (parity.verdict, parity.sqnr_db) == ("fail", None)
    assert "is not finite" in parity.reason
    assert parity.operators.first_divergence.startswith("conv ")
