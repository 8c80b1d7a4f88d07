"""Random streams on one thread: bar 8 of the project."""

import numpy as np
import pytest
import torch

from bayesops import random
from bayesops.profiling.machine import bernoulli_kind
from benchmarks import groups, machine
from benchmarks.side_by_side import Rival
from benchmarks.suite import Case, Limit, SideBySide, Target

SIZES = [2**14, 2**20]
one_thread = pytest.mark.parametrize("threads", [1], indirect=True)


@pytest.mark.parametrize("p", [0.5, 0.1])
@pytest.mark.parametrize("count", SIZES)
@one_thread
def test_bernoulli(side_by_side: SideBySide, count: int, p: float, threads: int) -> None:
    generator = np.random.default_rng(0)
    numbers = torch.zeros(count)
    side_by_side(
        Case(
            group=groups.BERNOULLI.title,
            name=f"{count} elements, p = {p}",
            threads=threads,
            parameters={"count": count, "p": p},
            ours=lambda: random.bernoulli_mask(0, (count,), p),
            rivals=[
                Rival("torch.bernoulli", lambda: torch.bernoulli(numbers, 1 - p)),
                Rival("bernoulli_ of bools", lambda: torch.empty(count, dtype=torch.bool).bernoulli_(1 - p)),
                Rival("torch.rand ≥ p", lambda: torch.rand(count) >= p),
                Rival("NumPy (PCG64) ≥ p", lambda: generator.random(count, dtype=np.float32) >= p),
            ],
            limit=Limit("four elements a Philox word", lambda: count / 4 / machine.word_rate()),
            target=Target({"torch.bernoulli": 30.0 if bernoulli_kind() == "serial" else 8.0}, threads=1),
        )
    )


@pytest.mark.parametrize("count", SIZES)
@one_thread
def test_normal(side_by_side: SideBySide, count: int, threads: int) -> None:
    generator = np.random.default_rng(0)
    side_by_side(
        Case(
            group=groups.NORMALS.title,
            name=f"{count} elements",
            threads=threads,
            parameters={"count": count},
            ours=lambda: random.normal(0, (count,)),
            rivals=[
                Rival("torch.randn", lambda: torch.randn(count)),
                Rival("NumPy (PCG64, ziggurat)", lambda: generator.standard_normal(count, dtype=np.float32)),
            ],
            limit=Limit("a normal a Philox word", lambda: count / machine.word_rate()),
            target=Target({"torch.randn": 5.0}, threads=1),
        )
    )
