"""Times taken in turn, their ratios, and memory at its peak."""

import pytest
import torch

from bayesops.profiling import Spread, timing

CPU = torch.device("cpu")


def test_ratios_are_taken_pair_by_pair():
    assert timing.ratios([2.0, 4.0, 30.0], [1.0, 2.0, 3.0]) == Spread(2.0, 2.0, 6.0)
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0)


@pytest.mark.parametrize("settle", [False, True])
def test_turns_are_taken_one_after_another(settle, monkeypatch):
    monkeypatch.setattr(timing, "_SHORT", float("inf"))
    calls = []
    ways = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    times = timing.take_turns(ways, CPU, 1e-9, settle)
    assert calls == ["a", "b"] + (["a", "a", "b", "b"] if settle else ["a", "b"]) * 2
    assert {len(series) for series in times.values()} == {3}


def test_long_calls_are_not_made_twice(monkeypatch):
    monkeypatch.setattr(timing, "_SHORT", 0.0)
    calls = []
    timing.take_turns({"a": lambda: calls.append("a")}, CPU, 1e-9)
    assert calls == ["a"] * 3


@pytest.mark.skipif(timing.peak_memory(lambda: None, CPU) is None, reason="the system does not tell resident memory")
def test_peak_memory_is_that_of_the_call():
    size = 64 * 2**20
    assert 0.9 * size < timing.peak_memory(lambda: torch.ones(size // 4), CPU) < 1.2 * size
    assert timing.peak_memory(lambda: torch.ones(100), CPU) < 0.2 * size
