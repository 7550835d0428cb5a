import numpy as np
import pytest
import torch
from building import computed

from edgekit.mil.interpreter import UnknownOperatorError

GENERATOR = np.random.default_rng(0)
STEPS, BATCH, WIDE, HIDDEN = 5, 2, 3, 4
X = GENERATOR.standard_normal((STEPS, BATCH, WIDE)).astype(np.float32)


def drawn(*shape):
    return GENERATOR.standard_normal(shape).astype(np.float32)


def reordered(weight):
    """Return PyTorch's gates i, f, g, o from MIL's i, f, o, z."""
    i, f, o, z = np.split(weight, 4)
    return torch.from_numpy(np.concatenate([i, f, z, o]))


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_lstm_is_pytorchs(direction):
    both = direction == "bidirectional"
    ways = 2 if both else 1
    weights = [(drawn(4 * HIDDEN, WIDE), drawn(4 * HIDDEN, HIDDEN), drawn(4 * HIDDEN)) for _ in range(ways)]
    h, c = drawn(BATCH, ways * HIDDEN), drawn(BATCH, ways * HIDDEN)
    back = dict(zip(("weight_ih_back", "weight_hh_back", "bias_back"), weights[-1], strict=True)) if both else {}

    def build(mb, x, h, c):
        given = {"x": x, "initial_h": h, "initial_c": c, "direction": direction, **back}
        given |= dict(zip(("weight_ih", "weight_hh", "bias"), weights[0], strict=True))
        return *mb.lstm(**given, output_sequence=True), mb.lstm(**given)[0]

    layer = torch.nn.LSTM(WIDE, HIDDEN, bidirectional=both)
    for suffix, (inner, hidden, bias) in zip(("", "_reverse"), weights, strict=False):
        values = {f"weight_ih_l0{suffix}": reordered(inner), f"weight_hh_l0{suffix}": reordered(hidden), f"bias_ih_l0{suffix}": reordered(bias)}
        layer.load_state_dict(values | {f"bias_hh_l0{suffix}": torch.zeros(4 * HIDDEN)}, strict=False)
    x = torch.from_numpy(X).flip(0) if direction == "reverse" else torch.from_numpy(X)
    start = tuple(torch.from_numpy(value).reshape(BATCH, ways, HIDDEN).transpose(0, 1).contiguous() for value in (h, c))
    with torch.no_grad():
        steps, last = layer(x, start)
    steps = steps.flip(0) if direction == "reverse" else steps
    hidden, memory = (value.transpose(0, 1).reshape(BATCH, -1) for value in last)
    expected = [steps, hidden, memory, hidden[None]]
    for got, wanted in zip(computed(build, {"x": X, "h": h, "c": c}), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-6)


def test_lstm_with_other_activations():
    inner, hidden, h, c = drawn(4 * HIDDEN, WIDE), drawn(4 * HIDDEN, HIDDEN), drawn(BATCH, HIDDEN), drawn(BATCH, HIDDEN)

    def build(mb, x, h, c):
        names = {"recurrent_activation": "tanh", "cell_activation": "linear", "activation": "relu"}
        return mb.lstm(x=x, initial_h=h, initial_c=c, weight_ih=inner, weight_hh=hidden, **names)

    def wanted(h, c):
        for step in X:
            i, f, o, z = np.split(step @ inner.T + h @ hidden.T, 4, axis=1)
            c = np.tanh(f) * c + np.tanh(i) * z
            h = np.tanh(o) * np.maximum(c, 0)
        return h[None], h, c

    for got, expected in zip(computed(build, {"x": X, "h": h, "c": c}), wanted(h, c), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("direction", "activation"), [("forward", "tanh"), ("reverse", "sigmoid")])
def test_rnn(direction, activation):
    inner, hidden, bias, start = drawn(HIDDEN, WIDE), drawn(HIDDEN, HIDDEN), drawn(HIDDEN), drawn(BATCH, HIDDEN)

    def build(mb, x, h):
        given = {"x": x, "initial_h": h, "weight_ih": inner, "weight_hh": hidden, "bias": bias, "direction": direction}
        return mb.rnn(**given, output_sequence=True, activation=activation)

    h, steps = start, {}
    for place in range(STEPS) if direction == "forward" else reversed(range(STEPS)):
        h = X[place] @ inner.T + h @ hidden.T + bias
        h = np.tanh(h) if activation == "tanh" else 1 / (1 + np.exp(-h))
        steps[place] = h
    sequence, last = computed(build, {"x": X, "h": start})
    np.testing.assert_allclose(sequence, np.stack([steps[place] for place in range(STEPS)]), rtol=0, atol=1e-5)
    np.testing.assert_allclose(last, h, rtol=0, atol=1e-5)


REFUSED = {
    "gru": lambda mb, x: mb.gru(x=x, initial_h=drawn(BATCH, HIDDEN), weight_ih=drawn(12, WIDE), weight_hh=drawn(12, HIDDEN)),
    "rnn": lambda mb, x: mb.rnn(
        x=x, initial_h=drawn(BATCH, HIDDEN), weight_ih=drawn(HIDDEN, WIDE), weight_hh=drawn(HIDDEN, HIDDEN), activation="scaled_tanh"
    ),
    "random_bernoulli": lambda mb, x: mb.random_bernoulli(shape=mb.shape(x=x), prob=0.25, seed=1),
    "random_categorical": lambda mb, x: mb.random_categorical(x=mb.reshape(x=x, shape=[10, 3]), size=2),
    "random_normal": lambda mb, x: mb.random_normal(shape=mb.shape(x=x), mean=1.0),
    "random_uniform": lambda mb, x: mb.random_uniform(shape=mb.shape(x=x), low=-1.0),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_the_reference_leaves_open_is_refused(kind):
    with pytest.raises(UnknownOperatorError, match=f"op {kind}"):
        computed(REFUSED[kind], {"x": X})
