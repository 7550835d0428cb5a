"""Capturing a user's model, and naming the user's line where that stops."""

import importlib.util
import sysconfig
from pathlib import Path

import pytest
import torch
from torch import nn

import edgekit
from edgekit.capture import capture
from edgekit.errors import CannotExportError, CaptureError
from edgekit.user_code import is_user_file, user_frame, user_line

SOURCE = """\
import numpy
import torch
from torch import nn


class Fine(nn.Module):
    def forward(self, image):
        return torch.where(image.mean() > 0, image, -image)


class Item(nn.Module):
    def forward(self, image):
        if image.mean().item() > 0:
            return image
        return -image


class Comparison(nn.Module):
    def forward(self, image):
        if image.mean() > 0:
            return image
        return -image


class Selection(nn.Module):
    def forward(self, image):
        kept = image[image > 0]
        return kept.sum() if len(kept) > 4 else kept.max()


class Numpy(nn.Module):
    def forward(self, image):
        return torch.from_numpy(numpy.sort(image.numpy()))


class Helper(nn.Module):
    def forward(self, image):
        return no_square(image)


def no_square(image):
    raise ValueError(f"not square: {tuple(image.shape)}")


class Misfit(nn.Module):
    def forward(self, image):
        return torch.cond(image.sum() > 0, lambda image: image.int(), lambda image: image * 2, (image,))


class Returns(nn.Module):
    def forward(self, image):
        return {"y": image, "made by": object()}
"""


@pytest.fixture
def user(tmp_path):
    file = tmp_path / "my_model.py"
    file.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("my_model", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def line_of(code: str) -> int:
    (number,) = (number for number, line in enumerate(SOURCE.splitlines(), 1) if code in line)
    return number


def error_of(model: nn.Module) -> CaptureError:
    with pytest.raises(CaptureError) as caught:
        capture("my-model", model, (torch.ones(2, 3),))
    return caught.value


def test_a_static_model_is_captured(user):
    model = user.Fine()
    program = capture("my-model", model, (torch.ones(2, 3),))
    for sign in (1, -1):
        assert torch.equal(program.module()(sign * torch.ones(2, 3)), torch.ones(2, 3))
    assert program.graph_signature.user_inputs == ("image",)


def test_the_users_line_is_kept_in_the_graph(user):
    program = capture("my-model", user.Fine(), (torch.ones(2, 3),))
    node = next(node for node in program.graph.nodes if node.target == torch.ops.aten.where.self)
    code = "return torch.where(image.mean() > 0, image, -image)"
    assert user_line(node.meta["stack_trace"]) == f"my_model.py:{line_of(code)}, in forward    {code}"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Item", "if image.mean().item() > 0:"),
        ("Comparison", "if image.mean() > 0:"),
        ("Selection", "return kept.sum() if len(kept) > 4 else kept.max()"),
    ],
)
def test_a_branch_on_a_value_names_file_line_and_code_and_shows_a_way_out(user, name, code):
    error = error_of(getattr(user, name)())
    assert error.where == f"my_model.py:{line_of(code)}, in forward    {code}"
    assert error.summary == "cannot capture my-model: its forward depends on a tensor's value"
    assert "Python branch" in error.what
    assert "static" in error.why
    assert "torch.cond(" in error.hint
    assert "exit_stages()" in error.hint
    assert "torch.where" in error.hint
    assert isinstance(error, CannotExportError)
    assert error.exit_code == 4
    assert error.__cause__ is not None


def test_an_unsupported_call_names_file_line_and_reason(user):
    error = error_of(user.Numpy())
    code = "return torch.from_numpy(numpy.sort(image.numpy()))"
    assert error.where == f"my_model.py:{line_of(code)}, in forward    {code}"
    assert ".numpy() is not supported" in error.what
    assert "torch.cond" not in error.hint


def test_branches_that_do_not_fit_together_name_line_and_reason(user):
    error = error_of(user.Misfit())
    assert error.summary == "cannot capture my-model: the branches of a torch.cond do not fit together"
    assert error.where.startswith(f"my_model.py:{line_of('image.int()')}, in forward")
    assert "expected same dtype but got torch.int32 and torch.float32" in error.what
    assert "torch.zeros" in error.hint


def test_an_error_in_a_helper_names_the_helpers_line(user):
    error = error_of(user.Helper())
    assert error.where.startswith(f"my_model.py:{line_of('raise ValueError')}, in no_square    raise ValueError(")
    assert "ValueError: not square: (2, 3)" in error.what


def test_an_error_outside_the_users_code_has_no_line_but_a_reason(user):
    error = error_of(user.Returns())
    assert error.where is None
    assert "object" in error.what
    assert "\n" not in error.what


TRACE = f"""\
  File "/home/me/project/net.py", line 88, in forward
    y = self.block(x)
  File "{Path(torch.__file__).parent}/nn/modules/module.py", line 1775, in _wrapped_call_impl
    return self._call_impl(*args, **kwargs)
  File "/home/me/project/parts/block.py", line 12, in forward
    return F.relu(x)
  File "{Path(edgekit.__file__).parent}/ops/layer_norm.py", line 20, in forward
    channels_last = x.permute(0, 2, 3, 1)
"""


def test_user_line_is_the_innermost_frame_of_the_user():
    assert user_line(TRACE) == "block.py:12, in forward    return F.relu(x)"


def test_user_line_where_a_frame_has_no_source():
    trace = '  File "/home/me/project/net.py", line 88, in forward\n  File "/home/me/project/block.py", line 12, in forward\n    return F.relu(x)\n'
    assert user_line(trace) == "block.py:12, in forward    return F.relu(x)"
    assert user_line('  File "/home/me/project/net.py", line 88, in forward\n') == "net.py:88, in forward"


@pytest.mark.parametrize("trace", [None, "", "no frames here", "\n".join(TRACE.splitlines()[2:4])])
def test_user_line_without_a_frame_of_the_user(trace):
    assert user_line(trace) is None


def test_user_frame_is_the_innermost_of_the_user(user):
    with pytest.raises(ValueError, match="not square") as caught:
        user.Helper()(torch.ones(2, 3))
    assert user_frame(caught.value).startswith(f"my_model.py:{line_of('raise ValueError')}, in no_square")
    assert user_frame(ValueError("never raised")) is None


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("/home/me/project/net.py", True),
        (str(Path(edgekit.__file__).parent) + "_demo/net.py", True),  # beside edgekit, not in it
        (edgekit.__file__, False),
        (torch.__file__, False),
        (str(Path(sysconfig.get_paths()["stdlib"]) / "typing.py"), False),
        ("<string>", False),
    ],
)
def test_whose_file_it_is(file, expected):
    assert is_user_file(file) is expected
