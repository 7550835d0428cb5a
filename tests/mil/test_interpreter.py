import gc
import tempfile
import weakref
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from building import computed, saved_program

from edgekit.errors import BadInputError, UnknownNameError
from edgekit.mil.interpreter import Interpreter, ProgramError, UnknownOperatorError
from edgekit.mil.program import Function, Name, Program, read_program
from edgekit.mil.types import TensorType
from edgekit.quiet import quiet
from edgekit.targets.coreml.package import read_package
from edgekit.targets.coreml.toolbox import coremltools

X = np.array([1, 2, 3], np.float32)


def changed(program: Program, change) -> Program:
    """Return the program with each of its operators changed."""
    (name,) = program.functions
    function: Function = program.functions[name]
    block = attrs.evolve(function.block, operators=tuple(change(operator) for operator in function.block.operators))
    return attrs.evolve(program, functions={name: attrs.evolve(function, block=block)})


def run(program, **inputs):
    (name,) = program.functions
    return list(Interpreter(program).run(name, {key: torch.as_tensor(value) for key, value in inputs.items()}).values())


@pytest.mark.parametrize(("values", "expected"), [([1, 2, 3], [20, 40, 60]), ([-1, -2, -3], [1, 2, 3])])
def test_cond_takes_one_branch_and_reads_outer_values(values, expected):
    def build(mb, x):
        positive = mb.greater(x=mb.reduce_sum(x=x, axes=[0], keep_dims=False), y=0.0)
        twice = mb.mul(x=x, y=2.0)
        return mb.cond(pred=positive, _true_fn=lambda: mb.mul(x=twice, y=10.0), _false_fn=lambda: mb.sub(x=x, y=twice))

    program = saved_program(build, {"x": X})
    seen = []
    observed = Interpreter(program).run("main", {"x": torch.tensor(values, dtype=torch.float32)}, observe=lambda op, _: seen.append(op.kind))
    np.testing.assert_array_equal(next(iter(observed.values())), expected)
    assert ("sub" in seen) == (sum(values) < 0)


def test_loops_in_loops_read_outer_values():
    """Multiply by adding: the outer loop counts rows, the inner one adds ``x`` as many times."""

    def build(mb, x, n):
        def inner(total, row):
            def add(i, total):
                return mb.add(x=i, y=1), mb.add(x=total, y=x)

            return mb.while_loop(_cond=lambda i, total: mb.less(x=i, y=row), _body=add, loop_vars=(0, total))[1]

        def step(row, total):
            return mb.add(x=row, y=1), inner(total, row)

        count = mb.squeeze(x=n, axes=[0])
        start = mb.mul(x=x, y=0.0)
        return mb.while_loop(_cond=lambda row, total: mb.less(x=row, y=count), _body=step, loop_vars=(0, start))

    for rows in (0, 1, 5):
        row, total = computed(build, {"x": X, "n": np.array([rows], np.int32)})
        assert row == rows
        np.testing.assert_array_equal(total, X * sum(range(rows)))


def test_a_loop_without_end_is_an_error(monkeypatch):
    monkeypatch.setattr("edgekit.mil.interpreter._MOST_ITERATIONS", 10)

    def build(mb, x):
        def small(x):
            return mb.less(x=mb.reduce_sum(x=x, axes=[0], keep_dims=False), y=100.0)

        return mb.while_loop(_cond=small, _body=lambda x: mb.mul(x=x, y=1.0), loop_vars=(x,))

    with pytest.raises(ProgramError, match="has not ended after 10"):
        computed(build, {"x": X})


class Counter(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(3))

    def forward(self, x):
        self.total.add_(x)
        return self.total * 2


def converted(module, **options):
    ct = coremltools()
    with quiet(), tempfile.TemporaryDirectory() as folder:
        model = ct.convert(
            torch.jit.trace(module.eval(), torch.from_numpy(X)),
            inputs=[ct.TensorType("x", X.shape)],
            outputs=[ct.TensorType("y")],
            convert_to="mlprogram",
            minimum_deployment_target=ct.target.iOS18,
            skip_model_load=True,
            **options,
        )
        path = Path(folder) / "small.mlpackage"
        model.save(str(path))
        package = read_package(path)
        return read_program(package.spec.mlProgram, package.spec_path.parent)


def test_state_lives_between_calls_and_apart():
    ct = coremltools()
    program = converted(Counter(), states=[ct.StateType(ct.TensorType(shape=(3,), dtype=np.float16), name="total")])
    interpreter = Interpreter(program)
    state = interpreter.make_state("main")
    assert list(state) == ["total"]
    x = torch.from_numpy(X)
    results = [interpreter.run("main", {"x": x}, states=state)["y"] for _ in range(3)]
    np.testing.assert_array_equal(torch.stack(results), [X * 2, X * 4, X * 6])
    np.testing.assert_array_equal(state["total"].value, X * 3)
    np.testing.assert_array_equal(interpreter.run("main", {"x": x})["y"], X * 2)


class Head(torch.nn.Module):
    def __init__(self, trunk, outputs):
        super().__init__()
        self.trunk, self.head = trunk, torch.nn.Linear(64, outputs)

    def forward(self, x):
        return self.head(torch.relu(self.trunk(x)))


