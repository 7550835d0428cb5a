"""Variants in turn."""

from edgekit.bench import sampling
from edgekit.bench.sampling import interleaved, warm_up


def test_variants_run_in_turn_forwards_and_backwards(monkeypatch):
    monkeypatch.setattr(sampling, "warm_up", lambda _: 0)
    order = []
    samples = interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 4)
    assert "".join(order) == "abbaabba"
    assert {name: len(values) for name, values in samples.variants.items()} == {"a": 4, "b": 4}
    assert len(samples.work) == 4
    assert min(samples.work) > 0


def test_warm_up_goes_on_while_it_gets_faster(monkeypatch):
    times = iter([*range(100, 0, -5), *[1.0] * 100])
    monkeypatch.setattr(sampling, "timed_ms", lambda _: next(times))
    assert 20 < warm_up(lambda: None) <= 31


def test_warm_up_ends_though_nothing_settles(monkeypatch):
    times = iter(float(0.9**number) for number in range(1000))
    monkeypatch.setattr(sampling, "timed_ms", lambda _: next(times))
    assert warm_up(lambda: None) == 60


def test_warm_up_of_something_slow_is_short(monkeypatch):
    monkeypatch.setattr(sampling, "timed_ms", lambda _: 3000.0)
    assert warm_up(lambda: None) == 2


def test_each_round_is_told(monkeypatch):
    monkeypatch.setattr(sampling, "warm_up", lambda _: 0)
    rounds = []
    interleaved({"a": lambda: None}, 3, tick=rounds.append)
    assert rounds == [1, 2, 3]
