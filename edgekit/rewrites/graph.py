"""Edits an ``ExportedProgram`` on a copy: constants by value, new nodes with shapes, a clean program at the end."""

import copy
from collections.abc import Callable
from typing import Any, TypeGuard

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec, TensorArgument
from torch.utils import _pytree

_CONSTANT_KINDS = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)


class ProgramEditor:
    """A working copy of a program. Tensors are shared with the original and never written to."""

    def __init__(self, program: ExportedProgram) -> None:
        self._program = program
        self._module = copy.deepcopy(program.graph_module)
        self.graph: fx.Graph = self._module.graph
        for ours, theirs in zip(self.graph.nodes, program.graph.nodes, strict=True):
            ours.name = theirs.name  # copying renames what Python has too: nn.Sequential's argument is called input
        self._signature = copy.deepcopy(program.graph_signature)
        self._state = dict(program.state_dict)
        self._constants = dict(program.constants)
        self._fake_mode = _fake_mode(program)
        # A captured program writes to its buffers in the graph itself; a decomposed one lists them as outputs.
        mutated = set(program.graph_signature.buffers_to_mutate.values())
        written = {node.name for node in self.graph.nodes if node.op == "placeholder" and any(_writes(user, node) for user in node.users)}
        constants = [spec for spec in self._signature.input_specs if spec.kind in _CONSTANT_KINDS and spec.target not in mutated]
        constants = [spec for spec in constants if spec.arg.name not in written]
        self._targets: dict[str, str] = {spec.arg.name: str(spec.target) for spec in constants}
        self._added: dict[str, list[fx.Node]] = {}

    def constant(self, node: Any) -> Tensor | None:
        """Return the tensor behind a parameter, an unmodified buffer or a lifted constant; ``None`` for anything else."""
        if not isinstance(node, fx.Node) or node.op != "placeholder" or (target := self._targets.get(node.name)) is None:
            return None
        value = self._state.get(target)
        if value is None:
            value = self._constants.get(target)
        return value.detach() if isinstance(value, Tensor) else None

    def add_constant(self, name: str, value: Tensor) -> fx.Node:
        """Add a parameter called ``name`` (made unique) and return its placeholder; the same for a value that was added by that name before.

        A layer that is applied several times is folded once for each time, with the same result: it is stored once.
        """
        for node in self._added.get(name, ()):
            if _same(self._state[self._targets[node.name]], value):
                return node
        target = name
        while target in self._state or target in self._constants:
            target += "_"
        # A clone, not contiguous(): a 1x1 weight counts as contiguous with strides that convolutions read as channels last.
        parameter = torch.nn.Parameter(value.detach().clone(memory_format=torch.contiguous_format), requires_grad=False)
        first_input = next(node for node in self.graph.nodes if node.op != "placeholder" or node.name not in self._targets)
        with self.graph.inserting_before(first_input):
            node = self.graph.placeholder("p_" + target.replace(".", "_"))
        node.target = node.name  # a.b and a_b would be one argument of the generated function
        node.meta["val"] = self._fake_mode.from_tensor(parameter, static_shapes=True)
        self._state[target] = parameter
        self._targets[node.name] = target
        self._added.setdefault(name, []).append(node)
        position = [n.name for n in self.graph.nodes if n.op == "placeholder"].index(node.name)
        spec = InputSpec(InputKind.PARAMETER, TensorArgument(name=node.name), target)
        self._signature.input_specs.insert(position, spec)
        return node

    def call(self, op: Callable[..., Any], *args: Any, before: fx.Node, **kwargs: Any) -> fx.Node:
        """Insert a call of ``op`` before a node; shapes are computed; the source line, module and precision are that node's."""
        with self.graph.inserting_before(before):
            node = self.graph.call_function(op, args, kwargs)
        fake_args, fake_kwargs = _pytree.tree_map_only(fx.Node, lambda n: n.meta["val"], (args, kwargs))
        with self._fake_mode:
            node.meta["val"] = op(*fake_args, **fake_kwargs)
        node.meta.update({key: before.meta[key] for key in ("stack_trace", "nn_module_stack", "source_fn_stack", "custom") if key in before.meta})
        return node

    def shapes_only(self) -> Any:
        """Return the context in which tensors have shapes and no values, those of the program's nodes."""
        return self._fake_mode

    def erase_unused(self, node: fx.Node) -> None:
        """Remove a node nobody reads any more, and what only it read. Placeholders stay until :meth:`finish`."""
        if node.users or node.op != "call_function" or node.is_impure():
            return
        sources = node.all_input_nodes
        self.graph.erase_node(node)
        for source in sources:
            self.erase_unused(source)

    def name_of(self, node: fx.Node) -> str:
        """Return the name people know a constant by (``stage1.0.proj.conv.weight``), or the node's own."""
        return self._targets.get(node.name, node.name).rstrip("_")

    def finish(self) -> ExportedProgram:
        """Remove what is no longer used and return the edited program."""
        self.graph.eliminate_dead_code()
        for node in [n for n in self.graph.nodes if n.op == "placeholder" and n.name in self._targets and not n.users]:
            self.graph.erase_node(node)
            self._signature.input_specs[:] = [spec for spec in self._signature.input_specs if spec.arg.name != node.name]
        outputs = next(node for node in self.graph.nodes if node.op == "output").args[0]
        for spec, value in zip(self._signature.output_specs, outputs, strict=True):
            if isinstance(value, fx.Node) and isinstance(spec.arg, TensorArgument):
                spec.arg = TensorArgument(name=value.name)
        self.graph.lint()
        self._module.recompile()
        used = {spec.target for spec in self._signature.input_specs}
        return ExportedProgram(
            root=self._module,
            graph=self.graph,
            graph_signature=self._signature,
            state_dict={name: value for name, value in self._state.items() if name in used},
            range_constraints=self._program.range_constraints,
            module_call_graph=self._program.module_call_graph,
            example_inputs=self._program.example_inputs,
            constants={name: value for name, value in self._constants.items() if name in used or not isinstance(value, Tensor)},
            verifiers=self._program.verifiers,
        )


