"""Random streams, on one thread or on a device: bar 8 of the project."""

import numpy as np
import pytest
import torch

from bayesops import random
from bayesops.profiling.machine import bernoulli_kind
from benchmarks import groups, machine
from benchmarks.places import Place
from benchmarks.side_by_side import Rival, compiled
from benchmarks.suite import Case, Limit, SideBySide, Target

SIZES = [2**14, 2**20]
ON_DEVICE = [2**20, 2**28]  # the second one fills a GPU
one_thread = pytest.mark.parametrize("threads", [1], indirect=True)


@pytest.mark.cpu_only
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


@pytest.mark.cpu_only
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


def device_limit(place: Place, drawn: torch.Tensor, words: float) -> Limit:
    """What is drawn is written once, by a word for each so many elements."""
    return Limit(
        "half a copy of the same size, or the Philox words, whichever takes longer",
        lambda: max(place.copy_seconds(drawn, drawn) / 2, words / place.word_rate()),
    )


@pytest.mark.device_only
@pytest.mark.parametrize(("count", "p"), [(ON_DEVICE[0], 0.5), (ON_DEVICE[1], 0.5), (ON_DEVICE[1], 0.1)])
def test_bernoulli_on_device(side_by_side: SideBySide, place: Place, count: int, p: float, threads: int | None) -> None:
    device = place.device
    seed = torch.tensor(0, device=device)
    numbers, bools = torch.zeros(count, device=device), torch.zeros(count, device=device, dtype=torch.bool)

    def drawn() -> torch.Tensor:
        return torch.rand(count, device=device) >= p

    side_by_side(
        Case(
            group=groups.BERNOULLI.title,
            name=f"{count} elements, p = {p}",
            threads=threads,
            parameters={"count": count, "p": p},
            ours=lambda: random.bernoulli_mask(seed, (count,), p),
            rivals=[
                Rival("torch.bernoulli", lambda: torch.bernoulli(numbers, 1 - p)),
                Rival("bernoulli_ of bools", lambda: torch.empty_like(bools).bernoulli_(1 - p)),
                Rival("torch.rand ≥ p", drawn),
                compiled("torch.rand ≥ p", drawn),
            ],
            limit=device_limit(place, bools, count / 4),
            on_device=Target(achieved=0.7) if count == ON_DEVICE[1] else None,
        )
    )


@pytest.mark.device_only
@pytest.mark.parametrize("count", ON_DEVICE)
def test_normal_on_device(side_by_side: SideBySide, place: Place, count: int, threads: int | None) -> None:
    device = place.device
    seed = torch.tensor(0, device=device)

    def drawn() -> torch.Tensor:
        return torch.randn(count, device=device)

    side_by_side(
        Case(
            group=groups.NORMALS.title,
            name=f"{count} elements",
            threads=threads,
            parameters={"count": count},
            ours=lambda: random.normal(seed, (count,)),
            rivals=[Rival("torch.randn", drawn), compiled("torch.randn", drawn)],
            limit=device_limit(place, torch.zeros(count, device=device), count),
            on_device=Target(achieved=0.7) if count == ON_DEVICE[1] else None,
        )
    )
