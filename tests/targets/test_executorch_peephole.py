"""Moves in a row inside an XNNPACK payload become one, and the program still computes the same."""

import numpy as np
import torch
from torch import nn

from edgekit.quiet import quiet
from edgekit.targets.executorch.peephole import merge_moves, peephole

MAX_ERROR = 1e-6


def transpose(x, out, perm):
    from executorch.backends.xnnpack.serialization import xnnpack_graph_schema as schema

    return node(schema.XNNStaticTranspose(num_dims=len(perm), perm=list(perm), input_id=x, output_id=out, flags=0))


def node(operation):
    from executorch.backends.xnnpack.serialization import xnnpack_graph_schema as schema

    return schema.XNode(xnode_union=operation, debug_handle=0)


def graph_of(nodes, dims, inputs, outputs, constants=()):
    from executorch.backends.xnnpack.serialization import xnnpack_graph_schema as schema

    values = [
        schema.XValue(
            xvalue_union=schema.XNNTensorValue(
                datatype=schema.XNNDatatype.xnn_datatype_fp32,
                num_dims=len(size),
                dims=list(size),
                constant_buffer_idx=int(identifier in constants),
                external_id=0,
                flags=0,
                id_out=identifier,
            )
        )
        for identifier, size in dims.items()
    ]
    return schema.XNNGraph(
        version="0", xnodes=nodes, xvalues=values, num_externs=len(inputs) + len(outputs), input_ids=inputs, output_ids=outputs, constant_data=[]
    )


def sigmoid(x, out):
    from executorch.backends.xnnpack.serialization import xnnpack_graph_schema as schema

    return node(schema.XNNSigmoid(input_id=x, output_id=out, flags=0))


def kinds(graph):
    return [type(n.xnode_union).__name__.removeprefix("XNN") for n in graph.xnodes]


def ids(graph):
    return {value.xvalue_union.id_out for value in graph.xvalues}


NHWC, NCHW = (1, 4, 6, 8), (1, 8, 4, 6)


def test_transposes_that_cancel_go_and_their_values_too():
    dims = {0: NHWC, 1: NCHW, 2: NHWC, 3: NHWC}
    graph = graph_of([transpose(0, 1, (0, 3, 1, 2)), transpose(1, 2, (0, 2, 3, 1)), sigmoid(2, 3)], dims, [0], [3])
    assert merge_moves(graph) == 2
    assert kinds(graph) == ["Sigmoid"]
    assert graph.xnodes[0].xnode_union.input_id == 0
    assert ids(graph) == {0, 3}
    assert merge_moves(graph) == 0


def test_transposes_that_do_not_cancel_become_one():
    x = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    first, second = (1, 2, 0), (1, 0, 2)
    graph = graph_of(
        [transpose(0, 1, first), transpose(1, 2, second), sigmoid(2, 3)], {0: (2, 3, 4), 1: (3, 4, 2), 2: (4, 3, 2), 3: (4, 3, 2)}, [0], [3]
    )
    assert merge_moves(graph) == 1
    merged = graph.xnodes[0].xnode_union
    assert np.array_equal(x.transpose(merged.perm), x.transpose(first).transpose(second))


def test_a_transpose_that_others_read_stays():
    dims = {0: NHWC, 1: NCHW, 2: NHWC, 3: NHWC, 4: NCHW}
    graph = graph_of([transpose(0, 1, (0, 3, 1, 2)), transpose(1, 2, (0, 2, 3, 1)), sigmoid(2, 3), sigmoid(1, 4)], dims, [0], [3, 4])
    assert merge_moves(graph) == 1
    assert kinds(graph) == ["StaticTranspose", "Sigmoid", "Sigmoid"]


def test_an_output_keeps_its_transpose():
    graph = graph_of([transpose(0, 1, (0, 3, 1, 2)), transpose(1, 2, (0, 2, 3, 1))], {0: NHWC, 1: NCHW, 2: NHWC}, [0], [2])
    merge_moves(graph)
    assert [n.xnode_union.output_id for n in graph.xnodes] == [2]


