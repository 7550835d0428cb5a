"""The editor of programs: constants by value, new parameters, names, and a program that can be used afterwards."""

import io

import pytest
import torch
from rewriting import count, filled, noise
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.nn import functional as F

from edgekit.capture import capture
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of, site_of

RELU = torch.ops.aten.relu.default
MUL = torch.ops.aten.mul.Tensor
ADD = torch.ops.aten.add.Tensor


class Mixed(nn.Module):
    """One tensor of every kind that a program can hold."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.register_buffer("kept", torch.tensor([2.0]))
        self.register_buffer("hidden", torch.tensor([3.0]), persistent=False)
        self.lifted = torch.tensor([5.0])

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        y = self.conv(image) * self.kept
        return {"y": F.relu(y) * self.hidden, "z": y + self.lifted}


@pytest.fixture
def image():
    return noise(1, 3, 4, 5)


@pytest.fixture
def program(image) -> ExportedProgram:
    return capture("mixed", filled(Mixed()), (image,))


def node_called(editor: ProgramEditor, op):
    return next(node for node in editor.graph.nodes if is_call(node, op))


def placeholder(program: ExportedProgram, editor: ProgramEditor, target: str):
    name = next(spec.arg.name for spec in program.graph_signature.input_specs if spec.target == target)
    return next(node for node in editor.graph.nodes if node.name == name)


def doubled(program: ExportedProgram, name: str = "factor") -> ExportedProgram:
    """The program with its relu doubled, by a new parameter."""
    editor = ProgramEditor(program)
    relu = node_called(editor, RELU)
    factor = editor.add_constant(name, torch.tensor([2.0]))
    after = next(iter(relu.users))
    new = editor.call(MUL, relu, factor, before=after)
    relu.replace_all_uses_with(new, delete_user_cb=lambda user: user is not new)
    return editor.finish()


def test_constants_of_every_kind_are_read_by_value(program):
    editor = ProgramEditor(program)
    assert torch.equal(editor.constant(placeholder(program, editor, "conv.weight")), program.state_dict["conv.weight"])
    assert editor.constant(placeholder(program, editor, "kept")).item() == 2
    assert editor.constant(placeholder(program, editor, "hidden")).item() == 3
    (lifted,) = (spec.target for spec in program.graph_signature.input_specs if spec.kind == InputKind.CONSTANT_TENSOR)
    assert editor.constant(placeholder(program, editor, lifted)).item() == 5


def test_what_is_no_constant(program):
    editor = ProgramEditor(program)
    image = next(node for node in editor.graph.nodes if node.name == "image")
    assert editor.constant(image) is None
    assert editor.constant(node_called(editor, RELU)) is None
    assert editor.constant(None) is None
    assert editor.constant(2.0) is None


def test_a_buffer_that_the_program_writes_is_no_constant():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x):
            self.seen.add_(1)
            return x * self.seen

    program = capture("counts", Counts(), (noise(2, 3),))
    editor = ProgramEditor(program)
    assert editor.constant(placeholder(program, editor, "seen")) is None


def test_a_new_parameter_is_in_graph_signature_and_state(program, image):
    after = doubled(program)
    (spec,) = (spec for spec in after.graph_signature.input_specs if spec.target == "factor")
    assert spec.kind == InputKind.PARAMETER
    assert after.state_dict["factor"].item() == 2
    placeholders = [node.name for node in after.graph.nodes if node.op == "placeholder"]
    assert placeholders == [spec.arg.name for spec in after.graph_signature.input_specs]
    assert placeholders[-1] == "image"
    before, now = program.module()(image), after.module()(image)
    assert torch.equal(now["y"], 2 * before["y"])
    assert torch.equal(now["z"], before["z"])


def test_the_original_program_stays(program, image):
    graph, signature, state = str(program.graph), str(program.graph_signature), set(program.state_dict)
    before = program.module()(image)
    doubled(program)
    assert (str(program.graph), str(program.graph_signature), set(program.state_dict)) == (graph, signature, state)
    assert torch.equal(program.module()(image)["y"], before["y"])


def test_saved_and_loaded(program, image):
    after = doubled(program)
    file = io.BytesIO()
    torch.export.save(after, file)
    file.seek(0)
    loaded = torch.export.load(file)
    assert torch.equal(loaded.module()(image)["y"], after.module()(image)["y"])


@pytest.mark.parametrize("taken", ["conv.weight", "kept", "hidden", "lifted"])
def test_a_taken_name_is_made_unique(program, image, taken):
    before = program.module()(image)
    key = next(spec.target for spec in program.graph_signature.input_specs if spec.target and spec.target.endswith(taken))
    after = doubled(program, key)
    targets = [spec.target for spec in after.graph_signature.input_specs if spec.target]
    assert len(set(targets)) == len(targets)
    assert f"{key}_" in targets
    now = after.module()(image)
    assert torch.equal(now["y"], 2 * before["y"])
    assert torch.equal(now["z"], before["z"])


def test_names_that_differ_only_in_their_dots(program, image):
    editor = ProgramEditor(program)
    relu = node_called(editor, RELU)
    before = next(iter(relu.users))
    value = relu
    for name in ("new.a.b", "new.a_b", "new_a.b"):
        value = editor.call(MUL, value, editor.add_constant(name, torch.tensor([2.0])), before=before)
    relu.replace_all_uses_with(value, delete_user_cb=lambda user: user is before)
    after = editor.finish()
    assert {"new.a.b", "new.a_b", "new_a.b"} <= set(after.state_dict)
    assert torch.equal(after.module()(image)["y"], 8 * program.module()(image)["y"])


def test_finish_drops_what_nobody_reads(program, image):
    editor = ProgramEditor(program)
    editor.add_constant("unread", torch.zeros(3))
    mul = next(node for node in editor.graph.nodes if is_call(node, MUL) and is_call(node.args[0], RELU))
    mul.replace_all_uses_with(mul.args[0])
    after = editor.finish()
    assert count(after, MUL) == count(program, MUL) - 1
    assert "unread" not in after.state_dict
    assert "hidden" not in after.constants
    assert not [spec for spec in after.graph_signature.input_specs if spec.target in ("unread", "hidden")]
    assert torch.equal(3 * after.module()(image)["y"], program.module()(image)["y"])


def test_outputs_follow_their_new_node_and_keep_their_keys(program, image):
    editor = ProgramEditor(program)
    add = node_called(editor, ADD)
    new = editor.call(torch.ops.aten.neg.default, add, before=next(iter(add.users)))
    add.replace_all_uses_with(new, delete_user_cb=lambda user: user is not new)
    after = editor.finish()
    first, second = after.graph_signature.user_outputs
    assert first == program.graph_signature.user_outputs[0]
    assert second == new.name != program.graph_signature.user_outputs[1]
    assert list(after.module()(image)) == ["y", "z"]
    assert torch.equal(after.module()(image)["z"], -program.module()(image)["z"])


def test_a_new_node_has_shape_dtype_and_the_users_line(program):
    editor = ProgramEditor(program)
    relu = node_called(editor, RELU)
    new = editor.call(torch.ops.aten.permute.default, relu, [0, 2, 3, 1], before=next(iter(relu.users)))
    assert shape_of(relu) == (1, 4, 4, 5)
    assert shape_of(new) == (1, 4, 5, 4)
    assert new.meta["val"].dtype == torch.float32
    assert "test_graph.py" in new.meta["stack_trace"]


@pytest.mark.parametrize("name", ["input", "id", "type", "x"])
def test_arguments_may_be_called_what_python_calls_its_own(name):
    namespace: dict[str, object] = {"nn": nn, "F": F}
    exec(f"class Named(nn.Module):\n    def forward(self, {name}):\n        return F.relu({name}) * 3", namespace)
    x = noise(2, 3)
    program = capture("named", namespace["Named"](), (x,))
    after = doubled(program)
    assert after.graph_signature.user_inputs == program.graph_signature.user_inputs == (name,)
    assert torch.equal(after.module()(x), 2 * program.module()(x))


def test_name_of_a_constant(program):
    editor = ProgramEditor(program)
    assert editor.name_of(placeholder(program, editor, "conv.weight")) == "conv.weight"
    assert editor.name_of(editor.add_constant("conv.weight", torch.zeros(1))) == "conv.weight"
    assert editor.name_of(node_called(editor, RELU)) == "relu"


def test_site_is_the_innermost_module():
    model = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()))
    program = capture("nested", model, (noise(1, 3, 2, 2),))
    assert [site_of(node) for node in program.graph.nodes if node.op == "call_function"] == ["0.0", "0.1"]


def test_an_argument_by_position_by_keyword_or_not_given():
    graph = torch.fx.Graph()
    node = graph.call_function(torch.ops.aten.mean.dim, (graph.placeholder("x"), [1]), {"keepdim": True})
    assert argument(node, 1, "dim") == [1]
    assert argument(node, 2, "keepdim", default=False) is True
    assert argument(node, 3, "dtype") is None
    assert argument(node, 3, "dtype", torch.float16) == torch.float16
