"""Dropout of activations against PyTorch's; no bar of the project is set for it."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bayesops import ops, random
from benchmarks import groups
from benchmarks.side_by_side import Rival, seconds_of
from benchmarks.suite import Case, Limit, SideBySide

SHAPES = [(1, 64, 28, 28), (32, 64, 32, 32), (32, 128, 56, 56)]


def _name(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _copy_limit(source: Tensor, target: Tensor, passes: int = 1) -> Limit:
    """Each pass reads its input once and writes its output once: as long as a copy of this size into memory in use."""
    return Limit(
        "copies of the same size", lambda: passes * min(seconds_of(lambda: target.copy_(source)) for _ in range(10))
    )


@pytest.mark.parametrize("granularity", ["element", "channel"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@torch.no_grad()
def test_forward(side_by_side: SideBySide, shape: tuple[int, ...], granularity: str, threads: int) -> None:
    x = torch.randn(shape)
    theirs = F.dropout if granularity == "element" else F.dropout2d
    side_by_side(
        Case(
            group=groups.DROPOUT.title,
            name=f"{_name(shape)}, {granularity}",
            threads=threads,
            parameters={"shape": shape, "granularity": granularity},
            ours=lambda: ops.dropout(x, p=0.5, seed=0, granularity=granularity),
            rivals=[Rival("F.dropout", lambda: theirs(x, 0.5))],
            limit=_copy_limit(x, torch.empty_like(x)),
        )
    )


@pytest.mark.parametrize("granularity", ["element", "channel"])
def test_backward(side_by_side: SideBySide, granularity: str, threads: int) -> None:
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
            limit=_copy_limit(gradient, torch.empty_like(gradient), passes=2),
        )
    )


@torch.no_grad()
def test_samples_of_one_input(side_by_side: SideBySide, threads: int) -> None:
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
            limit=_copy_limit(repeated, torch.empty(samples, *shape)),
        )
    )
