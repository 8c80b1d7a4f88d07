"""Dropout of activations against PyTorch's; no bar of the project is set for it."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bayesops import ops, random
from benchmarks import groups
from benchmarks.places import Place
from benchmarks.side_by_side import Rival, compiled
from benchmarks.suite import Case, Limit, SideBySide, Target

SHAPES = [(1, 64, 28, 28), (32, 64, 32, 32), (32, 128, 56, 56)]
ON_DEVICE = [(512, 128, 56, 56)]


def _name(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _copy_limit(place: Place, source: Tensor, target: Tensor, passes: int = 1) -> Limit:
    """Each pass reads its input once and writes its output once: as long as a copy of this size into memory in use."""
    return Limit("copies of the same size", lambda: passes * place.copy_seconds(source, target))


@pytest.mark.parametrize("granularity", ["element", "channel"])
@pytest.mark.parametrize(
    "shape",
    [pytest.param(shape, marks=pytest.mark.cpu_only) for shape in SHAPES]
    + [pytest.param(shape, marks=pytest.mark.device_only) for shape in ON_DEVICE],
    ids=lambda shape: "x".join(map(str, shape)),
)
@torch.no_grad()
def test_forward(
    side_by_side: SideBySide, place: Place, shape: tuple[int, ...], granularity: str, threads: int | None
) -> None:
    x = torch.randn(shape, device=place.device)
    theirs = F.dropout if granularity == "element" else F.dropout2d
    rivals = [Rival("F.dropout", lambda: theirs(x, 0.5))]
    if threads is None:
        rivals.append(compiled("F.dropout", lambda x: theirs(x, 0.5), x))
    side_by_side(
        Case(
            group=groups.DROPOUT.title,
            name=f"{_name(shape)}, {granularity}",
            threads=threads,
            parameters={"shape": shape, "granularity": granularity},
            ours=lambda: ops.dropout(x, p=0.5, seed=0, granularity=granularity),
            rivals=rivals,
            limit=_copy_limit(place, x, torch.empty_like(x)),
            on_device=Target(achieved=0.7),
        )
    )


@pytest.mark.cpu_only
@pytest.mark.parametrize("granularity", ["element", "channel"])
def test_backward(side_by_side: SideBySide, place: Place, granularity: str, threads: int) -> None:
    shape = SHAPES[1]
    x, gradient = torch.randn(shape, requires_grad=True), torch.randn(shape)
    theirs = F.dropout if granularity == "element" else F.dropout2d
    side_by_side(
        Case(
            group=groups.DROPOUT.title,
            name=f"{_name(shape)}, {granularity}, forward and backward",
            threads=threads,
            parameters={"shape": shape, "granularity": granularity, "backward": True},
            ours=lambda: torch.autograd.grad(ops.dropout(x, p=0.5, seed=0, granularity=granularity), x, gradient),
            rivals=[Rival("F.dropout", lambda: torch.autograd.grad(theirs(x, 0.5), x, gradient))],
            limit=_copy_limit(place, gradient, torch.empty_like(gradient), passes=2),
        )
    )


@pytest.mark.cpu_only
@torch.no_grad()
def test_samples_of_one_input(side_by_side: SideBySide, place: Place, threads: int) -> None:
    samples, shape = 50, (1, 64, 28, 28)
    x = torch.randn(shape)
    seeds = random.sample_seeds(0, samples)
    repeated = x.expand(samples, *shape)
    side_by_side(
        Case(
            group=groups.DROPOUT.title,
            name=f"T = {samples} of one {_name(shape)}, element",
            threads=threads,
            parameters={"shape": shape, "samples": samples, "granularity": "element"},
            ours=lambda: ops.dropout(x, p=0.5, seed=seeds, shared_input=True),
            rivals=[Rival("F.dropout", lambda: F.dropout(repeated, 0.5))],
            limit=_copy_limit(place, repeated, torch.empty(samples, *shape)),
        )
    )
