"""What several of these tests need: pytest-benchmark's fixture with a clock of its own."""

from types import SimpleNamespace

import pytest


class FakeBenchmark:
    """pytest-benchmark's fixture: every round of ours takes as long as `seconds` says."""

    def __init__(self, seconds):
        self._seconds = iter(seconds)
        self.stats = SimpleNamespace(stats=SimpleNamespace(data=[]))

    def pedantic(self, target, setup, rounds, iterations):
        assert iterations == 1
        for _ in range(rounds):
            setup()
            target()
            self.stats.stats.data.append(next(self._seconds))


@pytest.fixture
def fake_benchmark():
    return FakeBenchmark