def test_a_constant_vector_is_turned_instead_of_moved():
    from executorch.backends.xnnpack.serialization import xnnpack_graph_schema as schema

    add = node(schema.XNNAdd(input1_id=0, input2_id=2, output_id=3, flags=0))
    graph = graph_of([transpose(1, 2, (0, 2, 3, 1)), add], {0: NHWC, 1: (1, 8, 1, 1), 2: (1, 1, 1, 8), 3: NHWC}, [0], [3], constants=(1,))
    assert merge_moves(graph) == 1
    assert graph.xnodes[0].xnode_union.input2_id == 1
    assert next(v.xvalue_union.dims for v in graph.xvalues if v.xvalue_union.id_out == 1) == [1, 1, 1, 8]


def test_a_padding_between_transposes_is_turned():
    from executorch.backends.xnnpack.serialization import xnnpack_graph_schema as schema

    padding = schema.XNNStaticConstantPad(pre_paddings=[0] * 4, post_paddings=[0, 0, 1, 2], padding_value=0.0, input_id=1, output_id=2, flags=0)
    pad = node(padding)
    dims = {0: NHWC, 1: NCHW, 2: (1, 8, 5, 8), 3: (1, 5, 8, 8), 4: (1, 5, 8, 8)}
    graph = graph_of([transpose(0, 1, (0, 3, 1, 2)), pad, transpose(2, 3, (0, 2, 3, 1)), sigmoid(3, 4)], dims, [0], [4])
    assert merge_moves(graph) == 2
    assert kinds(graph) == ["StaticConstantPad", "Sigmoid"]
    turned = graph.xnodes[0].xnode_union
    assert (turned.input_id, turned.post_paddings) == (0, [0, 1, 2, 0])
    assert next(v.xvalue_union.dims for v in graph.xvalues if v.xvalue_union.id_out == turned.output_id) == [1, 5, 8, 8]


class Moves(nn.Module):
    """Moves channels to the end and back between convolutions, pads, adds a constant and crops there."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 5, 3)
        self.shift = nn.Parameter(torch.randn(1, 1, 1, 8))

    def forward(self, x):
        y = self.first(x).permute(0, 2, 3, 1)
        y = torch.nn.functional.pad(y + self.shift, (0, 0, 0, 2, 0, 1))
        y = torch.sigmoid(y)[:, 1:6, :5]
        return self.second(y.permute(0, 3, 1, 2)) + self.second(y.reshape(1, 5, 40).reshape(1, 5, 5, 8).permute(0, 3, 1, 2))


def lowered(model, x, path):
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from executorch.runtime import Runtime

    from edgekit.targets.executorch import TARGET

    program = to_edge_transform_and_lower(torch.export.export(model, (x,)), partitioner=[XnnpackPartitioner()]).to_executorch()
    path.write_bytes(program.buffer)
    result = Runtime.get().load_program(path).load_method("forward").execute([x])[0]
    return result.clone(), sum(count for name, count in TARGET.inspect(path).operators.items() if "Transpose" in name)


def test_a_real_program_computes_the_same_with_fewer_moves(tmp_path):
    torch.manual_seed(0)
    model, x = Moves().eval(), torch.randn(1, 3, 6, 5)
    with torch.no_grad():
        expected = model(x)
    with quiet():
        plain, plain_moves = lowered(model, x, tmp_path / "plain.pte")
        with peephole():
            merged, merged_moves = lowered(model, x, tmp_path / "merged.pte")
        again, again_moves = lowered(model, x, tmp_path / "again.pte")
    for actual in (plain, merged, again):
        assert (actual - expected).abs().max() <= MAX_ERROR
    assert merged_moves <= plain_moves - 3
    assert again_moves == plain_moves  # nothing stays patched