def test_functions_share_their_weights():
    ct = coremltools()
    torch.manual_seed(0)
    trunk = torch.nn.Linear(3, 64)
    modules = {"few": Head(trunk, 2).eval(), "many": Head(trunk, 5).eval()}
    with quiet(), tempfile.TemporaryDirectory() as folder, torch.no_grad():
        description = ct.utils.MultiFunctionDescriptor()
        for name, module in modules.items():
            model = ct.convert(
                torch.jit.trace(module, torch.from_numpy(X)[None]),
                inputs=[ct.TensorType("x", (1, 3))],
                outputs=[ct.TensorType("y")],
                convert_to="mlprogram",
                minimum_deployment_target=ct.target.iOS18,
                compute_precision=ct.precision.FLOAT32,
                skip_model_load=True,
            )
            model.save(f"{folder}/{name}.mlpackage")
            description.add_function(f"{folder}/{name}.mlpackage", "main", name)
        description.default_function_name = "few"
        ct.utils.save_multifunction(description, f"{folder}/both.mlpackage")
        package = read_package(Path(folder) / "both.mlpackage")
        program = read_program(package.spec.mlProgram, package.spec_path.parent)
        x = torch.from_numpy(X)[None]
        for name, module in modules.items():
            torch.testing.assert_close(Interpreter(program).run(name, {"x": x})["y"], module(x), rtol=0, atol=1e-6)
    weights = [
        [op.attributes["val"] for op in function.block.operators if op.kind == "const" and getattr(op.attributes["val"], "shape", None) == (64, 3)]
        for function in program.functions.values()
    ]
    assert weights[0][0] is weights[1][0]
    with pytest.raises(UnknownNameError, match="few, many"):
        Interpreter(program).run("some", {})


def test_an_unknown_operator_stops_before_anything_is_computed():
    plain = saved_program(lambda mb, x: mb.add(x=mb.relu(x=x), y=1.0), {"x": X})
    program = changed(plain, lambda op: attrs.evolve(op, kind="frobnicate") if op.kind == "add" else op)
    seen = []
    with pytest.raises(UnknownOperatorError, match="frobnicate"):
        Interpreter(program).run("main", {"x": torch.from_numpy(X)}, observe=lambda op, _: seen.append(op))
    assert not seen


def test_unknown_and_missing_parameters_name_the_operator():
    program = saved_program(lambda mb, x: mb.gelu(x=x, mode="EXACT", name="squashed"), {"x": X})
    parameters = {"added": lambda given: {**given, "beta": given["x"]}, "missing": lambda _: {}, "value": lambda given: {**given, "mode": ("SOFT",)}}
    for change, reason in zip(parameters.values(), ("unknown parameter: beta", "missing parameter: x", "mode 'SOFT'"), strict=True):
        other = changed(program, lambda op, change=change: attrs.evolve(op, arguments=change(op.arguments)) if op.kind == "gelu" else op)
        with pytest.raises(UnknownOperatorError) as caught:
            run(other, x=X)
        assert reason in str(caught.value)
        assert "squashed" in str(caught.value)


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (TensorType("fp32", (4,)), r"shape \[3\], the program declares fp32\[4\]"),
        (TensorType("int32", (3,)), r"declares int32\[3\]"),
        (TensorType("fp32", (None,)), None),
    ],
)
def test_a_result_must_be_what_the_program_declares(declared, reason):
    def change(op):
        return attrs.evolve(op, outputs=(attrs.evolve(op.outputs[0], type=declared),)) if op.kind == "relu" else op

    program = changed(saved_program(lambda mb, x: mb.relu(x=x), {"x": X}), change)
    if reason is None:
        np.testing.assert_array_equal(run(program, x=X)[0], X)
        return
    with pytest.raises(ProgramError, match=reason):
        run(program, x=X)


def test_an_input_of_another_shape_or_none():
    program = saved_program(lambda mb, x: mb.relu(x=x), {"x": X})
    with pytest.raises(ProgramError, match=r"x has shape \[4\]"):
        run(program, x=np.zeros(4, np.float32))
    with pytest.raises(BadInputError, match="without its input x"):
        run(program)


def test_a_name_that_nothing_computes():
    def change(op):
        return attrs.evolve(op, arguments={"x": (Name("nowhere"),)}) if op.kind == "relu" else op

    with pytest.raises(ProgramError, match="nowhere"):
        run(changed(saved_program(lambda mb, x: mb.relu(x=x), {"x": X}), change), x=X)


def test_what_cannot_be_computed_names_the_operator():
    def build(mb, x, n):
        return mb.reshape(x=x, shape=n, name="folded")

    with pytest.raises(ProgramError, match="reshape folded cannot be computed"):
        computed(build, {"x": X, "n": np.array([2, 2], np.int32)})


def test_values_are_freed_after_their_last_use():
    """A chain of operators holds one value, besides those that are read later and the result; one that nothing reads is dropped at once."""

    def build(mb, x):
        kept = mb.add(x=x, y=1.0)
        mb.mul(x=x, y=5.0)  # nothing reads it
        value = kept
        for _ in range(6):
            value = mb.sub(x=value, y=0.5)
        return mb.add(x=value, y=kept)

    program = saved_program(build, {"x": X})
    held, most = [], 0

    def observe(operator, results):
        nonlocal most
        gc.collect()
        held.extend(weakref.ref(result) for result in results)
        most = max(most, sum(reference() is not None for reference in held))

    result = Interpreter(program).run("main", {"x": torch.from_numpy(X)}, observe=observe)
    np.testing.assert_array_equal(next(iter(result.values())), X * 2 - 1)
    # kept, the value before, and the one just computed
    assert most == 3
    assert sum(reference() is not None for reference in held) == 1


def test_half_precision_rounds_what_the_program_declares_as_such():
    x = np.array([1 / 3, 1e-8, 70000], np.float32)

    def build(mb, x):
        return mb.cast(x=mb.add(x=mb.cast(x=x, dtype="fp16"), y=np.float16(1)), dtype="fp32"), mb.add(x=x, y=1.0)

    half, single = computed(build, {"x": x}, numerics="fp16")
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(half, x.astype(np.float16) + np.float16(1))
    np.testing.assert_array_equal(single, x + 1)
    np.testing.assert_array_equal(computed(build, {"x": x})[0], x + 1)
