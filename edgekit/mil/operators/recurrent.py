"""Recurrent layers, step by step as their formulas stand."""

from collections.abc import Callable

import torch

from edgekit.mil.operators.context import OperatorError, Tensor, flag

Activation = Callable[[Tensor], Tensor]
Cell = Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]

_ACTIVATIONS: dict[str, Activation] = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu, "linear": lambda x: x}
"""``hard_sigmoid`` and ``scaled_tanh`` have constants that the reference does not give."""


def _activation(name: str) -> Activation:
    if name.lower() not in _ACTIVATIONS:
        raise OperatorError(f"activation {name!r}")
    return _ACTIVATIONS[name.lower()]


def _run(cell: Cell, x: Tensor, state: tuple[Tensor, ...], *, backwards: bool) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the hidden states of all steps, in the order of ``x``, and the last state."""
    steps = []
    for step in x.flip(0) if backwards else x:
        state = cell(step, state)
        steps.append(state[0])
    return torch.stack(steps[::-1] if backwards else steps), state


def _shown(steps: Tensor, last: Tensor, *, whole: bool) -> Tensor:
    return steps if whole else last[None]


def _backwards(direction: str) -> bool:
    if direction not in {"forward", "reverse"}:
        raise OperatorError(f"direction {direction!r}")
    return direction == "reverse"


def rnn(
    *,
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | float = 0.0,
    direction: str = "forward",
    output_sequence: Tensor | bool = False,
    activation: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """``h = activation(W_ih x + W_hh h + b)``."""
    act = _activation(activation)

    def cell(step: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (act(step @ weight_ih.T + state[0] @ weight_hh.T + bias),)

    steps, (last,) = _run(cell, x, (initial_h,), backwards=_backwards(direction))
    return _shown(steps, last, whole=flag(output_sequence)), last


def gru(
    *,
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    direction: str = "forward",
    output_sequence: Tensor | bool = False,
    recurrent_activation: str = "sigmoid",
    activation: str = "tanh",
    reset_after: Tensor | bool = False,
    input_bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """``h = (1 - z) o + z h``; gates in the order r, o, z. The reference contradicts itself on where ``r`` applies: refused."""
    del x, initial_h, weight_ih, weight_hh, bias, direction, output_sequence, recurrent_activation, activation, reset_after, input_bias
    raise OperatorError("the reference gives the reset gate's place and the biases in two ways that differ")


def lstm(
    *,
    x: Tensor,
    initial_h: Tensor,
    initial_c: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | float = 0.0,
    peephole: Tensor | None = None,
    weight_ih_back: Tensor | None = None,
    weight_hh_back: Tensor | None = None,
    bias_back: Tensor | float = 0.0,
    peephole_back: Tensor | None = None,
    direction: str = "forward",
    output_sequence: Tensor | bool = False,
    recurrent_activation: str = "sigmoid",
    cell_activation: str = "tanh",
    activation: str = "tanh",
    clip: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """``c = f c + i z``, ``h = o activation(c)``; gates in the order i, f, o, z. Both directions side by side if ``bidirectional``."""
    if peephole is not None or peephole_back is not None or clip is not None:
        raise OperatorError("a peephole or a clip, for which the reference gives no formula")
    acts = (_activation(recurrent_activation), _activation(cell_activation), _activation(activation))
    if direction != "bidirectional":
        cell = _lstm_cell(weight_ih, weight_hh, bias, acts)
        steps, (hidden, memory) = _run(cell, x, (initial_h, initial_c), backwards=_backwards(direction))
        return _shown(steps, hidden, whole=flag(output_sequence)), hidden, memory
    if weight_ih_back is None or weight_hh_back is None:
        raise OperatorError("two directions, but the weights of one")
    (h0, h1), (c0, c1) = initial_h.chunk(2, dim=1), initial_c.chunk(2, dim=1)
    ahead, (last_h0, last_c0) = _run(_lstm_cell(weight_ih, weight_hh, bias, acts), x, (h0, c0), backwards=False)
    back, (last_h1, last_c1) = _run(_lstm_cell(weight_ih_back, weight_hh_back, bias_back, acts), x, (h1, c1), backwards=True)
    hidden, memory = torch.cat([last_h0, last_h1], dim=1), torch.cat([last_c0, last_c1], dim=1)
    return _shown(torch.cat([ahead, back], dim=2), hidden, whole=flag(output_sequence)), hidden, memory


def _lstm_cell(weight_ih: Tensor, weight_hh: Tensor, bias: Tensor | float, acts: tuple[Activation, Activation, Activation]) -> Cell:
    gate, candidate, act = acts

    def cell(step: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden, memory = state
        i, f, o, z = (step @ weight_ih.T + hidden @ weight_hh.T + bias).chunk(4, dim=1)
        memory = gate(f) * memory + gate(i) * candidate(z)
        return gate(o) * act(memory), memory

    return cell


OPERATORS = {"rnn": rnn, "gru": gru, "lstm": lstm}