def _same(ours: Tensor, theirs: Tensor) -> bool:
    return ours.dtype is theirs.dtype and ours.shape == theirs.shape and torch.equal(ours, theirs)


def _fake_mode(program: ExportedProgram) -> Any:
    """Return the fake-tensor mode the program was captured with."""
    return next(node.meta["val"].fake_mode for node in program.graph.nodes if isinstance(node.meta.get("val"), Tensor))


def _writes(user: fx.Node, node: fx.Node) -> bool:
    """Whether an operator changes one of its arguments, ``node``, in place."""
    if not isinstance(user.target, torch._ops.OpOverload):  # noqa: SLF001
        return False
    arguments = user.target._schema.arguments  # noqa: SLF001
    return any(value is node and spec.is_write for value, spec in zip(user.args, arguments, strict=False))


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """Return a node's static shape."""
    return tuple(int(size) for size in node.meta["val"].shape)


def site_of(node: fx.Node) -> str:
    """Return the dotted path of the innermost module a node came from (``stage1.0.proj``)."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [path for path, _ in stack.values()]
    return paths[-1] if paths and paths[-1] else node.name


def is_call(node: Any, *ops: Callable[..., Any]) -> TypeGuard[fx.Node]:
    """Whether a value is a node that calls one of ``ops``."""
    return isinstance(node, fx.Node) and node.op == "call_function" and node.target in ops


def argument(node: fx.Node, position: int, name: str, default: Any = None) -> Any:
    """Return an operator's argument whether it was given by position, by keyword or not at all."""
    if len(node.args) > position:
        return node.args[position]
    return node.kwargs.get(name, default)
